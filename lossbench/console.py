"""What the commands share: their parsers, exit statuses, and tables on the screen."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import textwrap
import warnings

from lossbench import __version__, errors, plugins, terminal

DONE, FAILED = 0, 1
LONG_TEXT, MOST_CLASSES = 60, 100  # beyond: wrapped below a table; left out of one
MOST_LETTERS, MOST_LETTERS_OF_TEXT = 200, 1000  # of a cell; of what is wrapped


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps paragraphs and examples to the width of the terminal; tables, which are indented, stay as they are."""

    def __init__(self, prog, **options):
        super().__init__(prog, width=min(terminal_width(), 120) - 2, **options)

    def _fill_text(self, text, width, indent):
        paragraphs = text.strip().split("\n\n")
        return textwrap.indent("\n\n".join(_filled(paragraph, width) for paragraph in paragraphs), indent)


def _filled(paragraph, width):
    if paragraph.startswith("examples:"):
        return "\n".join(_narrowed(line, width) for line in paragraph.splitlines())
    return paragraph if "\n " in paragraph or paragraph.startswith(" ") else textwrap.fill(paragraph, width)


def _narrowed(line, width):
    """Put the note behind a wide example on a line of its own, and break the example where a shell reads on.

    Examples
    --------
    >>> print(_narrowed('  eval.py --run runs/a   (its note)', 24))
      eval.py --run runs/a
          (its note)
    >>> print(_narrowed('  report.py runs/a --title "A title" --out a.html', 40))
      report.py runs/a --title "A title" \\
          --out a.html
    """
    if len(line) <= width:
        return line
    command, note = re.fullmatch(r"(.*?)(?: {3,}(\(.*\)))?", line).groups()
    lines = [" "]
    for word in re.findall(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""", command):
        if len(lines[-1]) + len(word) > width - 3:
            lines[-1] += " \\"
            lines.append("     ")
        lines[-1] += f" {word}"
    return "\n".join([*lines, *([f"      {note}"] if note else [])])


def parser(prog, description, examples="") -> argparse.ArgumentParser:
    parser = _Parser(prog=prog, description=description, epilog=examples, formatter_class=HelpFormatter)
    parser.add_argument("--version", action="version", version=f"lossbench {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of every error")
    add_plugin(parser)
    return parser


def add_plugin(parser):
    parser.add_argument(
        "--plugin",
        action=_RequestPlugin,
        metavar="FILE",
        help="Python file that brings losses, backbones or data sources of your own; may be given several times "
        f"(also: {plugins.VARIABLE}, and installed packages)",
    )


class _RequestPlugin(argparse.Action):
    """Has a plugin loaded once a command looks up a name, which is after its arguments were read."""

    def __call__(self, parser, namespace, value, option_string=None):
        plugins.request(value)


def add_device(parser):
    parser.add_argument(
        "--device", default="auto", metavar="D", help="auto, cpu, gpu, or several: gpu:0,1 (default: auto)"
    )
    add_threads(parser)


def add_threads(parser):
    parser.add_argument(
        "--threads",
        action=_SetThreads,
        metavar="N",
        help="threads that compute (default: OMP_NUM_THREADS, else the cores that the process may use)",
    )


class Once(argparse.Action):
    """An option of which a second one is refused, where others let the last one count."""

    def __call__(self, parser, namespace, value, option_string=None):
        before = getattr(namespace, self.dest)
        if before is not self.default:
            parser.error(f"{option_string} must be given once, got {before} and {value}")
        setattr(namespace, self.dest, value)


class _SetThreads(argparse.Action):
    """Says the number where MXNet reads it once a command needs it, which is after its arguments were read."""

    def __call__(self, parser, namespace, value, option_string=None):
        if not re.fullmatch("[1-9][0-9]{0,3}", value):
            parser.error(f"--threads must be a whole number from 1 to 9999, got {value}")
        os.environ["OMP_NUM_THREADS"] = value
        setattr(namespace, self.dest, int(value))


def add_data(parser, verb):
    parser.add_argument("--data-root", metavar="DIR", help="where the data are now, in place of the config's data.root")
    parser.add_argument(
        "--accept-changed-data",
        action="store_true",
        help=f"{verb} although the data files have other checksums than those that the run was trained on",
    )


def add_run(parser, *, required=True, help="run folder that train.py wrote, or a checkpoint's folder"):
    parser.add_argument("--run", action=Once, required=required, metavar="DIR", help=help)
    parser.add_argument(
        "--checkpoint",
        default="last",
        metavar="C",
        help="last, best (by validation accuracy), or a checkpoint's folder (default: last)",
    )
    add_data(parser, "go on")
    add_device(parser)


def opening(options) -> dict:
    """What `experiment.open_run` is asked for by these arguments."""
    return {
        "device": options.device,
        "data_root": options.data_root,
        "accept_changed_data": options.accept_changed_data,
    }


def count(text) -> int:
    """A whole number above 0, as `type=` of an argument."""
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {terminal.shown(text)}")
    return int(text)


def output_file(text) -> str:
    """A file to be written, as `type=` of an argument: what would be found out after the work is said before it."""
    if os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"must be a file, got the folder {terminal.shown(text)}")
    try:
        os.makedirs(os.path.dirname(text) or ".", exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"must lie in a folder that can be made: {terminal.shown(error)}") from None
    return text


def output_folder(text) -> str:
    """A folder to write into, which need not be there, as `type=` of an argument."""
    place = text
    while place and not os.path.lexists(place):
        place = os.path.dirname(place)
    if place and not os.path.isdir(place):
        raise argparse.ArgumentTypeError(f"must be a folder, got the file {terminal.shown(place)}")
    return text


def left_out(damaged) -> int:
    """Name the files that could not be read; returns the exit status."""
    for error in damaged:
        print(terminal.shown(error), file=sys.stderr)
    return FAILED if damaged else DONE


_usual_warning = warnings.formatwarning


def guarded(command):
    """Turn a command's outcome into an exit status, and errors that are no bugs into one line."""

    def main(arguments=None, prog=None) -> int:
        arguments = sys.argv[1:] if arguments is None else arguments
        warnings.formatwarning = _warning
        with terminal.streams():
            try:
                plugins.request_from_surroundings()
                status = command(arguments, prog) or DONE
                sys.stdout.flush()
                return status
            except KeyboardInterrupt:
                print("Interrupted.", file=sys.stderr)
                return 130
            except Exception as error:
                return _outcome(error, "--debug" in arguments)

    return main


def _warning(message, category, *place) -> str:
    """A warning of ours as a line of text; others' as Python shows them."""
    return f"{terminal.shown(message)}\n" if category is UserWarning else _usual_warning(message, category, *place)


def _outcome(error, debug) -> int:
    """The exit status of a command that ended with an error, which is printed; raises it where it is a bug of ours."""
    if isinstance(error, OSError) and error.filename == terminal.OUTPUT:
        terminal.drop_output()
        if isinstance(error, BrokenPipeError):  # the reader had enough
            return FAILED
    status, said = errors.exit_status(error), error
    if isinstance(error, UnicodeEncodeError) and error.encoding == sys.getfilesystemencoding() != "utf-8":
        status = errors.UserError.exit_status
        said = f"locale: file names must be in its letters ({error.encoding}), got {error.object}. Set PYTHONUTF8=1."
    if status is None or debug:
        raise error
    note(said)
    return status


def note(text):
    """Print a sentence on the standard error: one line, whatever the names in it are."""
    print(terminal.shown(text), file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """What it says of an argument may be shown: it is the caller's text."""

    def error(self, message):
        super().error(terminal.shown(message))


def explained(table) -> str:
    """Names with their meanings, wrapped, for a help text."""
    width = max(map(len, table), default=0) + 2
    lines = []
    for name, meaning in table.items():
        first, *rest = textwrap.wrap(meaning, max(20, min(terminal_width(), 120) - 2 - width)) or [""]
        lines += [f"  {name.ljust(width)}{first}", *(" " * (width + 2) + line for line in rest)]
    return "\n".join(lines)


def print_metrics(metrics):
    for which in ("last", "best"):
        for split, measured in metrics.get(which, {}).items():
            if isinstance(measured, dict):
                print(f"{which} (epoch {metrics[which]['epoch']}), {split}:")
                print_table(measured)


def print_table(measured, class_names=None, indent="  "):
    """Print numbers a line each, then what is nested below its name, lists over classes as columns.

    Other lists are left to the JSON. Class names that are not known are numbers.
    """
    nested = {name: value for name, value in measured.items() if isinstance(value, dict) and "unavailable" not in value}
    lists = {name: value for name, value in measured.items() if isinstance(value, list)}
    plain = {name: value for name, value in measured.items() if name not in {**nested, **lists}}
    long = {name: value for name, value in plain.items() if isinstance(value, str) and len(value) > LONG_TEXT}
    print_columns([[name, cell(value)] for name, value in plain.items() if name not in long], indent)
    for name, value in long.items():
        text = f"{terminal.shown(name, MOST_LETTERS)}: {terminal.shown(value, MOST_LETTERS_OF_TEXT)}"
        print(textwrap.fill(text, 118, initial_indent=indent, subsequent_indent=indent + "  "))
    print_per_class({name: values for name, values in lists.items() if "per_class" in name}, class_names, indent)
    for name, value in nested.items():
        print(f"{indent}{terminal.shown(name, MOST_LETTERS)}:")
        if _is_table(value):
            first = next(iter(value.values()))
            rows = [[row, *map(cell, values.values())] for row, values in value.items()]
            print_columns([["", *first], *rows], indent + "  ")
        elif name == "per_class" and all(isinstance(values, list) for values in value.values()):
            print_per_class(value, class_names, indent + "  ")
        else:
            print_table(value, class_names, indent + "  ")


def _is_table(value):
    """Whether these are several rows of the same plain values."""
    rows = list(value.values())
    return (
        len(rows) > 1
        and all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows)
        and all(isinstance(v, (int, float)) for row in rows for v in row.values())
    )


def print_per_class(columns, class_names=None, indent="  "):
    """Print lists over the classes beside each other."""
    if not columns:
        return
    count = len(next(iter(columns.values())))
    names = class_names if class_names and len(class_names) >= count else range(count)
    rows = [
        [str(name), *("-" if v is None else cell(v) for v in values)] for name, *values in zip(names, *columns.values())
    ]
    rows = [row for row in rows if set(row[1:]) - {"-", "0"}]  # not a class without images
    print_columns([["class", *columns], *rows[:MOST_CLASSES]], indent)
    if len(rows) > MOST_CLASSES:
        print(f"{indent}... {len(rows) - MOST_CLASSES} more classes")


def cell(value) -> str:
    if isinstance(value, dict) and "unavailable" in value:
        return f"unavailable: {value['unavailable']}"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def terminal_width() -> int:
    """Columns of the terminal, or 120 where the output goes elsewhere and COLUMNS does not say."""
    return shutil.get_terminal_size((120, 24)).columns


def print_columns(rows, indent=""):
    """Print rows as columns; where a terminal is too narrow for a table with headings, each row as a block of lines."""
    rows = [[terminal.shown(cell, MOST_LETTERS) for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))] if rows else []
    wide = len(indent) + sum(widths) + 2 * (len(widths) - 1) > terminal_width()
    if wide and len(widths) > 2 and sys.stdout.isatty():
        heading, *rows = rows
        for first, *others in rows:
            print(indent + first)
            for name, text in zip(heading[1:], others):
                if text:
                    print(f"{indent}  {name}: {text}")
        return
    for row in rows:
        print(indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
