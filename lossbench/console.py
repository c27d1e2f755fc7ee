"""What the commands share: their parsers, exit statuses, and tables on the screen."""

from __future__ import annotations

import argparse
import json
import re
import sys

from lossbench import __version__

DONE, FAILED, MISTAKE = 0, 1, 2
_OURS = re.compile(r"[A-Za-z][\w ./-]*: ")


def parser(prog, description, examples="") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"lossbench {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of every error")
    return parser


def add_device(parser):
    parser.add_argument(
        "--device", default="auto", metavar="D", help="auto, cpu, gpu, or several: gpu:0,1 (default: auto)"
    )


def add_run(parser):
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder that train.py wrote")
    parser.add_argument(
        "--checkpoint",
        default="last",
        metavar="C",
        help="last, best (by validation accuracy), or a checkpoint's folder (default: last)",
    )
    add_device(parser)


def guarded(command):
    """Turn a command's outcome into an exit status, and errors that are no bugs into one line."""

    def main(arguments=None, prog=None) -> int:
        arguments = sys.argv[1:] if arguments is None else arguments
        try:
            return command(arguments, prog) or DONE
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            return 130
        except BrokenPipeError:
            sys.stderr.close()
            return FAILED
        except Exception as error:
            status = _status(error)
            if status is None or "--debug" in arguments:
                raise
            print(error, file=sys.stderr)
            return status

    return main


def _status(error):
    if isinstance(error, OSError) or type(error).__name__ in ("RunFailed", "MXNetUnavailable"):
        return FAILED
    if isinstance(error, ValueError) and _OURS.match(str(error)):
        return MISTAKE
    return None


def print_metrics(metrics):
    for which in ("last", "best"):
        for split, measured in metrics.get(which, {}).items():
            if isinstance(measured, dict):
                print(f"{which} (epoch {metrics[which]['epoch']}), {split}:")
                print_table(measured)


def print_table(measured, class_names=None):
    rows = [[name, cell(value)] for name, value in measured.items() if not isinstance(value, list)]
    print_columns(rows, indent="  ")
    for name, values in measured.items():
        if class_names and isinstance(values, list) and len(values) == len(class_names):
            print(f"  {name}:")
            print_columns([[str(c), cell(v)] for c, v in zip(class_names, values)], indent="    ")


def cell(value) -> str:
    if isinstance(value, dict):
        return f"unavailable: {value['unavailable']}" if "unavailable" in value else json.dumps(value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def print_columns(rows, indent=""):
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        print(indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
