"""From what pydantic found to lines that a user can act on."""

from __future__ import annotations

import difflib
from typing import Any, Optional

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lossbench.config.errors import nearest
from lossbench.config.section import OTHER, Choice, Many, Section, shapes
from lossbench.config.sections import Config

_RULES = {
    "int_type": "be a whole number",
    "int_from_float": "be a whole number",
    "float_type": "be a number",
    "finite_number": "be a finite number",
    "bool_type": "be true or false",
    "string_type": "be text",
    "tuple_type": "be a list such as [1, 2]",
    "model_type": "be a mapping of keys",
    "model_attributes_type": "be a mapping of keys",
    "dict_type": "be a mapping of keys",
    "string_too_short": "be text of at least one letter",
    "string_pattern_mismatch": "be letters, digits, `_`, `-` and `.`",
    "greater_than": "be > {gt}",
    "greater_than_equal": "be >= {ge}",
    "less_than": "be < {lt}",
    "less_than_equal": "be <= {le}",
}


def problems(error: ValidationError, raw: dict[str, Any]) -> list[tuple[tuple[Any, ...], str, str]]:
    """Path in `raw`, key as shown, and text of every mistake; a missing key that was merely misspelt counts once."""
    found = [_problem(details, raw) for details in error.errors(include_url=False)]
    misspelt = {(path[:-1], meant) for path, _, _, meant in found if meant}
    kept: dict[tuple[Any, ...], tuple[tuple[Any, ...], str, str]] = {}
    for (path, key, text, meant), details in zip(found, error.errors(include_url=False)):
        if details["type"] == "missing" and not meant and (path[:-1], path[-1]) in misspelt:
            continue
        kept.setdefault(path, (path, key, text))
    return list(kept.values())


def _problem(details: ErrorDetails, raw: dict[str, Any]) -> tuple[tuple[Any, ...], str, str, Optional[str]]:
    path, owner = _locate(details["loc"])
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "rule":
        path = (*path, *_split(context["key"], path)) if context["key"] else path
        return path, _shown(path, raw), details["msg"], None
    if kind == "extra_forbidden":
        text, meant = _unknown(path, owner)
        return path, _shown(path, raw), text, meant
    description = _describe(owner, path)
    if kind == "missing":
        for key in difflib.get_close_matches(path[-1], _strays(value, owner), n=1):
            return (
                (*path[:-1], key),
                _shown((*path[:-1], key), raw),
                f"unknown key; did you mean `{path[-1]}`?",
                path[-1],
            )
        return path, _shown(path, raw), f"must be given, got nothing{description}", None
    if kind == "literal_error":
        allowed = _literals(context["expected"])
        return (
            path,
            _shown(path, raw),
            f"must be one of {', '.join(allowed)}, got {_short(value)}{_meant(value, allowed)}",
            None,
        )
    text = _RULES.get(kind)
    text = f"must {text.format(**context)}" if text else details["msg"]
    return path, _shown(path, raw), f"{text}, got {_short(value)}{description}", None


def _locate(loc: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """The path without pydantic's tags, and the section class that the last key belongs to."""
    node: Any = Config
    path: list[Any] = []
    owner: Any = None
    for step in loc:
        if isinstance(node, Choice):
            node = node.other if step == OTHER else node.table[step]
            continue
        if node is None:
            if isinstance(step, int):
                path.append(step)
            continue  # a member of a list of plain values, or a branch of a union
        path.append(step)
        if isinstance(node, Many):
            node = node.member
        else:
            owner, node = node, shapes(node).get(step)
    return tuple(path), owner


def _split(key: str, path: tuple[Any, ...]) -> tuple[str, ...]:
    if not path and key.startswith("anneal."):  # the path in between holds dots itself
        rest = key[len("anneal.") :]
        for end in (".start", ".end", ".cap", ".floor", ".base"):
            if rest.endswith(end) and rest.count(".") >= 2 and not rest == f"head{end}":
                return ("anneal", rest[: -len(end)], end[1:])
        return ("anneal", rest)
    return tuple(key.split("."))


def _shown(path: tuple[Any, ...], raw: Any) -> str:
    """The path with dots, list members by their name where they have one of their own."""
    parts: list[str] = []
    value = raw
    for step in path:
        part = str(step)
        if isinstance(value, list) and isinstance(step, int) and step < len(value):
            names = [item.get("name") if isinstance(item, dict) else None for item in value]
            if isinstance(names[step], str) and names.count(names[step]) == 1:
                part = names[step]
        parts.append(part)
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
    return ".".join(parts)


def _unknown(path: tuple[Any, ...], owner: type[Section]) -> tuple[str, Optional[str]]:
    known = list(owner.model_fields)
    found = nearest(path[-1], known)
    if found:
        return f"unknown key; did you mean `{found}`?", found
    elsewhere = _elsewhere()
    full = elsewhere.get(str(path[-1])) or elsewhere.get(nearest(path[-1], elsewhere) or "")
    hint = f"; did you mean `{full}`?" if full and full != ".".join(map(str, path)) else ""
    return f"unknown key{hint or '.'} Known here: {', '.join(known)}", None


def _elsewhere() -> dict[str, str]:
    """Where each key of the fixed sections lives."""
    places: dict[str, str] = {}

    def walk(node: Any, path: str) -> None:
        models = [*node.table.values()] if isinstance(node, Choice) else [node] if isinstance(node, type) else []
        for model in models:
            for key, inner in shapes(model).items():
                places.setdefault(key, f"{path}{key}")
                walk(inner, f"{path}{key}.")

    for key, node in shapes(Config).items():
        walk(node, f"{key}.")
    return places


def _strays(value: Any, owner: type[Section]) -> list[str]:
    free = isinstance(value, dict) and owner.model_config.get("extra") == "allow"
    return [key for key in value if key not in owner.model_fields] if free else []


def _describe(owner: Any, path: tuple[Any, ...]) -> str:
    key = next((step for step in reversed(path) if isinstance(step, str)), "")
    field = owner.model_fields.get(key) if owner is not None else None
    return f" ({field.description})" if field is not None and field.description else ""


def _literals(expected: str) -> list[str]:
    return [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]


def _meant(value: Any, allowed: list[str]) -> str:
    found = nearest(value, allowed) if isinstance(value, str) else None
    return f"; did you mean `{found}`?" if found else ""


def _short(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
