"""Names -> classes: the heads, regularizers, backbones and data sources that configs may name.

Each room brings a table of its own; plugins and callers add to it. A room is imported when its table is first looked
at, so that a command's help needs no MXNet.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from lossbench.errors import UserError, nearest


class Family:
    """One kind of part, by the names that configs use.

    Parameters
    ----------
    kind : str
        What one of them is called, such as ``head``.
    room : str
        The package that brings the built-in ones.
    table : str
        The name of the table in that room and in a plugin, such as ``HEADS``.
    """

    def __init__(self, kind: str, room: str, table: str):
        self.kind, self.room, self.table_name = kind, room, table
        self._added: dict = {}

    def built_in(self) -> dict:
        """The table that the package brings."""
        return getattr(importlib.import_module(self.room), self.table_name)

    def table(self) -> dict:
        """Every name with its class or function: the built-in ones, then those of plugins and callers."""
        for load in pending():
            load()
        return {**self.built_in(), **self._added}

    def get(self, name: str):
        """The class or function of that name.

        Raises
        ------
        ValueError
            If there is none.
        """
        table = self.table()
        if name not in table:
            hint = nearest(name, table)
            way_out = f"Did you mean {hint}?" if hint else "Another one comes with its plugin: --plugin FILE."
            option = "source" if self.room == "lossbench.data" else "name"
            raise UserError(
                f"{self.room.rpartition('.')[2]}: `{option}` must be one of {', '.join(table)}, got {name!r}. {way_out}"
            )
        return table[name]

    def add(self, name: str, part: Any) -> None:
        """Make a part known by a name, which must be new."""
        if not isinstance(name, str) or not name:
            raise UserError(f"{self.table_name}: name must be text, got {name!r}. Write {{'my_{self.kind}': ...}}.")
        if not isinstance(part, type) and not inspect.isroutine(part):
            raise UserError(
                f"{self.table_name}: {name} must be a class or a function, got one {type(part).__name__}. Name the "
                "class itself, without calling it."
            )
        known = {**self.built_in(), **self._added}
        if name in known and known[name] is not part:
            raise UserError(
                f"{self.table_name}: name must not be one that there is already, got {name!r}. Choose another."
            )
        self._added[name] = part
        if isinstance(part, type) and not vars(part).get("names"):
            setattr(part, "names", (name,))  # noqa: B010
            setattr(part, "config_name", name)  # noqa: B010
        _changes.append(name)


def named(found, base: Any) -> dict:
    """The table of a room: every class of `found` that is a `base` and has names, by each of them."""
    classes = [one for one in found if isinstance(one, type) and issubclass(one, base)]
    return {name: one for one in dict.fromkeys(classes) for name in getattr(one, "names", ())}


HEADS = Family("head", "lossbench.heads", "HEADS")
REGULARIZERS = Family("regularizer", "lossbench.regularizers", "REGULARIZERS")
BACKBONES = Family("backbone", "lossbench.backbones", "BACKBONES")
SOURCES = Family("data source", "lossbench.data", "SOURCES")
FAMILIES = (HEADS, REGULARIZERS, BACKBONES, SOURCES)

_pending: list = []
_changes: list = []


def when_needed(load: Callable[[], None]) -> None:
    """Call a function once, before any table is next looked at: how a plugin waits for its turn."""
    _pending.append(load)


def pending() -> Iterator[Callable[[], None]]:
    """Take the functions that wait."""
    while _pending:
        yield _pending.pop(0)


def version() -> int:
    """Return a number that grows whenever a part is added or taken away; plugins that wait are loaded first."""
    for load in pending():
        load()
    return len(_changes)


@contextlib.contextmanager
def added(heads=(), regularizers=(), backbones=(), sources=()):
    """Make parts known by name within a ``with`` statement: dicts, or iterables of pairs of a name and a part.

    Examples
    --------
    >>> from lossbench.heads import Softmax
    >>> with added(heads={"mine": Softmax}):
    ...     "mine" in HEADS.table()
    True
    >>> "mine" in HEADS.table()
    False
    """
    before = [dict(family._added) for family in FAMILIES]
    try:
        for family, parts in zip(FAMILIES, (heads, regularizers, backbones, sources)):
            for name, part in dict(parts).items():
                family.add(name, part)
        yield
    finally:
        for family, former in zip(FAMILIES, before):
            family._added = former
        _changes.append(None)
