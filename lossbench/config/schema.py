"""The whole config."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from lossbench import registry
from lossbench.config import agreement
from lossbench.config.anneal import Anneal
from lossbench.config.backbones import Backbone
from lossbench.config.data import Data
from lossbench.config.evaluation import EvaluationSection
from lossbench.config.losses import Head, Regularizer
from lossbench.config.optimization import ConstantSchedule, Optimizer, Schedule
from lossbench.config.section import Items, Pattern, Section, rule
from lossbench.config.training import TrainerSection


class Config(Section):
    """One experiment, resolved: every key has its value."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", description="name of the run's folder; by default the file's"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="every random draw follows from it, in [0, 2^31)")
    data: Data = Field(description="images and labels")
    backbone: Backbone = Field(description="image to embedding")
    head: Head = Field(description="embedding to class scores and loss")
    regularizers: Items[Regularizer] = Field((), description="losses added to the head's")
    optimizer: Optimizer = Field(description="how parameters are updated")
    schedule: Schedule = Field(ConstantSchedule(name="constant"), description="learning rate over time")
    anneal: dict[str, Anneal] = Field({}, description="scheduled values by path, such as head.margin")
    init_from: str | None = Field(
        None,
        min_length=1,
        description="run folder, checkpoint or .params file to start from, {seed} is the run's seed; null: none",
    )
    freeze: Items[Pattern] = Field(
        (), description="regular expressions searched in names of parameters that stay fixed"
    )
    trainer: TrainerSection = Field(description="the loop")
    evaluation: EvaluationSection = Field(EvaluationSection(), description="what is measured")

    @property
    def origin(self) -> str | None:
        """`init_from` of this seed."""
        return self.init_from and self.init_from.replace("{seed}", str(self.seed))

    @field_validator("regularizers")
    @classmethod
    def _once_each(cls, regularizers: tuple) -> tuple:
        names = [regularizer.name for regularizer in regularizers]
        if len(set(names)) < len(names):
            raise rule(f"must name each regularizer once, got {names}. Add up their weights")
        return regularizers

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        agreement.check(self)
        return self


_built_for = 0


def validated(settings: Any) -> Config:
    """Validate settings by the parts that are known now."""
    global _built_for
    version = registry.version()
    if version != _built_for:
        Config.model_rebuild(force=True, _types_namespace=globals())
        _built_for = version
    return Config.model_validate(settings)
