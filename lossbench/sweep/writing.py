"""From the runs of a sweep to its files of results, and the small files of its runs to another folder."""

from __future__ import annotations

from pathlib import Path

from lossbench import atomic
from lossbench.errors import UserError
from lossbench.sweep import comparison, drawing, markdown, page, records, state

PUBLISHED = ("config.yaml", "metrics.json", "environment.json", "history.jsonl", state.FAILURE)


def write(results, out) -> list[Path]:
    """Write `README.md`, `runs.csv`, `results.json`, `report.html` and a drawing a table; returns their paths.

    Parameters
    ----------
    results : comparison.Results
    out : path
        The sweep's folder.

    Raises
    ------
    UserError
        The folder has a `README.md` that no sweep wrote.
    """
    out = Path(out)
    require_own(out)
    out.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for number, table in enumerate(results.tables):
        if table.comparisons:
            pictures[number] = f"differences-{number + 1}.svg"
            atomic.write_atomically(out / pictures[number], drawing.differences(table) + "\n")
    atomic.write_atomically(out / "README.md", markdown.page(results, pictures))
    for former in out.glob("differences-[0-9]*.svg"):
        if former.name not in pictures.values():
            former.unlink()
    atomic.write_atomically(out / "runs.csv", records.as_csv(results))
    atomic.write_json(out / "results.json", records.as_json(results))
    atomic.write_atomically(out / "report.html", page.page(results))
    return [out / name for name in ("README.md", "runs.csv", "results.json", "report.html", *pictures.values())]


def publish(results, out, target) -> int:
    """Copy the small files from which tables are made, of every run and trial that has ended; returns their bytes.

    Checkpoints, plots, logs, and the plan that asks for plots stay behind. What the target holds of other runs is left
    alone. Why a run failed may name its folder, which becomes the one that it has without ``--out``.

    Parameters
    ----------
    results : comparison.Results
    out : path
        The sweep's folder.
    target : path

    Raises
    ------
    UserError
        The target holds a run of another config, is the sweep's own folder, or has a `README.md` that no sweep wrote.
    """
    out, target, size = Path(out), Path(target), 0
    require_target(out, target)
    comparison.collect(results.plan, target)  # refuses runs of another config
    for source in _small_files(results, out):
        copy = target / source.relative_to(out)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not (source.parent / state.FAILURE).exists():
            state.forget_failure(copy.parent)
        reason = state.failure(source.parent) if source.name == state.FAILURE else None
        if reason is None:
            atomic.write_atomically(copy, source.read_bytes())
        else:
            state.note_failure(copy.parent, reason.replace(str(out.resolve()), results.plan.home.as_posix()))
        size += copy.stat().st_size
    return size


def require_target(out, target) -> None:
    """`UserError` where the sweep in `out` cannot be published to `target`."""
    target = Path(target)
    if target.resolve() == Path(out).resolve():
        raise UserError(f"sweep: --publish must name another folder than the sweep's own, got {target}.")
    if target.exists() and not target.is_dir():
        raise UserError(f"sweep: --publish must name a folder, got the file {target}.")
    require_own(target)


def require_own(out) -> None:
    """`UserError` where the folder has a `README.md` that no sweep wrote."""
    page = Path(out) / "README.md"
    if page.is_file() and markdown.MADE_BY not in page.read_text(encoding="utf-8", errors="replace"):
        raise UserError(f"sweep: {page} must be a sweep's page, and was written by none. Give another folder.")


def _small_files(results, out):
    arrays = [f"evaluation/{'-'.join(place)}.npz" for place in comparison.wanted(results.plan.sweep)]
    runs = [row.state.run.path for row in results.rows if row.state.is_kept]
    for search in results.searches:
        if search.asked_file.is_file():
            yield search.asked_file
        for trial in search.trials():
            if trial.has_ended:
                runs.append(trial.state.run.path)
            yield trial.state.run.path.parent / "parameters.json"
    for run in runs:
        for name in (*PUBLISHED, *arrays):
            if (run / name).is_file():
                yield run / name
