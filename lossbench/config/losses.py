"""The `head` section and the members of `regularizers`, made of the options that the classes declare."""

from __future__ import annotations

import functools
import inspect
import math
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationInfo, create_model, field_validator, model_validator
from pydantic.fields import FieldInfo

from lossbench import registry
from lossbench.config.section import Choice, Section, known_name, rule
from lossbench.options import BadOption, Count, Flag, Number, Option, options_of
from lossbench.options import Choice as OneOf


class LossSection(Section):
    """What the sections of all losses have; `block` is the class that declared the options."""

    block: ClassVar[Any] = None
    options: ClassVar[dict] = {}

    def scheduled(self) -> tuple[str, ...] | None:
        """Names of the values that a schedule may move; None where only the block itself knows."""
        if not hasattr(self.block, "schedulable"):
            return None
        return self.block.schedulable({name: getattr(self, name) for name in self.block.options})

    @model_validator(mode="after")
    def _agree(self) -> LossSection:
        if hasattr(self.block, "agree"):
            try:
                self.block.agree({name: getattr(self, name) for name in self.block.options})
            except BadOption as bad:
                value = {True: "true", False: "false"}.get(bad.value, repr(bad.value))
                raise rule(f"must {bad.rule}, got {value}. {bad.way_out.rstrip('.')}", bad.name) from None
        return self


class HeadSection(LossSection):
    """What every head has."""

    loss_weight: float = Field(1.0, ge=0, description="factor on the head's loss, >= 0; 0 needs the head frozen")
    sample: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the classes that a step computes, in (0, 1]: those of its images and random others",
    )
    parallel: Literal["classes"] | None = Field(
        None, description="classes: with --distributed every rank has a range of the classes; null: all of them"
    )

    @model_validator(mode="after")
    def _can_be_sampled(self) -> HeadSection:
        reason = getattr(self.block, "needs_all_classes", "it does not derive from lossbench.Head")
        if self.sample < 1 and reason:
            raise rule(f"must be 1 for this head, got {self.sample:g}: {reason}. Take another head", "sample")
        return self


class UnknownHead(HeadSection):
    """Only here to refuse a name."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="name of a head")

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return known_name(name, "head", registry.HEADS.table())


class UnknownRegularizer(LossSection):
    """Only here to refuse a name."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="name of the regularizer")

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return known_name(name, "regularizer", registry.REGULARIZERS.table())


@functools.cache
def section_of(block: Any, name: str, base: type[LossSection]) -> type[LossSection]:
    """The section of a class of losses under one of its names."""
    options = options_of(block)
    summary = (block.__doc__ or name).strip().partition("\n")[0].rstrip(".")
    fields: dict[str, Any] = {"name": (Literal[name], Field(description=summary))}
    fields.update({key: (_type(option), _field(option)) for key, option in options.items()})
    checks = {f"_{key}": _check(key, option) for key, option in options.items() if isinstance(option, Number)}
    model = create_model(f"{block.__name__}Section", __base__=base, __validators__=checks, **fields)
    model.block, model.options = block, options
    return model


def _type(option: Option) -> Any:
    plain = {Number: float, Count: int, Flag: bool}.get(type(option), Any)
    if isinstance(option, OneOf):
        return Literal[option.choices]
    if isinstance(option, Number) and option.word:
        return Any
    return plain | None if option.default is None and plain is not Any else plain


def _field(option: Option) -> FieldInfo:
    bounds: dict[str, Any] = {}
    if isinstance(option, Count):
        bounds = {"ge": option.at_least}
    elif isinstance(option, Number) and not option.word:
        bounds = {"ge": option.at_least, "gt": option.above, "le": option.at_most, "lt": option.below}
    bounds = {key: bound for key, bound in bounds.items() if bound is not None}
    default = ... if option.default is inspect.Parameter.empty else option.default
    return Field(default, description=option.description, **bounds)


def _check(key: str, option: Number) -> Any:
    """What pydantic's own bounds do not say: a word in place of a number, degrees in place of radians."""

    def check(cls: type, value: Any, info: ValidationInfo) -> Any:
        if option.word:
            if value != option.word and not option.holds(value):
                known = f"a number {option.range.partition(', or ')[0]} or {option.word}"
                raise rule(f"must be {known}, got {value!r}. The default is {option.default:g}")
        elif option.looks_like_degrees(value):
            way_out = f"If that is degrees, write {math.radians(value):.4g}"
            raise rule(f"must be {option.interval} radians, got {value}. {way_out}")
        return value

    return field_validator(key, mode="before")(check)


def _sections(family: registry.Family, base: type[LossSection]) -> dict[str, type[Section]]:
    return {name: section_of(block, name, base) for name, block in family.table().items()}


Head: Any = Choice("name", lambda: _sections(registry.HEADS, HeadSection), UnknownHead).annotation()
Regularizer: Any = Choice(
    "name", lambda: _sections(registry.REGULARIZERS, LossSection), UnknownRegularizer
).annotation()
