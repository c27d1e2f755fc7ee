"""From paths of runs to a file with the page, and one with its numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lossbench import atomic
from lossbench.errors import UserError
from lossbench.report import groups, metrics, page
from lossbench.runs import Run, find, shown


@dataclass
class Comparison:
    """What a page shows."""

    runs: list
    """Every run folder that was named."""
    groups: list
    """Those with a readable config, repetitions together."""

    @property
    def finished(self) -> list:
        """Groups reduced to their finished runs; those that have none left are not there."""
        kept = [replace(each, runs=[run for run in each.runs if run.is_finished]) for each in self.groups]
        return [each for each in kept if each.runs]


def gather(paths) -> Comparison:
    """Read the runs that paths name.

    Parameters
    ----------
    paths : iterable of path
        Run folders, or folders that hold runs.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a path does not exist, or no run could be read.
    """
    found = [Run(path).read_all() for path in find(paths)]
    readable = [run for run in found if run.values]
    for run in readable:
        if not run.is_finished:
            run.problems.append(_unfinished(run))
    if not readable:
        reasons = " ".join(f"{shown(run.path)}: {' '.join(run.problems)}" for run in found)
        raise UserError(f"run: a run that can be read must be among those named, got none. {reasons}")
    return Comparison(found, groups.group(readable))


def _unfinished(run):
    end = run.end
    if end is None or not end.is_over:
        done = max(end.epoch if end else 0, run.history[-1]["epoch"] if run.history else 0)
        text = f"Unfinished: {done} of {run.value('trainer.epochs')} epochs"
    else:
        text = f"Not evaluated in full after the last epoch ({'; '.join(run.missing)})"
    return f"{text}; its curves are shown, its metrics are not."


def write(paths, out, *, title: str = "", json_path=None) -> Comparison:
    """Write the page that compares the runs which paths name.

    Parameters
    ----------
    paths : iterable of path
        Run folders, or folders that hold runs.
    out : path
        The HTML file.
    title : str
        Default: the names of what is compared.
    json_path : path, optional
        Where the tables' numbers go, too.

    Returns
    -------
    Comparison
        What was read, with the problems of each run.

    Raises
    ------
    ValueError
        If a path does not exist, or no run could be read.
    """
    comparison = gather(paths)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_atomically(out, page.page(comparison, title, datetime.now().astimezone()))
    if json_path:
        atomic.write_json(json_path, numbers(comparison))
    return comparison


def numbers(comparison) -> list[dict]:
    """Return the tables' rows: group, seeds, checkpoint, split, metric, mean, standard deviation, n, reasons."""
    rows = []
    finished = comparison.finished
    measured = [[run.metrics for run in group.runs] for group in finished]
    for checkpoint, split in metrics.parts([each for group in measured for each in group]):
        for table in metrics.tables(measured, checkpoint, split):
            for column in table.columns:
                for group, cell in zip(finished, column.cells):
                    rows.append({
                        "group": group.label, "seeds": group.seeds, "checkpoint": checkpoint, "split": split,
                        "metric": ".".join(column.path), "mean": cell.mean, "standard_deviation": cell.deviation,
                        "n": cell.n, "unavailable": [reason for reason in cell.reasons if reason],
                    })  # fmt: skip
    return rows
