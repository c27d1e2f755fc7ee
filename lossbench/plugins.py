"""Plugins: Python files of the user's own that bring heads, regularizers, backbones and data sources.

A plugin is a file with any of the tables ``HEADS``, ``REGULARIZERS``, ``BACKBONES`` and ``SOURCES``: names with a class
or function each. It is named on the command line (``--plugin my_losses.py``), in ``LOSSBENCH_PLUGINS``, or comes with
an installed package whose entry points have the group ``lossbench.plugins``. A config, a run or a checkpoint never
chooses code: a run remembers names and checksums of its plugins, not where they were.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path

from lossbench import registry
from lossbench.errors import UserError

VARIABLE = "LOSSBENCH_PLUGINS"
GROUP = "lossbench.plugins"


@dataclass(frozen=True)
class Plugin:
    """A plugin that was loaded."""

    name: str
    checksum: str
    """SHA-256 of its file, and of those beside it or below that it imports."""
    parts: tuple
    """What it brings: `head my_loss`, and so on."""


_loaded: dict[str, Plugin] = {}
_requested: list[Path] = []


def request(path) -> None:
    """Have a plugin's file loaded before any name is looked up; it must exist.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"plugin: {path} must be a Python file, but there is none. Name one such as my_losses.py.")
    _requested.append(path.resolve())
    registry.when_needed(functools.partial(_load_file, path))


def surroundings() -> dict[str, str]:
    """What another process finds in its environment so that it requests the same files."""
    return {VARIABLE: os.pathsep.join(map(str, requested()))} if _requested else {}


def request_from_surroundings() -> None:
    """Request what ``LOSSBENCH_PLUGINS`` lists (paths, separated as in PATH) and what installed packages declare."""
    for path in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        request(path)
    registry.when_needed(_load_entry_points)


def loaded() -> list[Plugin]:
    """The plugins that were loaded, in their order; loads those that wait."""
    for load in registry.pending():
        load()
    return list(_loaded.values())


def used_by(settings) -> dict:
    """Name -> checksum of the plugins whose parts a config names."""
    named = {f"{registry.HEADS.kind} {settings.head.name}", f"{registry.BACKBONES.kind} {settings.backbone.name}"}
    named.add(f"{registry.SOURCES.kind} {settings.data.source}")
    named.update(f"{registry.REGULARIZERS.kind} {regularizer.name}" for regularizer in settings.regularizers)
    return {plugin.name: plugin.checksum for plugin in loaded() if named & set(plugin.parts)}


def _load_file(path: Path) -> None:
    content = path.read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    name = path.stem
    if name in _loaded:
        if _loaded[name].checksum != checksum:
            raise UserError(f"plugin: {path} must have a name of its own, but another {name} is loaded. Rename one.")
        return
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules.setdefault(name, module)
    if str(path.resolve().parent) not in sys.path:
        sys.path.append(str(path.resolve().parent))  # what lies beside it can be imported, and shadows nothing
    try:
        loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"plugin: {path} must run as Python, got {reason}. Run it alone to see where.") from error
    _take(name, _with_helpers(checksum, module, path.resolve()), module, str(path))


def _with_helpers(checksum: str, module, path: Path) -> str:
    """The checksum of a file and of the modules in its folder, or below, that it uses."""
    found, waiting = {}, [module]
    while waiting:
        for value in vars(waiting.pop()).values():
            name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
            used = sys.modules.get(name) if isinstance(name, str) else None
            place = Path(getattr(used, "__file__", None) or os.devnull).resolve()
            is_own = path.parent in place.parents and "site-packages" not in place.parts and place.suffix == ".py"
            if is_own and place != path and place not in found:
                found[place] = hashlib.sha256(place.read_bytes()).hexdigest()
                waiting.append(used)
    if not found:
        return checksum
    return hashlib.sha256("".join([checksum, *(found[place] for place in sorted(found))]).encode()).hexdigest()


def hides_a_module(name: str) -> bool:
    """Whether a file of this name would be imported in place of what Python finds under it now."""
    return importlib.util.find_spec(name) is not None


def requested() -> list[Path]:
    """The files that were asked for, by `--plugin` or otherwise."""
    return list(dict.fromkeys(_requested))


def _load_entry_points() -> None:
    for point in importlib.metadata.entry_points(group=GROUP):
        module = point.load()
        content = Path(module.__file__).read_bytes() if getattr(module, "__file__", None) else b""
        _take(point.name, hashlib.sha256(content).hexdigest(), module, f"package {point.name}")


def _take(name: str, checksum: str, module, where: str) -> None:
    parts = []
    for family in registry.FAMILIES:
        table = getattr(module, family.table_name, {})
        if not isinstance(table, dict):
            raise UserError(f"plugin: {where}: {family.table_name} must be a dict of names and classes, got {table!r}.")
        for part_name, part in table.items():
            family.add(part_name, part)
            parts.append(f"{family.kind} {part_name}")
    if not parts:
        tables = ", ".join(family.table_name for family in registry.FAMILIES)
        raise UserError(
            f"plugin: {where} must have one of the tables {tables}, got none. Write HEADS = {{'my_loss': MyLoss}}."
        )
    _loaded[name] = Plugin(name, checksum, tuple(parts))
