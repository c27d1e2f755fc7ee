"""How a scheduled value of a head or regularizer moves while training."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from lossbench.config.section import Items, Section, choice, known_name, rule


class AnnealSection(Section):
    """What every kind has."""

    def reached(self) -> dict[str, float]:
        """The extreme values that this schedule takes, by key: they must suit the value that is moved."""
        raise NotImplementedError


class LinearAnneal(AnnealSection):
    """A ramp."""

    kind: Literal["linear"] = Field(description="from start to end on a straight line, then end")
    start: float = Field(description="value at step 0")
    end: float = Field(description="value after the ramp")
    epochs: float | None = Field(None, gt=0, description="length of the ramp in epochs, > 0; or steps")
    steps: int | None = Field(None, ge=1, description="length of the ramp in steps, >= 1; or epochs")

    @model_validator(mode="after")
    def _one_length(self) -> LinearAnneal:
        if (self.epochs is None) == (self.steps is None):
            got = "neither" if self.epochs is None else "both"
            raise rule(f"must have either epochs or steps, got {got}. They are the length of the ramp")
        return self

    def reached(self) -> dict[str, float]:
        return {"start": self.start, "end": self.end}


class DoublingAnneal(AnnealSection):
    """Twice as much every so often."""

    kind: Literal["doubling"] = Field(description="start, doubled every so many steps or epochs, up to cap")
    start: float = Field(gt=0, description="value at step 0, > 0")
    every_steps: int | None = Field(None, ge=1, description="steps between doublings, >= 1; or every_epochs")
    every_epochs: int | None = Field(None, ge=1, description="epochs between doublings, >= 1; or every_steps")
    cap: float = Field(gt=0, description="largest value, >= start")

    @model_validator(mode="after")
    def _one_interval(self) -> DoublingAnneal:
        if (self.every_steps is None) == (self.every_epochs is None):
            got = "neither" if self.every_steps is None else "both"
            raise rule(f"must have either every_steps or every_epochs, got {got}. They are the time between doublings")
        if self.cap < self.start:
            raise rule(f"must be at least start ({self.start:g}), got {self.cap:g}. It is the largest value", "cap")
        return self

    def reached(self) -> dict[str, float]:
        return {"start": self.start, "cap": self.cap}


class ExponentialAnneal(AnnealSection):
    """A constant factor a step."""

    kind: Literal["exponential"] = Field(description="max(floor, start * factor ** step)")
    start: float = Field(gt=0, description="value at step 0, > 0")
    factor: float = Field(gt=0, lt=1, description="multiplier a step, in (0, 1)")
    floor: float = Field(0.0, ge=0, description="smallest value, >= 0")

    def reached(self) -> dict[str, float]:
        return {"start": self.start, **_reached_floor(self.floor)}


class InversePowerAnneal(AnnealSection):
    """The Caffe formula."""

    kind: Literal["inverse_power"] = Field(description="max(floor, base * (1 + gamma * step) ** -power)")
    base: float = Field(gt=0, description="value at step 0, > 0")
    gamma: float = Field(gt=0, description="how fast it falls, per step, > 0")
    power: float = Field(gt=0, description="exponent, > 0")
    floor: float = Field(0.0, ge=0, description="smallest value, >= 0")

    def reached(self) -> dict[str, float]:
        return {"base": self.base, **_reached_floor(self.floor)}


def _reached_floor(floor: float) -> dict[str, float]:
    return {"floor": floor} if floor else {}  # 0 is approached, never reached


class PiecewiseAnneal(AnnealSection):
    """Values at given epochs."""

    kind: Literal["piecewise"] = Field(description="given values from given epochs on")
    points: Items[Items[float]] = Field(description="pairs [epoch, value], the first at epoch 0, epochs ascending")
    between: Literal["hold", "linear"] = Field("hold", description="stay at a value until the next, or move in a line")

    @field_validator("points")
    @classmethod
    def _ascending(cls, points: tuple) -> tuple:
        epochs = [point[0] for point in points if len(point) == 2]
        ascending = all(earlier < later for earlier, later in zip(epochs, epochs[1:]))
        if len(epochs) < max(1, len(points)) or epochs[0] != 0 or not ascending:
            got = [list(point) for point in points]
            raise rule(
                f"must be pairs of an epoch and a value, from epoch 0 on, got {got}. Example: [[0, 16], [20, 4]]"
            )
        return points

    def reached(self) -> dict[str, float]:
        return {f"points.{k}": value for k, (_, value) in enumerate(self.points)}


class UnknownAnneal(AnnealSection):
    """Only here to refuse a kind."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(description="kind of movement")

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        return known_name(kind, "kind", KINDS)


KINDS = {
    "linear": LinearAnneal,
    "doubling": DoublingAnneal,
    "exponential": ExponentialAnneal,
    "inverse_power": InversePowerAnneal,
    "piecewise": PiecewiseAnneal,
}
Anneal = choice("kind", KINDS, UnknownAnneal)
