"""What is measured of a model, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from lossbench.config.resuming import EXTENDS, NEUTRAL, REMEASURES
from lossbench.config.section import Items, Section, rule
from lossbench.evaluation import METHODS
from lossbench.plots.pictures import KINDS


class EvaluationSection(Section):
    """What is measured."""

    methods: Items[Literal[tuple(METHODS)]] = Field(  # type: ignore[valid-type]
        ("softmax", "knn", "centers", "class_means"),
        description="what is measured at the end of training",
        json_schema_extra=EXTENDS,
    )
    splits: Items[Literal["validation", "test", "holdout"]] = Field(
        ("validation", "test", "holdout"),
        description="whose images are measured at the end of training, of those that there are",
        json_schema_extra=EXTENDS,
    )
    pictures: Items[Literal[tuple(KINDS)]] | None = Field(  # type: ignore[valid-type]
        None,
        description="drawn at the end of training, where test images are measured; null: the cheap kinds; []: none",
        json_schema_extra=EXTENDS,
    )
    k: int = Field(10, ge=1, description="neighbors that vote in knn, >= 1", json_schema_extra=REMEASURES)
    batch_size: int = Field(256, ge=1, description="images at a time, >= 1", json_schema_extra=REMEASURES)
    max_memory_gb: float = Field(
        1.0,
        gt=0,
        description="bound on the arrays that an evaluation makes beside the embeddings, gigabytes, > 0",
        json_schema_extra=NEUTRAL,
    )
    pairs: int = Field(
        6000,
        ge=20,
        multiple_of=20,
        description="drawn for verification, half of them of one class, a multiple of 20",
        json_schema_extra=REMEASURES,
    )
    test_every_epochs: int | None = Field(
        None,
        ge=1,
        description="epochs between extra scorings of the test set, for curves, >= 1; null: at the end alone",
        json_schema_extra=EXTENDS,
    )
    embeddings_every_epochs: int | None = Field(
        1,
        ge=1,
        description="epochs between stored embeddings, where these have up to 3 numbers, >= 1; null: never",
        json_schema_extra=EXTENDS,
    )

    @field_validator("methods", "splits", "pictures")
    @classmethod
    def _unique(cls, named: tuple | None, info: ValidationInfo) -> tuple | None:
        least = "" if info.field_name == "pictures" else ", at least one"
        if named is not None and (len(set(named)) < len(named) or (least and not named)):
            raise rule(f"must be different {info.field_name}{least}, got {list(named)}. Name each once")
        return named

    def measures(self, metric: str) -> bool:
        """Whether the methods give the number with that dotted key in `metrics.json`."""
        return any(METHODS[name].number(metric) for name in self.methods)
