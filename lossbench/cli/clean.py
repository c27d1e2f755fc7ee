"""`lossbench clean`: what of runs can go."""

from __future__ import annotations

import os
import shutil

from lossbench import console

DESCRIPTION = """\
Say what of runs can be removed, and with --yes remove it.

temporary: what killed processes left half-written. embeddings: of finished runs, those of each epoch, which only the
animation reads. empty: runs that ended before their first checkpoint, in folders that hold nothing else. What a process
trains just now is left alone.
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    parser.add_argument("paths", nargs="+", metavar="RUN", help="run folder, or one that holds runs")
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=KINDS,
        default=list(KINDS),
        metavar="KIND",
        help=f"of {', '.join(KINDS)} (default: all)",
    )
    parser.add_argument("--yes", action="store_true", help="remove it")
    options = parser.parse_intermixed_args(arguments)

    from lossbench.runs import Run, find, shown

    rows, removed = [["run", "kind", "MB"]], 0
    for run in map(Run, find(options.paths)):
        for kind in options.kinds if run.values and not run.is_locked else ():
            found = KINDS[kind](run)
            size = sum(_size(path) for path in found)
            if found:
                rows.append([shown(run.path), kind, f"{size / 1e6:.1f}"])
                removed += size
            if options.yes:
                for path in found:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if len(rows) == 1:
        print("Nothing to remove.")
        return
    console.print_columns(rows)
    print(
        f"{removed / 1e6:.1f} MB {'removed.' if options.yes else 'can go: the same command with --yes removes them.'}"
    )


def _embeddings(run):
    folder = run.embeddings  # not where a link leads, which may be anybody's
    return sorted(folder.glob("*.npz")) if run.is_finished and folder.is_dir() and not folder.is_symlink() else []


def _empty(run):
    """A run without a checkpoint, a row and a value, in a folder with what a training writes before these alone."""
    history = run.path / "history.jsonl"
    has_rows = os.path.lexists(history) and not (history.is_file() and history.stat().st_size == 0)
    is_begun = os.path.lexists(run.path / "environment.json")  # anybody can have copied a config
    files = {path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if not path.is_dir()}
    others = files - {path.relative_to(run.path).as_posix() for path in run.temporary()} - _BEGINNING
    return [] if has_rows or others or not is_begun else [run.path]


def _size(path):
    return sum(each.lstat().st_size for each in [path, *path.rglob("*")] if each.is_file())


_BEGINNING = {".lock", "config.yaml", "data.json", "data.png", "environment.json", "history.jsonl", "plan.json"}
KINDS = {"temporary": lambda run: run.temporary(), "embeddings": _embeddings, "empty": _empty}
