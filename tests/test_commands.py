"""The `lossbench` command as a whole: what it greets with, what it makes of mistakes, and what it knows of runs."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench import config
from lossbench.cli import COMMANDS
from lossbench.cli import runs as cli_runs
from lossbench.config import shipped
from lossbench.runs import Run

ROOT = Path(__file__).resolve().parent.parent
MAIN = "import sys; from lossbench.cli import main; sys.exit(main())"


def lossbench(*arguments, cwd, **environment):
    """Run the command and return (status, output, errors)."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment}
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        cwd=cwd,
        env=settings,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with two short runs of one config and a third of another."""
    folder = tmp_path_factory.mktemp("commands")
    quick = ["trainer.epochs=1", "trainer.progress=none", "data.batch_size=256"]
    quick += ["evaluation.methods=[softmax]", "evaluation.pictures=[]"]
    for name, seed in (("softmax_digits", 0), ("softmax_digits", 1), ("lgm_digits", 0)):
        status, _, errors = lossbench("train", name, *quick, "--seed", seed, cwd=folder)
        assert status == 0, errors
    return folder


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_alone_it_greets_with_its_commands_and_a_line_on_each(tmp_path, arguments):
    status, out, errors = lossbench(*arguments, cwd=tmp_path)
    assert (status, errors) == (0, "")
    said = dict(re.findall(r"^  ([a-z][a-z-]*) +([A-Z].+)$", out, re.MULTILINE))
    assert list(said) == list(COMMANDS)
    assert said["plot"] == "Draw pictures of trained runs, each into its own folder plots/"
    assert "lossbench train lgm_digits" in out


@pytest.mark.parametrize(
    ("typed", "way_out"),
    [("trian", "Did you mean train?"), ("evaluate", "Did you mean eval?"), ("x", "`lossbench` alone says what each")],
)
def test_a_mistyped_command_is_answered_with_the_nearest(tmp_path, typed, way_out):
    status, out, errors = lossbench(typed, "--run", "a", cwd=tmp_path)
    assert (status, out) == (2, "")
    assert errors.startswith("lossbench: COMMAND must be one of train, eval, ")
    assert f"got {typed}. {way_out}" in errors
    assert errors.count("\n") == 1


def test_help_wraps_to_the_terminal_and_has_no_colors(tmp_path):
    for arguments in ([], ["eval", "--help"], ["benchmark", "train", "--help"]):
        status, out, _ = lossbench(*arguments, cwd=tmp_path, COLUMNS="60", FORCE_COLOR="", NO_COLOR="1")
        assert status == 0
        prose = [line for line in out.splitlines() if not line.startswith(("  ", "usage"))]
        assert max(map(len, prose)) <= 60
        assert "\x1b" not in out


# What they are declared with imports no MXNet, so that one process may ask all of them.
@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_of_a_help_is_wider_than_the_terminal(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="^0$"):
        COMMANDS[command].main(["--help"], f"lossbench {command}")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_configs_are_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config.load("lgm_digits") == config.load(ROOT / "configs" / "lgm_digits.yaml")
    assert shipped.names() == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    (tmp_path / "mine").write_text("base: nothing.yaml\n")
    assert shipped.find("mine") == Path("mine")
    with pytest.raises(config.ConfigError, match="must be a file, or the name of a config .* mean lgm_digits?"):
        config.load("lgm_digit")
    status, out, _ = lossbench("configs", "ArcFace", "mnist", cwd=tmp_path)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["arcface_fashion_mnist", "arcface_mnist"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--config", "a", "--config", "b"], "--config must be given once, got a and b"),
        ([], "a config must be named: lossbench train lgm_digits, or --config FILE"),
        (["trainer.epochs=1", "lgm_digits"], "a config must be named"),
    ],
)
def test_one_config_is_named(tmp_path, arguments, error):
    status, _, errors = lossbench("train", *arguments, cwd=tmp_path)
    assert status == 2
    assert error in errors


@pytest.mark.parametrize("command", ["eval", "embed", "predict", "export"])
def test_one_run_is_named(tmp_path, command):
    status, _, errors = lossbench(command, "--run", "a", "--run", "b", cwd=tmp_path)
    assert status == 2
    assert "--run must be given once, got a and b" in errors


def test_a_second_config_is_no_override(tmp_path):
    status, _, errors = lossbench("train", "lgm_digits", "softmax_digits", cwd=tmp_path)
    assert (status, errors.count("\n")) == (2, 1)
    assert "must be key=value, got 'softmax_digits'" in errors


def test_threads_are_those_that_were_asked_for(tmp_path):
    arguments = ["softmax_digits", "trainer.epochs=1", "evaluation.pictures=[]", "--threads", "3", "--run-dir", "run"]
    assert lossbench("train", *arguments, cwd=tmp_path)[0] == 0
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["threads"] == 3
    for wrong in ("0", "two", "-1", "1.5"):
        status, _, errors = lossbench("train", "softmax_digits", f"--threads={wrong}", cwd=tmp_path)
        assert (status, errors.splitlines()[-1]) == (
            2,
            f"lossbench train: error: --threads must be a whole number from 1 to 9999, got {wrong}",
        )


def test_runs_are_listed_with_state_accuracy_and_size(runs):
    started = runs / "runs" / "lgm_digits" / "seed-7"
    shutil.copytree(runs / "runs" / "lgm_digits" / "seed-0", started)
    try:
        (started / "metrics.json").unlink()
        with Run(started).locked():
            _, busy, _ = lossbench("runs", cwd=runs)
        status, out, _ = lossbench("runs", "--json", "list.json", cwd=runs)
        assert status == 0
        rows = {row["run"]: row for row in json.loads((runs / "list.json").read_text())}
    finally:
        shutil.rmtree(started)
    assert list(rows) == [
        "runs/lgm_digits/seed-0",
        "runs/lgm_digits/seed-7",
        "runs/softmax_digits/seed-0",
        "runs/softmax_digits/seed-1",
    ]
    first = rows["runs/softmax_digits/seed-0"]
    run = Run(runs / "runs" / "softmax_digits" / "seed-0")
    assert (first["state"], first["epoch"], first["epochs"]) == ("finished", 1, 1)
    assert first["test_accuracy"] == run.metrics["last"]["test"]["accuracy"]
    assert first["bytes"] == sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    assert f"{100 * first['test_accuracy']:.2f} %" in out
    assert rows["runs/lgm_digits/seed-7"]["state"] == "unfinished"
    assert re.search(r"seed-7 +in training +1 of 1", busy)


def test_the_accuracy_of_an_earlier_epoch_is_not_that_of_a_run_that_goes_on(runs):
    run = Run(runs / "runs" / "lgm_digits" / "seed-0")
    assert cli_runs._state(run)["test_accuracy"] == run.metrics["last"]["test"]["accuracy"]
    row = run.history[-1]
    run.history.append({**row, "epoch": row["epoch"] + 1, "step": 2 * row["step"]})
    assert cli_runs._state(run)["test_accuracy"] is None


def test_a_table_that_a_terminal_is_too_narrow_for_becomes_blocks(runs):
    main, terminal = pty.openpty()
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "50"}
    command = [sys.executable, "-c", MAIN, "runs", "runs/lgm_digits"]
    subprocess.run(command, cwd=runs, env=settings, stdout=terminal, check=True, timeout=300)
    os.close(terminal)
    lines = os.read(main, 10_000).decode().split("\r\n")
    os.close(main)
    assert lines[:3] == ["runs/lgm_digits/seed-0", "  state: finished", "  epochs: 1 of 1"]
    assert re.fullmatch(r"  test accuracy: \d+\.\d\d %", lines[3])


def test_two_runs_are_compared(runs):
    status, out, errors = lossbench("compare", "runs/softmax_digits", "runs/lgm_digits", cwd=runs)
    assert (status, errors) == (0, "")
    accuracies = [
        [Run(runs / "runs" / name / f"seed-{seed}").metrics["last"]["test"]["accuracy"] for seed in seeds]
        for name, seeds in (("softmax_digits", (0, 1)), ("lgm_digits", (0,)))
    ]
    means = [sum(values) / len(values) for values in accuracies]
    assert re.search(r"head\.name +softmax +lgm", out)
    line = next(line for line in out.split("last epoch, test images")[1].splitlines() if "%" in line)
    numbers = re.findall(r"[-+]?\d+\.\d+", line)
    assert [float(n) for n in numbers if n not in numbers[1:2]] == pytest.approx(
        [100 * means[0], 100 * means[1], 100 * (means[1] - means[0])], abs=0.011
    )
    assert "softmax_digits, n = 2" in out


def test_runs_of_one_config_are_no_comparison(runs):
    status, out, errors = lossbench("compare", "runs/softmax_digits", cwd=runs)
    assert (status, out) == (2, "")
    assert errors == ("compare: RUN must name runs of two configs or more, got those of one. Name another run.\n")


def test_clean_says_what_can_go_and_removes_it_when_told(runs, tmp_path):
    shutil.copytree(runs / "runs", tmp_path / "runs")
    run, empty = (Run(tmp_path / "runs" / "softmax_digits" / f"seed-{seed}") for seed in (0, 1))
    for path in (empty.checkpoints, empty.embeddings, empty.evaluation, empty.plots):
        shutil.rmtree(path, ignore_errors=True)
    for name in ("metrics.json", "drawn.json"):
        (empty.path / name).unlink(missing_ok=True)
    (empty.path / "history.jsonl").write_text("{torn")
    assert lossbench("clean", "runs", "--kinds", "empty", cwd=tmp_path)[1] == "Nothing to remove.\n"
    (empty.path / "history.jsonl").write_text("")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = run.path / f".metrics.json.{dead.pid}"
    left.write_bytes(b"{" * 3_000_000)
    run.embeddings.mkdir(exist_ok=True)
    (run.embeddings / "epoch-1.npz").write_bytes(b"x" * 2_000_000)
    kept = {path for path in run.path.rglob("*") if path.is_file()} - {left, run.embeddings / "epoch-1.npz"}
    status, out, _ = lossbench("clean", "runs", cwd=tmp_path)
    assert status == 0
    assert left.exists()
    assert re.search(r"softmax_digits/seed-0 +temporary +3\.0", out)
    assert re.search(r"softmax_digits/seed-0 +embeddings +2\.0", out)
    assert re.search(r"softmax_digits/seed-1 +empty +\d", out)
    assert "lgm_digits" not in out or "embeddings" in out
    with empty.locked():
        assert lossbench("clean", "runs", "--yes", cwd=tmp_path)[0] == 0
    assert empty.path.exists()
    assert {path for path in run.path.rglob("*") if path.is_file()} == kept
    assert "removed." in lossbench("clean", "runs", "--yes", cwd=tmp_path)[1]
    assert not empty.path.exists()
    assert lossbench("clean", "runs", cwd=tmp_path)[1] == "Nothing to remove.\n"
    run.embeddings.rename(tmp_path / "elsewhere")
    run.embeddings.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "epoch-1.npz").touch()
    assert lossbench("clean", "runs", cwd=tmp_path)[1] == "Nothing to remove.\n"


@pytest.mark.parametrize("kind", ["checkpoint", "config", "notes"])
def test_clean_leaves_folders_that_hold_more_than_the_beginning_of_a_run(runs, tmp_path, kind):
    """A checkpoint that was taken out of its run names images; a config beside notes was never a run."""
    run, kept = Run(runs / "runs" / "softmax_digits" / "seed-0"), tmp_path / "kept"
    if kind == "checkpoint":
        shutil.copytree(run.steps()[-1], kept)
    else:
        kept.mkdir()
        shutil.copy(run.config_file, kept)
    if kind == "notes":
        shutil.copy(run.path / "environment.json", kept)
        (kept / "notes.txt").write_text("mine")
    assert lossbench("clean", kept, "--yes", cwd=tmp_path)[:2] == (0, "Nothing to remove.\n")
    assert (kept / "config.yaml").exists()


COMPLETE = """
source ./script
COMP_WORDS=(lossbench {words}) COMP_CWORD={place}
_lossbench
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tr", ["train"]),
        ("train lgm_dig", ["lgm_digits"]),
        ("train --res", ["--resume"]),
        ("eval --met", ["--method"]),
        ("benchmark ev", ["evaluation"]),
    ],
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_tab_key_completes(tmp_path, words, expected):
    status, script, _ = lossbench("completion", "bash", cwd=tmp_path)
    assert status == 0
    (tmp_path / "script").write_text(script)
    code = COMPLETE.format(words=words, place=len(words.split()))
    done = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (expected, "")
