"""Run folders below a path, and their names for people."""

from __future__ import annotations

import os
from pathlib import Path

from lossbench.errors import UserError


def to_open(paths) -> list[Path]:
    """Return the run folders that paths name, as `find`; one that is absent stands for itself, and opening it fails."""
    return [run for path in map(Path, paths) for run in (find([path]) if path.is_dir() else [path])]


def find(paths) -> list[Path]:
    """Return the run folders that paths name: each itself, or all below it.

    Parameters
    ----------
    paths : iterable of path

    Returns
    -------
    list of Path
        Each once, in the order of the paths and by name below one; a folder without any run stands for itself.

    Raises
    ------
    UserError
        If a path does not exist.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise UserError(
                f"run: {path} must be a run folder, or one that holds runs, but there is none. "
                "Name one that train.py wrote."
            )
        for run in list(_below(path)) or [path]:
            found.setdefault(run.resolve(), run)
    return list(found.values())


def _below(path):
    if (path / "config.yaml").exists() or (path / "checkpoints").is_dir():  # also where the config is lost
        yield path
        return
    for folder in sorted((p for p in path.iterdir() if p.is_dir() and not p.is_symlink()), key=_by_number):
        yield from _below(folder)


def _by_number(path):
    """Order seed-10 after seed-9."""
    stem, _, number = path.name.rpartition("-")
    return (stem, int(number)) if number.isdecimal() and len(number) < 20 else (path.name, -1)


def shown(path) -> str:
    """Return a path as a command takes it, from the folder that this was called in where it lies below."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
