"""The configs that come with lossbench, found by name from any folder."""

from __future__ import annotations

import difflib
from pathlib import Path

from lossbench.config.errors import ConfigError


def folder() -> Path:
    """Where they are: within the package where it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def names(below: str = "") -> list[str]:
    """Those of experiments, or those in a folder below, such as `sweeps`."""
    return sorted(path.stem for path in (folder() / below).glob("*.yaml"))


def find(named: str | Path, below: str = "") -> Path:
    """Return the file that is meant: a path, or the name of a shipped config where no such file is there.

    Raises
    ------
    ConfigError
        If it looks like a name and no shipped config has it.
    """
    path = Path(named)
    if path.suffix or len(path.parts) != 1 or path.exists():
        return path
    known = names(below)
    if str(path) in known:
        return folder() / below / f"{path}.yaml"
    close = difflib.get_close_matches(str(path), known, 1)
    lists = f"There are: {', '.join(known)}" if below else "`lossbench configs` lists them"
    way_out = f"Did you mean {close[0]}?" if close else lists
    raise ConfigError(f"config {path}: must be a file, or the name of a config that lossbench has. {way_out}")
