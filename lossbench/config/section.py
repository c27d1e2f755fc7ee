"""What every section of a config is made of: the strict frozen model, choices by name, and how to walk the schema."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
)
from pydantic_core import CoreSchema, PydanticCustomError

from lossbench import patterns
from lossbench.errors import did_you_mean

T = TypeVar("T")
OTHER = "other"  # the tag of the model that takes a user's own head, backbone or data source


class Section(BaseModel):
    """A part of a config: frozen, typed strictly (no `"1"` for 1, no `true` for 1.0), without unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=(), defer_build=True
    )


def rule(text: str, *path: Any) -> PydanticCustomError:
    """An error that reads `must ..., got .... <way out>`; `path` says where, seen from the validated value."""
    return PydanticCustomError("rule", "{text}", {"text": text, "path": path})


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _compiles(pattern: str) -> str:
    if len(pattern) > patterns.MOST_LETTERS:
        raise rule(f"must have at most {patterns.MOST_LETTERS:,} letters, got {len(pattern):,}")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise rule(
            f"must be a regular expression, got {pattern!r}: {error}. Escape special characters with \\"
        ) from None
    return pattern


Plain = StrictBool | StrictInt | StrictFloat | StrictStr
Items = Annotated[tuple[T, ...], BeforeValidator(_as_tuple)]
Pattern = Annotated[str, AfterValidator(_compiles)]


@dataclass(frozen=True)
class Choice:
    """Marks a section whose keys depend on the value of one of them, `key`.

    `models` returns the table that maps that value to a model; it is called when a config is first validated, and again
    after `registry` has changed. `other` judges every other value.
    """

    key: str
    models: Callable[[], dict[str, type[Section]]]
    other: type[Section]

    @property
    def table(self) -> dict[str, type[Section]]:
        return self.models()

    def annotation(self) -> Any:
        """The type of a field that holds such a section."""
        return Annotated[Any, self]

    def model(self, value: Any) -> type[Section]:
        """The model for a mapping as it was read."""
        name = value.get(self.key) if isinstance(value, dict) else None
        return self.table.get(name, self.other) if isinstance(name, str) else self.other

    def tag(self, value: Any) -> str:
        name = value.get(self.key) if isinstance(value, dict) else getattr(value, self.key, None)
        return name if isinstance(name, str) and name in self.table else OTHER

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        members = [Annotated[model, Tag(name)] for name, model in self.table.items()]
        members.append(Annotated[self.other, Tag(OTHER)])
        return handler.generate_schema(Annotated[Union[tuple(members)], Discriminator(self.tag)])  # noqa: UP007


def choice(key: str, table: dict[str, Any], other: type[Section]) -> Any:
    """A type: the model that `table` names under the value of `key`; `other` judges every other value."""
    return Choice(key, lambda: table, other).annotation()


def known_name(value: str, kind: str, names: Any) -> str:
    """Accept a name that is known; refuse any other with the list of those that there are."""
    if value in names:
        return value
    article = "an" if kind[0] in "aeiou" else "a"
    raise rule(f"must name {article} {kind} ({', '.join(names)}), got {value!r}{did_you_mean(value, names)}")


@dataclass(frozen=True)
class Many:
    """A list (`by_key` False) or a mapping with free keys (`by_key` True) whose members look like `member`."""

    member: Any
    by_key: bool


def shape(annotation: Any) -> Any:
    """What an annotation describes: a Section class, a Choice, a Many, or None for a plain value."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return next((mark for mark in marks if isinstance(mark, Choice)), None) or shape(inner)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) is tuple:
        return Many(shape(get_args(annotation)[0]), by_key=False)
    if get_origin(annotation) is dict:
        return Many(shape(get_args(annotation)[1]), by_key=True)
    if get_origin(annotation) in (Union, UnionType):
        return next((found for found in map(shape, get_args(annotation)) if found is not None), None)
    return None


@functools.cache
def shapes(model: type[Section]) -> dict[str, Any]:
    """Of every key of a section, what it describes."""
    hints = get_type_hints(model, include_extras=True)
    return {name: shape(hints[name]) for name in model.model_fields}


def same_meaning(former: type[Section] | None, model: type[Section] | None, key: str) -> bool:
    """Whether a key means the same in two sections: it is one option, or a field that both inherit."""
    option = getattr(former, "options", {}).get(key)
    if option is not None:
        return option is getattr(model, "options", {}).get(key)
    owner = _declared_by(former, key)
    return owner is not None and owner is _declared_by(model, key)


def _declared_by(model: type[Section] | None, key: str) -> type | None:
    """The class in which a key of a section is written down."""
    for owner in model.__mro__ if model else ():
        if key in owner.__dict__.get("__annotations__", {}):
            return owner
    return None
