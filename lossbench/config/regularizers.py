"""Options of every regularizer."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Union

from pydantic import ConfigDict, Field, field_validator

from lossbench.config.section import Section, choice, known_name, rule


class RegularizerSection(Section):
    """What every regularizer has."""

    SCHEDULED: ClassVar[tuple[str, ...]] = ("loss_weight",)

    def scheduled(self) -> tuple[str, ...]:
        """Names of the values that a schedule may move."""
        return self.SCHEDULED


class CenterSection(RegularizerSection):
    """Center loss."""

    name: Literal["center"] = Field(description="center loss")
    loss_weight: float = Field(0.01, ge=0, description="factor on half the squared distance to the centre, >= 0")
    alpha: float = Field(0.5, ge=0, le=1, description="learning rate of the centres, in [0, 1]")


class RingSection(RegularizerSection):
    """Ring loss."""

    name: Literal["ring"] = Field(description="ring loss")
    loss_weight: float = Field(0.01, ge=0, description="factor on half the squared distance to the ring, >= 0")
    radius: Union[float, Literal["auto"]] = Field(
        1.0, description="start of the learned radius, >= 0.001, or auto: mean norm of the first batch"
    )

    @field_validator("radius", mode="before")
    @classmethod
    def _length_or_auto(cls, value: object) -> object:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value == "auto" or (is_number and 1e-3 <= value < math.inf):
            return value
        raise rule(f"must be a number >= 0.001 or auto, got {value!r}. The default is 1")


class UnknownRegularizer(RegularizerSection):
    """Only here to refuse a name."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="name of the regularizer")

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return known_name(name, "regularizer", REGULARIZERS)


REGULARIZERS = {"center": CenterSection, "ring": RingSection}
Regularizer = choice("name", REGULARIZERS, UnknownRegularizer)
