"""`lossbench compare`: runs side by side on the screen, or two images as a run sees them."""

from __future__ import annotations

import json
import os
import shlex
import sys

from lossbench import console
from lossbench.cli.metrics_table import print_tables
from lossbench.cli.opening import open_run
from lossbench.errors import UserError

DESCRIPTION = """\
Show runs side by side: what differs in their configs, and what each measured.

A folder of seeds counts as one; its values are mean and standard deviation over the finished runs. Where two are
compared, the last column is the second less the first. Of one seed each, that says little.

With --run, compare two images by that run: how alike their embeddings are, and whether that is above the threshold
which its verification found best, so that they are taken for one class.
"""
EXAMPLES = """\
examples:
  lossbench compare runs/softmax_mnist runs/lgm_mnist
  lossbench compare --run runs/lgm_mnist/seed-0 a.jpg b.jpg
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION, EXAMPLES)
    parser.add_argument(
        "compared",
        nargs="+",
        metavar="RUN|IMAGE",
        help="run folders, or folders that hold the seeds of one; with --run, two image files",
    )
    console.add_run(parser, required=False)
    options = parser.parse_intermixed_args(arguments)
    if options.run is None:
        _runs(options.compared)
    elif len(options.compared) == 2:
        _images(options)
    else:
        parser.error(f"with --run, two images must be named, got {len(options.compared)}")


def _images(options):
    from lossbench import experiment

    opened = open_run(options)
    found = experiment.compare(opened, experiment.file_outputs(opened.model, options.compared)[1]["embedding"])
    rows = [["", "similarity", "threshold", "one class"]]
    for one in found:
        name = "cosine" if one.metric == "cosine" else "minus the distance"
        threshold = "-" if one.threshold is None else f"{one.threshold:.4f}"
        rows.append([name, f"{one.similarity:.4f}", threshold, {True: "yes", False: "no", None: "-"}[one.is_same]])
    console.print_columns(rows)
    if found[0].threshold is None:
        opening = ["--run", str(options.run), "--checkpoint", options.checkpoint]
        way = shlex.join(["lossbench", "eval", *opening, "--method", "verification"])
        print(f"There is no threshold yet. Find one: {way}", file=sys.stderr)
    else:
        print(f"The loss of this run compares by the first row. The thresholds are of its {found[0].split} images.")


def _runs(paths):
    from lossbench import report
    from lossbench.report import groups

    for path in paths:
        if os.path.isfile(path):
            way_out = "To compare two images, name the run that sees them: --run RUN."
            raise UserError(f"compare: {path} must be a run. {way_out}")
    comparison = report.gather(paths)
    for run in comparison.runs:
        for problem in run.problems:
            console.note(f"{run.path}: {problem}")
    if len(comparison.groups) < 2:
        raise UserError("compare: RUN must name runs of two configs or more, got those of one. Name another run.")
    labels = [group.label for group in comparison.groups]
    rows = [
        [key, *("-" if value is groups.ABSENT else json.dumps(value).strip('"') for value in values)]
        for key, values in groups.differing(comparison.groups).items()
    ]
    print("config")
    console.print_columns([["", *labels], *rows], indent="  ")
    finished = comparison.finished
    print_tables([group.label for group in finished], [[run.metrics for run in group.runs] for group in finished])
