"""What a sweep would do, and in a few lines what came of it."""

from __future__ import annotations

import itertools

from lossbench.report.details import duration
from lossbench.sweep import sections
from lossbench.sweep.timing import epochs_done
from lossbench.sweep.wording import counted

UNKNOWN = "unknown"


def overview(work, jobs: int, timing) -> list[list[str]]:
    """Return a row a run: name, what there is, epochs, estimated time left; then the sum.

    The trials of a search have one row, and so have the runs with the setting that it will choose.
    """
    rows = [["run", "state", "epochs", "training time left"]]
    searches, times = [], []  # seconds of the trials of each search, which run one after the other; of each run
    to_train = to_measure = planned_in_all = 0
    retried = work.to_retry()
    for search in dict.fromkeys([*work.searching(), *retried]):
        arm, epochs = search.arm.folder.as_posix(), search.arm.settings.trainer.epochs
        each = timing.of_whole(search.planned)
        trials = search.trials_left + len(retried.get(search, []))
        runs = len(work.runs_of(search.arm)) if not search.is_done or search.is_hopeless else 0  # else they are below
        for count, what, kind in ((trials, "trial", "search"), (runs, "run", "after the search")):
            if count:
                rows.append([f"{arm}: {counted(count, what)}", kind, str(epochs), _about([each] * count)])
        searches.append([each] * trials)
        times += [each] * runs
        to_train, planned_in_all = to_train + runs, planned_in_all + runs
    due = {planned.folder for planned, _ in work.due()}
    for planned, found in work.states():
        epochs = planned.settings.trainer.epochs
        done = epochs_done(planned, found.run)
        is_measured_alone = found.is_trained and planned.folder in due
        left = [timing.left(planned, found.run)] if planned.folder in due and not found.is_trained else []
        shown = f"{done} of {epochs}" if 0 < done < epochs else str(epochs)
        rows.append([planned.name, "to be measured" if is_measured_alone else found.kind, shown, _about(left)])
        times, planned_in_all = times + left, planned_in_all + 1
        to_train, to_measure = to_train + len(left), to_measure + is_measured_alone
    every = [*itertools.chain.from_iterable(searches), *times]
    unknown = every.count(None)
    seconds = _together(searches, jobs) + _together([[each] for each in times], jobs)
    parts = [f"about {duration(seconds)}"] if unknown < len(every) or not unknown else []
    parts += [f"{unknown} of unknown time"] if unknown else []
    trials = sum(map(len, searches))
    runs = f"{to_train} of {planned_in_all} runs to train" + f", {to_measure} to be measured" * bool(to_measure)
    rows.append([f"{counted(trials, 'trial')}, then {runs}" if trials else runs, "", "", " and ".join(parts)])
    return rows


def _together(chains, jobs: int) -> float:
    """Seconds of all, so many at a time; those of a chain run one after the other."""
    sums = [sum(seconds for seconds in chain if seconds is not None) for chain in chains]
    return max([sum(sums) / jobs, *sums])


def _about(times) -> str:
    """Of the sum."""
    return "-" if not times else UNKNOWN if None in times else f"about {duration(sum(times))}"


def summary(results) -> list[str]:
    """Return the tables of the results as lines for a terminal's end."""
    lines = []
    for table in results.tables:
        for grid in [sections.summaries(table), *([sections.comparisons(table)] if table.comparisons else [])]:
            lines += [grid.title, *_columns([grid.heads, *grid.rows]), *grid.remarks, ""]
    waiting = [row for row in results.rows if not row.state.has_ended]
    count = len(waiting) + sum(results.awaited.values())
    if count:
        done = "trained or measured" if any(row.state.is_trained for row in waiting) else "trained"
        lines.append(f"Not {done} yet: {counted(count, 'run')}; --dry-run lists them.")
    return lines


def _columns(rows) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
