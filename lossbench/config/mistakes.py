"""From what pydantic found to texts that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lossbench.config.schema import Config
from lossbench.config.section import OTHER, Choice, Many, Section, shapes
from lossbench.errors import did_you_mean, nearest

MOST_MISTAKES = 20  # named at once
_RULES = {
    "int_type": "be a whole number",
    "int_from_float": "be a whole number",
    "float_type": "be a number",
    "finite_number": "be a finite number",
    "bool_type": "be true or false",
    "string_type": "be text",
    "tuple_type": "be a list such as [1, 2]",
    "model_type": "be a mapping of keys",
    "dict_type": "be a mapping of keys",
    "string_too_short": "be text of at least one letter",
    "string_pattern_mismatch": "be letters, digits, `_`, `-` and `.`",
    "greater_than": "be > {gt:.12g}",
    "greater_than_equal": "be >= {ge:.12g}",
    "less_than": "be < {lt:.12g}",
    "less_than_equal": "be <= {le:.12g}",
    "multiple_of": "be a multiple of {multiple_of:.12g}",
}


@dataclass(frozen=True)
class Mistake:
    """What is wrong where; `meant` is the key that an unknown one was taken for."""

    path: tuple[Any, ...]
    text: str
    meant: str | None = None

    def shown(self, settings: Any) -> str:
        """The path with dots, list members by their name where it is theirs alone."""
        return ".".join(_named(self.path, settings))


def mistakes(error: ValidationError, settings: Any, root: type[Section] = Config) -> list[Mistake]:
    """The first mistakes, each once: a misspelled key is not also a missing one. `root` judged the settings."""
    first = error.errors(include_url=False)[:MOST_MISTAKES]
    found = [_mistake(details, settings, root) for details in first]
    misspelled = {(*mistake.path[:-1], mistake.meant) for mistake in found if mistake.meant}
    return [mistake for mistake in found if mistake.path not in misspelled]


def _mistake(details: ErrorDetails, settings: Any, root: type[Section]) -> Mistake:
    path, owner = _locate(details["loc"], root)
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "rule":
        return Mistake((*path, *context["path"]), context["text"])
    if kind == "extra_forbidden":
        return _unknown(path, owner, _places(settings, root))
    if kind == "missing":
        return _missing(path, owner, value)
    if kind == "literal_error":
        allowed = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        text = f"must be one of {', '.join(allowed)}, got {_short(value)}{did_you_mean(value, allowed)}"
        return Mistake(path, text)
    text = _RULES[kind].format(**context) if kind in _RULES else f"be valid ({details['msg']})"
    return Mistake(path, f"must {text}, got {_short(value)}{_described(owner, path)}")


def _unknown(path: tuple[Any, ...], owner: type[Section], places: dict[str, str]) -> Mistake:
    known = list(owner.model_fields)
    key, colon, value = str(path[-1]).partition(":")
    if colon and key in known:
        return Mistake(path, f"unknown key; YAML has a space after the colon: `{key}: {value}`", key)
    found = nearest(path[-1], known)
    if found:
        return Mistake(path, f"unknown key; did you mean `{found}`?", found)
    place = places.get(path[-1]) or places.get(nearest(path[-1], places, likeness=0.8) or "")
    hint = f"; did you mean `{place}`?" if place and place != ".".join(map(str, path)) else "."
    return Mistake(path, f"unknown key{hint} Known here: {', '.join(known)}")


def _missing(path: tuple[Any, ...], owner: type[Section], value: Any) -> Mistake:
    if owner.model_config.get("extra") == "allow" and isinstance(value, dict):
        stray = nearest(path[-1], (key for key in value if key not in owner.model_fields))
        if stray:
            return Mistake((*path[:-1], stray), f"unknown key; did you mean `{path[-1]}`?", path[-1])
    return Mistake(path, f"must be given, got nothing{_described(owner, path)}")


def _locate(loc: tuple[Any, ...], root: type[Section]) -> tuple[tuple[Any, ...], Any]:
    """The path without pydantic's tags, and the section class that the last key belongs to."""
    shape: Any = root
    owner: Any = None
    path: list[Any] = []
    for step in loc:
        if isinstance(shape, Choice):  # the step is a tag
            shape = shape.other if step == OTHER else shape.table[step]
        elif isinstance(shape, Many):
            path.append(step)
            shape = shape.member
        elif shape is not None:
            path.append(step)
            owner, shape = shape, shapes(shape).get(step)
        elif isinstance(step, int):  # a member of a list of plain values
            path.append(step)
    return tuple(path), owner


def _named(path: tuple[Any, ...], settings: Any) -> Iterator[str]:
    for step in path:
        name = str(step)
        if isinstance(settings, list):
            names = [member.get("name") if isinstance(member, dict) else None for member in settings]
            unique = isinstance(names[step], str) and names.count(names[step]) == 1
            name = names[step] if unique else name
        yield name
        inside = isinstance(settings, list) or (isinstance(settings, dict) and step in settings)
        settings = settings[step] if inside else None


def _places(settings: Any, root: type[Section]) -> dict[str, str]:
    """Where each key below the top has its (first) place, in sections of the kinds that the settings name."""
    places: dict[str, str] = {}

    def walk(shape: Any, value: Any, path: str) -> None:
        model = shape.model(value) if isinstance(shape, Choice) else shape
        if not isinstance(model, type):
            return
        for key, inner in shapes(model).items():
            places.setdefault(key, path + key)
            walk(inner, value.get(key) if isinstance(value, dict) else None, f"{path}{key}.")

    for section, shape in shapes(root).items():
        walk(shape, settings.get(section) if isinstance(settings, dict) else None, f"{section}.")
    return places


def _described(owner: type[Section], path: tuple[Any, ...]) -> str:
    key = next(step for step in reversed(path) if isinstance(step, str))
    field = owner.model_fields.get(key)
    return f" ({field.description})" if field is not None and field.description else ""


def _short(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
