"""What scripts/*.py and the `lossbench` command call: arguments in, experiment out, errors as one line.

A file per command. None imports MXNet before it runs, so that `--help` and a mistake in a config answer at once.
"""

from __future__ import annotations

import argparse
import sys

from lossbench import console
from lossbench.cli import benchmark, embed, eval, plot, predict, report, train

COMMANDS = {
    "train": train.main,
    "eval": eval.main,
    "predict": predict.main,
    "embed": embed.main,
    "plot": plot.main,
    "report": report.main,
    "benchmark": benchmark.main,
}


def main(arguments=None) -> int:
    """The `lossbench` command: `lossbench train …` is `scripts/train.py …`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = console.parser("lossbench", "Train and evaluate classification losses that shape the embedding space.")
    parser.add_argument("command", choices=COMMANDS, help="`lossbench COMMAND --help` explains it")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments[:1])
    return COMMANDS[options.command](arguments[1:], f"lossbench {options.command}")
