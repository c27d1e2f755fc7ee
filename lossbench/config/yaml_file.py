"""YAML as configs use it: the YAML 1.2 core types (`1e-3` is a number, `no` is text), no aliases, no duplicate keys.

Of PyYAML only the parser reads: no text can have an object built, or take more time and memory than its size.
"""

from __future__ import annotations

import copy
import functools
import re
from pathlib import Path
from typing import Any

import yaml

from lossbench import paths
from lossbench.config.errors import ConfigError

MOST_BYTES = 200_000
DEEPEST = 32
MOST_WHOLE = 2**63 - 1
_TYPES = {  # YAML 1.2, section 10.3.2
    "null": (r"null|Null|NULL|~|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
_TAG = "tag:yaml.org,2002:"


class YamlError(ValueError):
    """What is wrong with a text, with the line, in one line."""


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


for _name, (_pattern, _first) in _TYPES.items():
    _Dumper.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)
_Dumper.add_representer(
    list,
    lambda dumper, items: dumper.represent_sequence(
        f"{_TAG}seq", items, flow_style=not any(isinstance(item, (dict, list)) for item in items)
    ),
)


def parse(text: str) -> Any:
    """The value that a YAML text describes, one's own to change; raises YamlError."""
    return copy.deepcopy(_parsed(text))


@functools.lru_cache(maxsize=256)  # the runs of a sweep share their config's files, and reading one is slow
def _parsed(text: str) -> Any:
    if len(text) > MOST_BYTES:
        raise YamlError(f"must have at most {MOST_BYTES:,} letters, got {len(text):,}")
    loader: Any = None
    try:
        loader = yaml.SafeLoader(text)
        loader.get_event()  # the stream's start
        if loader.check_event(yaml.StreamEndEvent):
            return None
        loader.get_event()  # the document's
        value = _value(loader, 0)
        loader.get_event()  # and its end
        if not loader.check_event(yaml.StreamEndEvent):
            raise _problem("but found another document", loader.peek_event())
        return value
    except yaml.reader.ReaderError as error:  # it has a position alone
        line, reason = text.count("\n", 0, error.position) + 1, f"character {error.character:#06x}: {error.reason}"
    except yaml.MarkedYAMLError as error:
        line, reason = error.problem_mark.line + 1, error.problem
    except YamlError:
        raise
    except (ValueError, OverflowError):  # of PyYAML's own conversions
        line, reason = loader.line + 1, "an escape or a version is out of range"
    raise YamlError(" ".join(f"line {line}: {reason}".split())) from None


def _value(loader: Any, depth: int) -> Any:
    event = loader.get_event()
    if isinstance(event, yaml.AliasEvent):
        raise _problem(f"alias *{event.anchor} is not supported; write the value out, or use base:", event)
    if depth > DEEPEST:
        raise _problem(f"lists and mappings must nest at most {DEEPEST} deep; write less into one value", event)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    is_list = isinstance(event, yaml.SequenceStartEvent)
    if event.tag not in (None, "!", f"{_TAG}seq" if is_list else f"{_TAG}map"):
        raise _unknown_tag(event)
    members: list = []
    mapping: dict = {}
    while not loader.check_event(yaml.SequenceEndEvent, yaml.MappingEndEvent):
        if is_list:
            members.append(_value(loader, depth + 1))
        else:
            key = _key(loader, mapping, depth + 1)
            mapping[key] = _value(loader, depth + 1)
    loader.get_event()
    return members if is_list else mapping


def _key(loader: Any, mapping: dict, depth: int) -> str:
    event = loader.peek_event()
    key = _value(loader, depth)
    if not isinstance(key, str):
        raise _problem(f"key {key!r} must be text; quote it", event)
    if key in mapping:
        raise _problem(f"key `{key}` is there twice; remove one", event)
    return key


def _scalar(event: Any) -> Any:
    text, kind = event.value, _kind(event)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        value = int(text, 0 if text[:2] in ("0o", "0x") else 10) if len(text) < 100 else MOST_WHOLE + 1
        if abs(value) > MOST_WHOLE:
            raise _problem("a whole number must have at most 64 bits; write it with `e`, or quote it as text", event)
        return value
    if kind == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if re.search("[\0\ud800-\udfff]", text):
        raise _problem("text must be without null characters and halves of surrogate pairs; remove them", event)
    return text


def _kind(event: Any) -> str:
    if event.tag in (None, "!"):
        matching = (kind for kind, (pattern, _) in _TYPES.items() if re.fullmatch(pattern, event.value))
        return next(matching, "str") if event.tag is None and event.implicit[0] else "str"
    kind = event.tag[len(_TAG) :] if event.tag.startswith(_TAG) else ""
    if kind not in (*_TYPES, "str"):
        raise _unknown_tag(event)
    if kind != "str" and not re.fullmatch(_TYPES[kind][0], event.value):
        raise _problem(f"tag !!{kind} must have such a value, got {event.value!r}; leave it out", event)
    return kind


def _unknown_tag(event: Any) -> YamlError:
    return _problem(f"could not determine a constructor for the tag {event.tag!r}", event)


def _problem(text: str, event: Any) -> YamlError:
    return YamlError(" ".join(f"line {event.start_mark.line + 1}: {text}".split()))


def write(value: Any) -> str:
    """YAML that `parse` reads back equal; lists of plain values on one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def read(path: Path) -> dict:
    """The mapping in a file."""
    try:
        with paths.open_regular(path) as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigError(f"config {path}: file must have at most {MOST_BYTES:,} bytes, got more. Is it a config?")
        value = parse(content.decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"config {path}: file must exist. {_beside(path)}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"config {path}: line {line}: must be YAML in UTF-8, got other bytes. Is it a config?"
        ) from None
    except OSError as error:
        raise ConfigError(f"config {path}: file must be readable, got: {error.strerror}. Name a YAML file") from None
    except YamlError as error:
        raise ConfigError(f"config {path}: must be YAML; {error}") from None
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
