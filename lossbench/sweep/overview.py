"""What a sweep would do, and in a few lines what came of it."""

from __future__ import annotations

from lossbench.report.details import duration
from lossbench.sweep import sections
from lossbench.sweep.timing import epochs_done
from lossbench.sweep.wording import counted

UNKNOWN = "unknown"


def overview(work, jobs: int, timing) -> list[list[str]]:
    """Return a row a run: name, what there is, epochs, estimated time left; then the sum.

    The trials of a search have one row, and so have the runs with the setting that it will choose.
    """
    rows, times = [["run", "state", "epochs", "training time left"]], []
    searched, lasts = 0.0, 0.0  # the longest search, whose trials run one after the other; the longest run
    to_train = planned_in_all = 0
    for search in work.searching():
        arm, epochs = search.arm.folder.as_posix(), search.arm.settings.trainer.epochs
        each = timing.of_whole(search.planned)
        runs = len(work.runs_of(search.arm))
        for count, what, kind in ((search.trials_left, "trial", "search"), (runs, "run", "after the search")):
            times += [each] * count
            rows.append([f"{arm}: {counted(count, what)}", kind, str(epochs), _about([each] * count)])
        searched, lasts = max(searched, search.trials_left * (each or 0)), max(lasts, (each or 0) * bool(runs))
        to_train, planned_in_all = to_train + runs, planned_in_all + runs
    due = {planned.folder for planned, _ in work.due()}
    for planned, found in work.states():
        epochs = planned.settings.trainer.epochs
        done = epochs_done(planned, found.run)
        left = [timing.left(planned, found.run)] if planned.folder in due else []
        shown = f"{done} of {epochs}" if 0 < done < epochs else str(epochs)
        rows.append([planned.name, found.kind, shown, _about(left)])
        times, planned_in_all = times + left, planned_in_all + 1
        lasts = max(lasts, *(seconds or 0 for seconds in left), 0)
    known, unknown = [seconds for seconds in times if seconds is not None], times.count(None)
    parts = [f"about {duration(max(sum(known) / jobs, searched + lasts))}"] if known or not unknown else []
    parts += [f"{unknown} of unknown time"] if unknown else []
    trials = sum(search.trials_left for search in work.searching())
    runs = f"{to_train + len(due)} of {planned_in_all} runs to train"
    rows.append([f"{counted(trials, 'trial')}, then {runs}" if trials else runs, "", "", " and ".join(parts)])
    return rows


def _about(times) -> str:
    """Of the sum."""
    return "-" if not times else UNKNOWN if None in times else f"about {duration(sum(times))}"


def summary(results) -> list[str]:
    """Return the tables of the results as lines for a terminal's end."""
    lines = []
    for table in results.tables:
        for grid in [sections.summaries(table), *([sections.comparisons(table)] if table.comparisons else [])]:
            lines += [grid.title, *_columns([grid.heads, *grid.rows]), *grid.remarks, ""]
    waiting = sum(not row.state.has_ended for row in results.rows) + sum(results.awaited.values())
    if waiting:
        lines.append(f"Not trained yet: {counted(waiting, 'run')}; --dry-run lists them.")
    return lines


def _columns(rows) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
