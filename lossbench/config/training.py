"""The training loop."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from lossbench.config.resuming import EXTENDS, NEUTRAL
from lossbench.config.section import Items, Section, rule


class TrainerSection(Section):
    """The loop."""

    epochs: int = Field(ge=1, description="passes over the training images, >= 1", json_schema_extra=EXTENDS)
    max_steps: int | None = Field(
        None, ge=1, description="end the training after so many updates, for a first try, >= 1; null: after all epochs"
    )
    precision: Literal["float32", "bfloat16", "fastest"] = Field(
        "float32",
        description="of the backbone's convolutions in training; bfloat16: faster, on a CPU with such instructions; "
        "fastest: bfloat16 where it is faster, else float32",
    )
    class_weights: Items[float] | None = Field(None, description="factor on the loss per class, >= 0; null: all 1")
    accumulate_steps: int = Field(1, ge=1, description="batches whose gradients are summed into one update, >= 1")
    early_stopping_epochs: int | None = Field(
        None, ge=1, description="stop after so many epochs without a better validation accuracy, >= 1; null: never"
    )
    checkpoint_every_epochs: int = Field(
        1, ge=1, description="epochs between checkpoints, >= 1", json_schema_extra=NEUTRAL
    )
    checkpoint_every_steps: int | None = Field(
        None, ge=1, description="also every so many steps, >= 1; null: not", json_schema_extra=NEUTRAL
    )
    keep_checkpoints: int = Field(
        2, ge=1, description="newest checkpoints that are kept beside the best, >= 1", json_schema_extra=NEUTRAL
    )
    progress: Literal["auto", "bar", "lines", "none"] = Field(
        "auto", description="auto: a bar on a terminal, else one line an epoch", json_schema_extra=NEUTRAL
    )
    tensorboard: bool = Field(
        False, description="also write scalars for TensorBoard; needs tensorboardX", json_schema_extra=NEUTRAL
    )

    @field_validator("class_weights")
    @classmethod
    def _weights(cls, weights: tuple | None) -> tuple | None:
        if weights is not None and (any(weight < 0 for weight in weights) or not any(weights)):
            raise rule(f"must be numbers >= 0, not all 0, got {list(weights)}. Take null for equal weights")
        return weights
