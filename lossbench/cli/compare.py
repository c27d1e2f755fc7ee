"""`lossbench compare`: runs side by side on the screen."""

from __future__ import annotations

import json
import sys

from lossbench import console
from lossbench.errors import UserError

DESCRIPTION = """\
Show runs side by side: what differs in their configs, and what each measured.

A folder of seeds counts as one; its values are mean and standard deviation over the finished runs. Where two are
compared, the last column is the second less the first. Of one seed each, that says little.
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or folders that hold the seeds of one")
    options = parser.parse_args(arguments)

    from lossbench import report
    from lossbench.report import groups, metrics

    comparison = report.gather(options.runs)
    for run in comparison.runs:
        for problem in run.problems:
            print(f"{run.path}: {problem}", file=sys.stderr)
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
    measured = [[run.metrics for run in group.runs] for group in finished]
    for checkpoint, split in metrics.parts([each for group in measured for each in group]):
        print(f"\n{checkpoint} epoch, {split} images" if checkpoint == "last" else f"\n{checkpoint}, {split} images")
        for table in metrics.tables(measured, checkpoint, split):
            _print(table, finished)


def _print(table, finished):
    is_pair = len(finished) == 2
    rows = [[f"{table.title}", *(f"{group.label}, n = {len(group.runs)}" for group in finished)]]
    rows[0] += ["difference"] * is_pair
    for column in table.columns:
        means = [cell.mean for cell in column.cells]
        row = [f"{column.title}{', %' * column.is_fraction}", *(_cell(column, cell) for cell in column.cells)]
        if is_pair:
            row.append(_signed(column, means[1] - means[0]) if None not in means else "")
        rows.append(row)
    console.print_columns(rows, indent="  ")


def _cell(column, cell):
    if cell.mean is None:
        return "unavailable" if any(cell.reasons) else "-"
    deviation = "" if cell.deviation is None else f" ± {column.written(cell.deviation)}"
    return column.written(cell.mean) + deviation


def _signed(column, difference):
    return ("+" if difference > 0 else "") + column.written(difference)
