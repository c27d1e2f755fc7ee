"""Laying one layer of settings over another: base file, experiment file, command line."""

from __future__ import annotations

from typing import Any

from lossbench.config.errors import ConfigError
from lossbench.config.section import Choice, Many, declared_by, shapes
from lossbench.config.sections import Config

Path = tuple[Any, ...]


class Origins:
    """Remembers which file, or the command line, each value came from."""

    def __init__(self) -> None:
        self._source: dict[Path, str] = {}

    def record(self, path: Path, value: Any, source: str) -> None:
        """Everything under `path` comes from `source`."""
        self._source[path] = source
        members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in members:
            self.record((*path, key), inner, source)

    def of(self, path: Path, default: str) -> str:
        """The source of the value there, or of the nearest section around it."""
        while path:
            if path in self._source:
                return self._source[path]
            path = path[:-1]
        return default


def merge(base: Any, own: Any, node: Any, path: Path, source: str, origins: Origins) -> Any:
    """`own` over `base`, where `node` is the shape of both (see `section.shape`)."""
    if not isinstance(base, dict) or not isinstance(own, dict):
        origins.record(path, own, source)
        return own
    model = node
    if isinstance(node, Choice):
        base, model = _without_former_options(base, own, node)
    result = dict(base)
    for key, value in own.items():
        inner = _inner(model, key)
        if isinstance(node, Many) and node.by_key and value is None:
            result.pop(key, None)
        elif key in result:
            result[key] = merge(result[key], value, inner, (*path, key), source, origins)
        else:
            result[key] = value
            origins.record((*path, key), value, source)
    return result


def _without_former_options(base: dict[str, Any], own: dict[str, Any], node: Choice) -> tuple[dict[str, Any], Any]:
    """The base without the keys that mean something only under the name that `own` replaces; and the model that counts."""
    model = node.model({**base, **own})
    former = node.model(base)
    if own.get(node.key, base.get(node.key)) == base.get(node.key):
        return base, model
    kept = {key: value for key, value in base.items() if _means_the_same(former, model, key)}
    return kept, model


def _means_the_same(former: Any, model: Any, key: str) -> bool:
    owner = declared_by(former, key)
    return owner is not None and owner is declared_by(model, key)


def _inner(model: Any, key: Any) -> Any:
    if isinstance(model, Many):
        return model.member
    return shapes(model).get(key) if isinstance(model, type) else None


def split_key(key: str) -> list[str]:
    """Parts of a dotted key."""
    return [part.strip() for part in key.split(".")]


def assign(raw: dict[str, Any], keys: list[str], value: Any, source: str, origins: Origins) -> None:
    """Put one override into the settings."""
    raw.update(_assigned(raw, keys, value, Config, (), source, origins))


def _assigned(held: Any, keys: list[str], value: Any, node: Any, path: Path, source: str, origins: Origins) -> Any:
    if isinstance(held, list) and keys:
        index = _index(held, keys[0], path)
        member = node.member if isinstance(node, Many) else None
        new = list(held)
        if len(keys) == 1 and not isinstance(value, dict):
            new[index] = value
            origins.record((*path, index), value, source)
        else:
            new[index] = _assigned(held[index], keys[1:], value, member, (*path, index), source, origins)
        return new
    if not keys:
        return merge(held, value, node, path, source, origins)
    if held is None:
        held = {}
    if not isinstance(held, dict):
        shown = ".".join(map(str, path))
        raise ConfigError(
            f"{source}: {'.'.join([shown, *keys])}: must be a key that exists; {shown} is a value, {held!r}"
        )
    key, rest = _first_key(held, keys, value, node)
    if not rest:
        return merge(held, {key: value}, node, path, source, origins)
    model = node.model(held) if isinstance(node, Choice) else node
    if isinstance(node, Choice) and rest == [] and key == node.key:
        return merge(held, {key: value}, node, path, source, origins)
    inner = _inner(model, key)
    new = _assigned(held.get(key), rest, value, inner, (*path, key), source, origins)
    if (*path, key) not in origins._source:
        origins.record((*path, key), None, source)
    return {**held, key: new}


def _first_key(held: dict[str, Any], keys: list[str], value: Any, node: Any) -> tuple[str, list[str]]:
    """The next key and the rest; a key of `anneal` holds dots itself."""
    if not (isinstance(node, Many) and node.by_key):
        return keys[0], keys[1:]
    whole, head = ".".join(keys), ".".join(keys[:-1])
    if whole in held or isinstance(value, dict) or value is None or len(keys) < 2:
        return whole, []
    return head, keys[-1:]


def _index(held: list[Any], key: str, path: Path) -> int:
    names = [item.get("name") if isinstance(item, dict) else None for item in held]
    if key in names:
        return names.index(key)
    if key.isdigit() and int(key) < len(held):
        return int(key)
    shown = ".".join(map(str, path))
    there = ", ".join(str(name) if name else str(index) for index, name in enumerate(names)) or "none"
    raise ConfigError(
        f"command line: {shown}.{key}: must be a member of {shown} ({there}), got {key!r}. Replace the list: {shown}=[...]"
    )
