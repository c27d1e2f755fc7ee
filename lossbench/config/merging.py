"""Laying one layer of settings over another: base file, experiment file, command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lossbench.config.errors import ConfigError
from lossbench.config.schema import Config
from lossbench.config.section import Choice, Many, same_meaning, shapes

Path = tuple[Any, ...]


class Layers:
    """Settings as plain mappings, with the file (or the command line) that each value came from."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self._layers: list[str] = []
        self._source: dict[Path, str] = {}

    def lay(self, layer: dict[str, Any], source: str) -> None:
        """Merge mappings key by key; replace everything else."""
        self._layers.append(source)
        self.settings = self._merged(self.settings, layer, Config, (), source)

    def assign(self, keys: list[str], value: Any, source: str) -> None:
        """Lay a single value over the settings; list members go by index or name."""
        self._layers.append(source)
        self.settings = self._assigned(self.settings, keys, value, Config, (), source)

    def source(self, path: Path, default: str) -> str:
        """Where the value there came from; for a section, or a key missing in it, the last layer that touched it."""
        while path and path not in self._source:
            path = path[:-1]
        inside = {source for place, source in self._source.items() if path and place[: len(path)] == path}
        return max(inside, key=self._layers.index, default=default)

    def at(self, path: Path) -> Any:
        """The value there."""
        value = self.settings
        for key in path:
            value = value[key]
        return value

    def is_later(self, path: Path, other: Path) -> bool:
        """Whether a value was set by a later layer than the whole of another; one that no layer set was not."""
        if path not in self._source:
            return False
        place = self._layers.index
        return place(self._source[path]) > place(self.source(other, self._layers[0]))

    def _merged(self, held: Any, layer: Any, shape: Any, path: Path, source: str) -> Any:
        is_emptied = layer == {} and isinstance(shape, Many) and shape.by_key
        if not isinstance(held, dict) or not isinstance(layer, dict) or is_emptied:
            self._forget(path, held)
            self._record(path, layer, source)
            return layer
        merged = dict(held)
        if isinstance(shape, Choice):
            merged, shape = _without_former_keys(held, layer, shape)
            for key in held.keys() - merged.keys():
                self._forget((*path, key), held[key])
        for key, value in layer.items():
            if value is None and key in merged and isinstance(shape, Many) and shape.by_key:
                self._forget((*path, key), merged.pop(key))
            else:
                merged[key] = self._merged(merged.get(key), value, _within(shape, key), (*path, key), source)
        return merged

    def _assigned(self, held: Any, keys: list[str], value: Any, shape: Any, path: Path, source: str) -> Any:
        if not keys:
            return self._merged(held, value, shape, path, source)
        if isinstance(held, list):
            index = _index(held, keys[0], path, source)
            members = list(held)
            members[index] = self._assigned(held[index], keys[1:], value, _within(shape, index), (*path, index), source)
            return members
        if held is not None and not isinstance(held, dict):
            key, owner = ".".join([*map(str, path), *keys]), ".".join(map(str, path))
            raise ConfigError(f"{source}: {key}: must be a key that exists, got one below {owner}, which is {held!r}")
        held = held or {}
        key, rest = _first_key(held, keys, value, shape)
        if not rest:
            return self._merged(held, {key: value}, shape, path, source)
        model = shape.model(held) if isinstance(shape, Choice) else shape
        inner = self._assigned(held.get(key), rest, value, _within(model, key), (*path, key), source)
        self._source.setdefault((*path, key), source)
        return {**held, key: inner}

    def _record(self, path: Path, value: Any, source: str) -> None:
        self._source[path] = source
        for key, inner in _members(value):
            self._record((*path, key), inner, source)

    def _forget(self, path: Path, value: Any) -> None:
        self._source.pop(path, None)
        for key, inner in _members(value):
            self._forget((*path, key), inner)


def _members(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()


def _without_former_keys(held: dict[str, Any], layer: dict[str, Any], shape: Choice) -> tuple[dict[str, Any], Any]:
    """What is held, without the keys that only the name that `layer` replaces knows; and the model that now counts."""
    former, model = shape.model(held), shape.model({**held, **layer})
    if layer.get(shape.key, held.get(shape.key)) == held.get(shape.key):
        return dict(held), model
    return {key: value for key, value in held.items() if same_meaning(former, model, key)}, model


def _within(shape: Any, key: Any) -> Any:
    if isinstance(shape, Many):
        return shape.member
    return shapes(shape).get(key) if isinstance(shape, type) else None


def _first_key(held: dict[str, Any], keys: list[str], value: Any, shape: Any) -> tuple[str, list[str]]:
    """The next key and the rest; a key of `anneal` holds dots itself."""
    if not (isinstance(shape, Many) and shape.by_key):
        return keys[0], keys[1:]
    whole, all_but_last = ".".join(keys), ".".join(keys[:-1])
    is_entry = isinstance(value, dict) or value is None or len(keys) == 1
    if whole in held or (is_entry and all_but_last not in held):
        return whole, []
    return all_but_last, keys[-1:]


def _index(held: list[Any], key: str, path: Path, source: str) -> int:
    names = [item.get("name") if isinstance(item, dict) else None for item in held]
    if key in names:
        return names.index(key)
    if re.fullmatch("[0-9]{1,9}", key) and int(key) < len(held):
        return int(key)
    owner = ".".join(map(str, path))
    there = ", ".join(name or str(index) for index, name in enumerate(names)) or "none"
    way_out = f"Replace the whole list: {owner}=[...]"
    raise ConfigError(f"{source}: {owner}.{key}: must be a member of {owner} ({there}), got {key!r}. {way_out}")
