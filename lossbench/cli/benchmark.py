"""`benchmark.py`: measurements on this machine."""

from __future__ import annotations

from lossbench import console
from lossbench.cli import (
    benchmark_classes,
    benchmark_evaluation,
    benchmark_heads,
    benchmark_load,
    benchmark_ranks,
    benchmark_reading,
    benchmark_scaling,
    benchmark_train,
)

DESCRIPTION = """\
Measure on this machine. What is compared takes turns; median and spread are printed. Nothing else
should run meanwhile.
"""
KINDS = {
    "train": benchmark_train,
    "heads": benchmark_heads,
    "evaluation": benchmark_evaluation,
    "scaling": benchmark_scaling,
    "classes": benchmark_classes,
    "ranks": benchmark_ranks,
    "load": benchmark_load,
    "reading": benchmark_reading,
}


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name, kind in KINDS.items():
        command = kinds.add_parser(name, help=kind.HELP)
        console.add_plugin(command)
        kind.add_arguments(command)
    options = parser.parse_args(arguments)
    return KINDS[options.kind].run(options)
