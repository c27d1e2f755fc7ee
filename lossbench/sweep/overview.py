"""What a sweep would do, and in a few lines what came of it."""

from __future__ import annotations

from lossbench.report.details import duration
from lossbench.sweep import sections, state
from lossbench.sweep.timing import Timing, epochs_done

UNKNOWN = "unknown: nothing like it has been trained yet"


def overview(work, jobs: int) -> list[list[str]]:
    """Return a row a run: name, what there is, epochs, estimated time left; then the sum."""
    states, timing = work.states(), Timing()
    for planned, found in states:
        timing.learn(planned, found.run)
    rows, seconds, unknown = [["run", "state", "epochs", "training time left"]], 0.0, 0
    for search in work.searching():
        epochs = search.arm.settings.trainer.epochs
        rows.append([f"{search.arm.folder.as_posix()}: {search.trials_left} trials", "search", str(epochs), UNKNOWN])
        unknown += search.trials_left
    due = {planned.folder for planned, _ in work.due()}
    for planned, found in states:
        epochs = planned.settings.trainer.epochs
        done = epochs_done(planned, found.run)
        cells = [planned.name, found.kind, f"{done} of {epochs}" if 0 < done < epochs else str(epochs)]
        left = timing.left(planned, found.run) if planned.folder in due else 0.0
        cells.append(UNKNOWN if left is None else f"about {duration(left)}" if left else "-")
        seconds, unknown = seconds + (left or 0.0), unknown + (left is None)
        rows.append(cells)
    known = f"about {duration(seconds / jobs)}" if seconds or not unknown else ""
    rest = f"{unknown} of unknown time" if unknown else ""
    rows.append([f"{len(due)} of {len(states)} runs to train", "", "", " and ".join(filter(None, (known, rest)))])
    return rows


def summary(results) -> list[str]:
    """Return the tables of the results as lines for a terminal's end."""
    lines = []
    for table in results.tables:
        for grid in [sections.summaries(table), *([sections.comparisons(table)] if table.comparisons else [])]:
            lines += [grid.title, *_columns([grid.heads, *grid.rows]), *grid.remarks, ""]
    waiting = [row.planned.name for row in results.rows if row.state.kind not in (state.FINISHED, state.FAILED)]
    if waiting:
        lines.append(f"Not trained yet: {', '.join(waiting)}")
    return lines


def _columns(rows) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
