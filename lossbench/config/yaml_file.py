"""YAML as configs use it: the YAML 1.2 core types (`1e-3` is a number, `no` is text), no aliases, no duplicate keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from lossbench.config.errors import ConfigError

_TYPES = {  # YAML 1.2, section 10.3.2
    "null": (r"null|Null|NULL|~|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None,
                None,
                f"alias *{event.anchor} is not supported; write the value out, or use base:",
                event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        seen: set = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _problem(f"key {key!r} must be text; quote it", key_node)
            if key in seen:
                raise _problem(f"key `{key}` is there twice; remove one", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def flatten_mapping(self, node: Any) -> None:
        """Do nothing: merge keys (`<<`) are not part of YAML 1.2."""

    def construct_yaml_int(self, node: Any) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _problem(text: str, node: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


for _kind, (_pattern, _first) in _TYPES.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Dumper.add_representer(
    list,
    lambda dumper, items: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", items, flow_style=not any(isinstance(item, (dict, list)) for item in items)
    ),
)


def parse(text: str) -> Any:
    """The value that a YAML text describes; raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)  # a safe loader


def write(value: Any) -> str:
    """YAML that `parse` reads back equal; lists of plain values on one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def explain(error: yaml.YAMLError) -> str:
    """What is wrong, with the line, in one line."""
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {text}" if mark is not None else text


def read(path: Path) -> dict:
    """The mapping in a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"config {path}: file must exist. {_beside(path)}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"config {path}: line {line}: must be YAML in UTF-8, got other bytes. Is it a config?"
        ) from None
    except OSError as error:
        raise ConfigError(f"config {path}: file must be readable, got: {error.strerror}. Name a YAML file") from None
    try:
        value = parse(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"config {path}: must be YAML; {' '.join(explain(error).split())}") from None
    if value is None:
        raise ConfigError(f"config {path}: line 1: must hold sections such as `head:`, got an empty file")
    if not isinstance(value, dict):
        raise ConfigError(
            f"config {path}: line 1: must be a mapping of sections, got {_kind_of(value)}. Write `key: value`"
        )
    return value


def _kind_of(value: Any) -> str:
    return "a list" if isinstance(value, list) else "text" if isinstance(value, str) else repr(value)


def _beside(path: Path) -> str:
    from lossbench.errors import nearest

    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml"))
    except OSError:
        return f"There is no folder {path.parent}"
    found = nearest(path.name, names)
    if found:
        return f"Did you mean {path.parent / found}?"
    return f"There are: {', '.join(names)}" if names else f"There is no YAML file in {path.parent}"
