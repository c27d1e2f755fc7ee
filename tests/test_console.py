"""What a command does to its streams: any text, any stream, any name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import pathlib, sys, warnings
from lossbench import console
from lossbench.errors import UserError

@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, "")
    parser.add_argument("what")
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    if options.what == "refuse":
        raise UserError(f"thing: name must be good, got {options.name}. Take another.")
    if options.what == "warn":
        warnings.warn(f"thing: {options.name} is odd", UserWarning)
    if options.what == "bug":
        raise ValueError("a bug")
    if options.what == "table":
        console.print_table({"accuracy": 0.5, options.name: {"per_class": {}}, "image": options.name})
    if options.what == "say":
        for _ in range(3000):
            print("epoch", options.name, file=sys.stderr)
        pathlib.Path("done").write_text("whole")
    if options.what == "note":
        console.note(options.name)
        sys.stderr.write("\\r  3 of 5" + options.name)
        sys.stderr.write("\\r")
        sys.stderr.write("\\x1b[A")
    if options.what == "print":
        for _ in range(3000):
            print("row", options.name)
    if options.what == "make":
        pathlib.Path("\\u00fc").mkdir()

sys.exit(main())
"""
UNICODE = {"LC_ALL": "C.UTF-8"}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def call(tmp_path):
    def call(what, name="name", *more, shell='exec "$@"', environment=UNICODE):
        done = subprocess.run(
            ["bash", "-c", shell, "bash", sys.executable, "-c", COMMAND, what, name, *more],
            cwd=tmp_path,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment},
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return call


HOSTILE = "a\x1b[31mb\x07c\u202ed\u2066e\x9bf\ng"
SPELLED = rb"a\x1b[31mb\x07c\u202ed\u2066e\x9bf\ng"


def test_control_and_bidirectional_characters_do_not_reach_the_terminal(call):
    _, out, _ = call("table", HOSTILE)
    assert out.count(SPELLED) == 2
    assert not [letter for letter in ("\x1b", "\x07", "\u202e", "\x9b") if letter.encode() in out]
    status, out, err = call("refuse", HOSTILE.replace("\n", ""))
    assert status == 2
    assert SPELLED.replace(rb"\n", b"") in err
    assert call("print", "\x1b[2J")[1].startswith(b"row \\x1b[2J\n")
    status, _, err = call("print", "name", "--" + HOSTILE)
    assert status == 2
    assert SPELLED in err


def test_a_warning_is_a_line_without_its_place_in_the_code(call):
    assert call("warn", "a\nb") == (0, b"", b"thing: a\\nb is odd\n")


def test_only_a_progress_bar_moves_the_cursor_and_a_name_makes_no_line(call):
    status, _, err = call("refuse", "a\rb\nc")
    assert (status, err.count(b"\n")) == (2, 1)
    assert rb"got a\rb\nc." in err
    _, _, err = call("note", "a\rb\x1b[Ac")
    assert err == b"a\\rb\\x1b[Ac\n\r  3 of 5a\\rb\\x1b[Ac\r\x1b[A"


def test_letters_of_every_script_are_shown_as_they_are(call):
    _, out, _ = call("table", "Zürich 数字 می‌خواهم")
    assert "Zürich 数字 می‌خواهم".encode() in out


def test_a_line_of_a_hundred_thousand_letters_is_shortened_and_keeps_its_end(call):
    status, _, err = call("refuse", "x" * 100_000)
    assert status == 2
    assert len(err) < 5000
    assert err.startswith(b"thing: name must be good, got xxx")
    assert err.endswith(b"Take another.\n")
    assert len(call("table", "x" * 100_000)[1]) < 3000
    assert len(call("print", "name", "--" + "x" * 100_000)[2]) < 5000


@pytest.mark.parametrize("shell", ['exec "$@" 2>&-', 'exec "$@" 2>/dev/full', 'exec "$@" 0<&- 1>&- 2>&-'])
def test_messages_that_nobody_can_take_end_nothing(call, tmp_path, shell):
    assert call("say", shell=shell)[0] == 0
    assert (tmp_path / "done").read_text() == "whole"


def test_messages_whose_reader_has_gone_end_nothing(call, tmp_path):
    assert call("say", shell='set -o pipefail; "$@" 2>&1 >/dev/null | head -1')[0] == 0
    assert (tmp_path / "done").read_text() == "whole"


def test_a_closed_stream_is_not_given_to_the_next_file(call, tmp_path):
    """What C++ prints to descriptor 2 would otherwise end up in a file of the run."""
    code = (
        "import os; from lossbench import terminal\n"
        "with terminal.streams():\n    assert open('file', 'w').fileno() > 2\n    os.write(2, b'from C++')"
    )
    subprocess.run(f'exec {sys.executable} -c "{code}" 2>&-', shell=True, check=True, cwd=tmp_path)
    assert (tmp_path / "file").read_bytes() == b""


def test_results_that_cannot_be_printed_are_an_error_that_says_so(call):
    status, _, err = call("print", shell='exec "$@" >/dev/full')
    assert status == 1
    assert err == b"[Errno 28] No space left on device: 'the standard output'\n"


def test_a_reader_of_the_results_that_has_enough_is_no_error_to_talk_of(call):
    _, out, err = call("print", shell='"$@" | head -1')
    assert out == b"row name\n"
    assert err == b""


@pytest.mark.parametrize("environment", [UNICODE, ASCII])
def test_names_that_are_not_utf_8_and_locales_without_it(call, environment):
    for what in ("print", "table", "refuse", "say"):
        status, out, err = call(what, b"caf\xe9 \xc3\xbc", environment=environment)
        assert status == (2 if what == "refuse" else 0)
        assert b"Traceback" not in err
        assert rb"caf\udce9" in out + err


def test_a_file_name_that_the_locale_cannot_write_is_one_line(call):
    status, _, err = call("make", environment=ASCII)
    assert status == 2
    assert err == b"locale: file names must be in its letters (ascii), got \\xfc. Set PYTHONUTF8=1.\n"
    assert call("make", environment=UNICODE)[0] == 0


def test_a_bug_keeps_its_traceback(call):
    status, _, err = call("bug")
    assert status == 1
    assert b"ValueError: a bug" in err
