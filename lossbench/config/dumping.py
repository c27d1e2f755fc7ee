"""From a config back to YAML, and what differs between two."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lossbench.config import plain, yaml_file
from lossbench.config.schema import Config
from lossbench.config.section import Section

_CHOOSING = ("name", "source", "kind")
_COMMENT_COLUMN = 40


def dump(config: Config, *, comments: bool = False) -> str:
    """The resolved config as YAML, every key in it; `load` reads it back equal. `comments` describes each key."""
    if comments:
        return "\n".join(_commented(config, "")) + "\n"
    return yaml_file.write(_plain(config))


def as_override(key: str, value: Any) -> str:
    """Write a dotted key and its value as `load` and the command line take them.

    Examples
    --------
    >>> as_override("head.margin", 0.3), as_override("head.name", "lgm"), as_override("anneal", {})
    ('head.margin=0.3', 'head.name=lgm', 'anneal={}')
    """
    if isinstance(value, str) and value.isidentifier() and yaml_file.parse(value) == value:
        return f"{key}={value}"
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def differences(a: Config, b: Config) -> list[str]:
    """Dotted keys whose values differ, in the order of the file."""
    first, second = values(a), values(b)
    missing = object()
    keys = [*first, *(key for key in second if key not in first)]
    return [key for key in keys if first.get(key, missing) != second.get(key, missing)]


def changes(recorded: Config, wanted: Config) -> list[str]:
    """Return the dotted keys in which a config asks for more than a run of `recorded` is, or for something else.

    `trainer.precision: fastest` asks for no precision of its own: whatever a run was begun in is that.
    """
    return [
        key
        for key in differences(recorded, wanted)
        if not (key == "trainer.precision" and wanted.trainer.precision == "fastest")
    ]


def values(config: Config) -> dict[str, Any]:
    """Value of every dotted key, in the order of the file; list members go by their name, as in an override."""
    return plain.flat(_plain(config))


def _members(section: Section) -> dict[str, Any]:
    """Keys and values; the key that chooses a model comes first."""
    members = {key: getattr(section, key) for key in type(section).model_fields}
    members.update(section.model_extra or {})
    return {key: members[key] for key in sorted(members, key=lambda key: key not in _CHOOSING)}


def _plain(value: Any) -> Any:
    """Mappings, lists and values as YAML has them."""
    if isinstance(value, (Section, dict)):
        members = _members(value) if isinstance(value, Section) else value
        return {key: _plain(inner) for key, inner in members.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _commented(section: Section, indent: str) -> Iterator[str]:
    for key, value in _members(section).items():
        field = type(section).model_fields.get(key)
        yield from _entry(key, value, field.description if field else None, indent)


def _entry(key: str, value: Any, description: str | None, indent: str) -> Iterator[str]:
    comment = f"# {description}" if description else ""
    if isinstance(value, Section):
        yield _beside(f"{indent}{key}:", comment)
        yield from _commented(value, indent + "  ")
    elif isinstance(value, dict) and any(isinstance(inner, Section) for inner in value.values()):
        yield _beside(f"{indent}{key}:", comment)
        for path, inner in value.items():
            yield from _entry(path, inner, None, indent + "  ")
    elif isinstance(value, tuple) and any(isinstance(item, Section) for item in value):
        yield _beside(f"{indent}{key}:", comment)
        for item in value:
            first, *rest = _commented(item, indent + "    ")
            yield from (f"{indent}  - {first.lstrip()}", *rest)
    else:
        first, *rest = yaml_file.write({key: _plain(value)}).splitlines()
        yield from (_beside(indent + first, comment), *(indent + line for line in rest))


def _beside(text: str, comment: str) -> str:
    return f"{text.ljust(_COMMENT_COLUMN)}  {comment}" if comment else text
