"""Run folders, read: what there is of each, and in words what there is not."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import yaml

from lossbench import config
from lossbench.config.backbones import BACKBONES
from lossbench.config.data import SOURCES
from lossbench.config.heads import HEADS
from lossbench.errors import UserError


@dataclass
class Run:
    """What a run folder says of itself."""

    path: Path
    settings: Optional[config.Config] = None
    history: list = field(default_factory=list)
    """Rows, one an epoch."""
    metrics: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)
    plots: dict = field(default_factory=dict)
    """Name -> picture file."""
    problems: list = field(default_factory=list)
    """Sentences: what is missing or cannot be read."""

    @property
    def is_finished(self) -> bool:
        """Whether its metrics belong to the end of its training."""
        last = self.metrics.get("last", {})
        if not self.settings or not isinstance(last.get("epoch"), int):
            return False
        stops_early = self.settings.trainer.early_stopping_epochs is not None
        reached = last["epoch"] >= self.settings.trainer.epochs or stops_early
        return reached and (not self.history or self.history[-1]["epoch"] == last["epoch"])


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
    ValueError
        If a path does not exist.
    """
    found = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise UserError(f"report: RUN must be a run folder or one that holds runs, got {path}. There is none.")
        for run in list(_below(path)) or [path]:
            found.setdefault(run.resolve(), run)
    return list(found.values())


def _below(path):
    if (path / "config.yaml").exists():
        yield path
        return
    for folder in sorted((p for p in path.iterdir() if p.is_dir() and not p.is_symlink()), key=_by_number):
        yield from _below(folder)


def _by_number(path):
    """Order seed-10 after seed-9."""
    stem, _, number = path.name.rpartition("-")
    return (stem, int(number)) if number.isdecimal() else (path.name, -1)


def read(path) -> Run:
    """Return what a run folder holds; what cannot be read is a sentence among its problems."""
    run = Run(Path(path))
    run.settings = _attempt(run, "config.yaml", _config)
    run.history = _attempt(run, "history.jsonl", _history) or []
    run.environment = _attempt(run, "environment.json", _mapping) or {}
    run.metrics = _attempt(run, "metrics.json", _metrics, required=False) or {}
    folder = run.path / "plots"
    if folder.is_dir():
        run.plots = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".png", ".gif")}
    if run.settings and not run.is_finished:
        run.problems.append(_unfinished(run))
    return run


def _attempt(run, name, reader, required=True):
    path = run.path / name
    if not path.exists():
        if required:
            run.problems.append(f"There is no {name}.")
        return None
    try:
        return reader(path)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        run.problems.append(f"{name} cannot be read: {' '.join(str(error).split())}")
        return None


def _config(path):
    """The config as it was resolved; a head, backbone or source of the user's own is taken as it stands."""
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    own = {}
    for section, key, table in (("head", "name", HEADS), ("backbone", "name", BACKBONES), ("data", "source", SOURCES)):
        name = plain.get(section, {}).get(key) if isinstance(plain, dict) else None
        own[section] = (name,) if isinstance(name, str) and name not in table else ()
    return config.load(path, heads=own["head"], backbones=own["backbone"], data=own["data"])


def _history(path):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not all(isinstance(row, dict) and isinstance(row.get("epoch"), int) for row in rows):
        raise UserError("a row must name its epoch.")
    return rows


def _mapping(path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise UserError(f"must hold a mapping, got {type(value).__name__}.")
    return value


def _metrics(path):
    metrics = _mapping(path)
    for name, value in metrics.items():
        if not isinstance(value, dict):
            raise UserError(f"{name} must be a mapping, got {value!r}.")
    return metrics


def _unfinished(run):
    done = run.history[-1]["epoch"] if run.history else 0
    text = f"Unfinished: {done} of {run.settings.trainer.epochs} epochs"
    if done >= run.settings.trainer.epochs:
        text = "Not evaluated after the last epoch"
    return f"{text}; its curves are shown, its metrics are not."


def shown(path) -> str:
    """Return a path as a command takes it, from the folder that this was called in where it lies below."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
