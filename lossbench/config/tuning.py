"""Which settings of a sweep's variants are searched, within which ranges, with which budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from lossbench.config.section import Items, Plain, Section, choice, known_name, rule


class RangeSection(Section):
    """What every kind has."""

    def ends(self) -> tuple:
        """Values that must suit the key if all between are to."""
        raise NotImplementedError

    def holds(self, value: Any) -> bool:
        """Whether a trial may have it."""
        raise NotImplementedError

    def at(self, share: float) -> Any:
        """The value that so much of the range, in [0, 1), lies below."""
        raise NotImplementedError


class _Between(RangeSection):
    @model_validator(mode="after")
    def _ordered(self: Any) -> Any:
        if self.high <= self.low:
            raise rule(f"must be above low ({self.low:g}), got {self.high:g}. It is the upper end", "high")
        return self

    def ends(self: Any) -> tuple:
        return self.low, self.high

    def holds(self: Any, value: Any) -> bool:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high


class FloatRange(_Between):
    """Numbers, each part of the range as likely as another."""

    kind: Literal["float"] = Field(description="a number between low and high")
    low: float = Field(description="lower end")
    high: float = Field(description="upper end, > low")

    def at(self, share: float) -> float:
        return min(self.low + share * (self.high - self.low), self.high)


class LogRange(_Between):
    """Numbers, each factor as likely as another."""

    kind: Literal["log"] = Field(description="a number between low and high, by its logarithm")
    low: float = Field(gt=0, description="lower end, > 0")
    high: float = Field(gt=0, description="upper end, > low")

    def at(self, share: float) -> float:
        return min(self.low * (self.high / self.low) ** share, self.high)


class IntegerRange(_Between):
    """Whole numbers."""

    kind: Literal["integer"] = Field(description="a whole number from low to high")
    low: int = Field(description="lower end")
    high: int = Field(description="upper end, > low; included")

    def at(self, share: float) -> int:
        return self.low + int(share * (self.high + 1 - self.low))


class ChoiceRange(RangeSection):
    """Listed values."""

    kind: Literal["choice"] = Field(description="one of the listed values")
    of: Items[Plain] = Field(description="values, at least two")

    @field_validator("of")
    @classmethod
    def _several(cls, values: tuple) -> tuple:
        if len(values) < 2 or len(set(map(repr, values))) < len(values):
            raise rule(f"must be different values, at least two, got {list(values)}. Name each once")
        return values

    def ends(self) -> tuple:
        return self.of

    def holds(self, value: Any) -> bool:
        return any(value == each and type(value) is type(each) for each in self.of)

    def at(self, share: float) -> Any:
        return self.of[int(share * len(self.of))]


class UnknownRange(RangeSection):
    """Only here to refuse a kind."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(description="kind of range")

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        return known_name(kind, "kind", KINDS)


KINDS = {"float": FloatRange, "log": LogRange, "integer": IntegerRange, "choice": ChoiceRange}
Range: Any = choice("kind", KINDS, UnknownRange)


def without_seed(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by dotted key, of which the seed is none."""
    if "seed" in settings:
        raise rule("must not be set here. Write `seeds:`, which every variant is trained with", "seed")
    return settings


Ranges = Annotated[dict[str, Range], AfterValidator(without_seed)]


class Tuning(Section):
    """The search that comes before the comparison: as many trials for every variant, judged on validation images."""

    trials: int = Field(ge=1, description="settings tried, the same number for every variant that is tuned, >= 1")
    seed: int = Field(ge=0, lt=2**31, description="of the search and its trainings, in [0, 2^31); not one of seeds")
    metric: str = Field(
        "accuracy",
        description="key of metrics.json, of validation images, that is to be good: high, or low where lower is better",
    )
    shared: Ranges = Field({}, description="ranges by dotted key, for every variant")
    ranges: dict[str, Ranges] = Field({}, description="by variant: further ranges by dotted key")

    def of(self, variant: str) -> dict[str, RangeSection]:
        """What is searched for a variant."""
        return {**self.shared, **self.ranges.get(variant, {})}
