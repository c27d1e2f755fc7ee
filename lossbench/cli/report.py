"""`report.py`: one page that compares runs."""

from __future__ import annotations

import os

from lossbench import console

DESCRIPTION = """\
Write one HTML page that compares runs. The page needs no other file and no network.

It holds the metrics, with mean and standard deviation over runs that differ by their seed alone, the training curves of
all runs in one drawing, their plots side by side, what differs between the configs, and the commands that repeat each
run. A run that is unfinished or damaged is listed with the reason, and the others are shown.
"""
EXAMPLES = """\
examples:
  report.py runs/lgm_mnist runs/softmax_mnist           (every seed below these folders)
  report.py runs/lgm_cifar10/seed-0 --out cifar10.html --title "L-GM on CIFAR-10" --json cifar10.json
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION, EXAMPLES)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder that train.py wrote, or one that holds runs")
    parser.add_argument(
        "--out",
        type=console.output_file,
        default="report.html",
        metavar="FILE",
        help="page to write (default: report.html)",
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="heading (default: the runs' names)")
    parser.add_argument(
        "--json", type=console.output_file, metavar="FILE", help="also write the numbers of the tables there"
    )
    options = parser.parse_args(arguments)
    if options.json and os.path.realpath(options.json) == os.path.realpath(options.out):
        parser.error(f"argument --json: must be another file than --out, got {options.json}")

    from lossbench import report

    comparison = report.write(options.runs, options.out, title=options.title, json_path=options.json)
    for run in comparison.runs:
        for problem in run.problems:
            console.note(f"{run.path}: {problem}")
    configs = len(comparison.groups)
    runs = sum(len(group.runs) for group in comparison.groups)
    print(f"{options.out}: {runs} run{'s' * (runs != 1)} of {configs} config{'s' * (configs != 1)}")
