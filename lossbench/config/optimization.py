"""The optimizer, its groups, and the learning rate over time."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from lossbench.config.section import Items, Pattern, Section, choice, known_name, rule


class Group(Section):
    """Parameters with an optimizer of their own."""

    name: str = Field(min_length=1, description="name of the group, unique")
    pattern: Pattern = Field(description="regular expression searched in parameter names")
    optimizer: Literal["nag", "sgd", "adam", "adamw"] | None = Field(None, description="optimizer; null: the main one")
    learning_rate: float | None = Field(None, gt=0, description="learning rate, > 0; null: the main one")
    momentum: float | None = Field(None, ge=0, lt=1, description="momentum in [0, 1), nag and sgd; null: the main one")
    weight_decay: float | None = Field(None, ge=0, description="weight decay, >= 0; null: the main one")
    lr_mult: float = Field(1.0, ge=0, description="factor on the learning rate, >= 0")
    wd_mult: float = Field(1.0, ge=0, description="factor on the weight decay, >= 0")
    clip_global_norm: float | None = Field(
        None, ge=0, description="largest gradient norm of the group, >= 0; 0: no clipping; null: the main one"
    )
    schedule: bool = Field(True, description="follow the learning-rate schedule (true) or stay constant (false)")

    @model_validator(mode="after")
    def _adam_has_no_momentum(self) -> Group:
        if self.optimizer in ("adam", "adamw") and self.momentum is not None:
            raise rule(
                f"must be null with {self.optimizer}, got {self.momentum}. Leave it out, or choose nag or sgd",
                "momentum",
            )
        return self


class OptimizerSection(Section):
    """What every optimizer has."""

    learning_rate: float = Field(gt=0, description="learning rate at its height, > 0")
    weight_decay: float = Field(
        0.0, ge=0, description="L2 penalty on parameters, >= 0; with adamw their relative fall, times the learning rate"
    )
    clip_global_norm: float | None = Field(
        None,
        gt=0,
        description="largest gradient norm of a group, of gradients averaged over the batch, > 0; null: none",
    )
    groups: Items[Group] = Field((), description="parameters that are treated differently; the first match counts")

    @field_validator("groups")
    @classmethod
    def _unique(cls, groups: tuple) -> tuple:
        names = [group.name for group in groups]
        doubled = sorted(name for name, count in Counter(names).items() if count > 1)
        if doubled:
            raise rule(f"must have names of their own, got {doubled[0]!r} twice. Rename one")
        return groups


class MomentumOptimizer(OptimizerSection):
    """Stochastic gradient descent."""

    name: Literal["nag", "sgd"] = Field(description="nag (Nesterov) or sgd (heavy ball)")
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last update that is kept, in [0, 1)")


class AdamOptimizer(OptimizerSection):
    """Adam, and AdamW, whose weight decay does not pass through the moments."""

    name: Literal["adam", "adamw"] = Field(description="adam, or adamw (decoupled weight decay)")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the first moment, in [0, 1)")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the second moment, in [0, 1)")
    epsilon: float = Field(1e-8, gt=0, description="added to the root of the second moment, > 0")


class UnknownOptimizer(OptimizerSection):
    """Only here to refuse a name."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="name of the optimizer")

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return known_name(name, "optimizer", OPTIMIZERS)


OPTIMIZERS = {"nag": MomentumOptimizer, "sgd": MomentumOptimizer, "adam": AdamOptimizer, "adamw": AdamOptimizer}
Optimizer = choice("name", OPTIMIZERS, UnknownOptimizer)


class ScheduleSection(Section):
    """What every schedule has."""

    warmup_epochs: float = Field(0.0, ge=0, description="epochs before the schedule proper, >= 0")
    warmup: Literal["linear", "constant"] = Field(
        "linear", description="rise to the learning rate, or hold a lower one"
    )
    warmup_learning_rate: float | None = Field(
        None, ge=0, description="learning rate that a warm-up starts from or holds, >= 0; null: 0, for linear alone"
    )

    @model_validator(mode="after")
    def _warmup_is_whole(self) -> ScheduleSection:
        if self.warmup_epochs == 0 and self.warmup_learning_rate is not None:
            raise rule(
                f"must be null without a warm-up, got {self.warmup_learning_rate}. Set warmup_epochs",
                "warmup_learning_rate",
            )
        if self.warmup_epochs > 0 and self.warmup == "constant" and not self.warmup_learning_rate:
            raise rule(
                f"must be > 0 in a constant warm-up, got {self.warmup_learning_rate or 'null'}. Say what rate to hold",
                "warmup_learning_rate",
            )
        return self


class ConstantSchedule(ScheduleSection):
    """No change."""

    name: Literal["constant"] = Field(description="one learning rate throughout")


class StepSchedule(ScheduleSection):
    """Sudden falls."""

    name: Literal["step"] = Field(description="multiplied by factor at each of epochs")
    epochs: Items[int] = Field(description="epochs after which the rate falls, ascending, below trainer.epochs")
    factor: float = Field(0.1, gt=0, description="multiplier at each of epochs, > 0")

    @field_validator("epochs")
    @classmethod
    def _ascending(cls, epochs: tuple) -> tuple:
        if not epochs or epochs[0] < 1 or any(later <= earlier for earlier, later in zip(epochs, epochs[1:])):
            raise rule(f"must be ascending epochs from 1, at least one, got {list(epochs)}. Example: [150, 225]")
        return epochs


class CosineSchedule(ScheduleSection):
    """Half a cosine."""

    name: Literal["cosine"] = Field(description="half a cosine from the learning rate down to final_fraction of it")
    final_fraction: float = Field(0.0, ge=0, le=1, description="last learning rate over the highest, in [0, 1]")


class OneCycleSchedule(ScheduleSection):
    """Up and down."""

    name: Literal["one_cycle"] = Field(description="rise to the learning rate, then fall")
    peak_fraction: float = Field(0.3, gt=0, lt=1, description="share of training before the highest rate, in (0, 1)")
    start_fraction: float = Field(0.04, ge=0, le=1, description="first learning rate over the highest, in [0, 1]")
    final_fraction: float = Field(0.0, ge=0, le=1, description="last learning rate over the highest, in [0, 1]")

    @model_validator(mode="after")
    def _is_its_own_warmup(self) -> OneCycleSchedule:
        if self.warmup_epochs:
            raise rule(
                f"must be 0, got {self.warmup_epochs:g}. one_cycle rises by itself: see peak_fraction",
                "warmup_epochs",
            )
        return self


class UnknownSchedule(ScheduleSection):
    """Only here to refuse a name."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="name of the schedule")

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return known_name(name, "schedule", SCHEDULES)


SCHEDULES = {
    "constant": ConstantSchedule,
    "step": StepSchedule,
    "cosine": CosineSchedule,
    "one_cycle": OneCycleSchedule,
}
Schedule = choice("name", SCHEDULES, UnknownSchedule)
