"""The whole config, and the rules that hold between its sections."""

from __future__ import annotations

import re
from typing import Any, Literal, Optional, Union

from pydantic import Field, ValidationError, field_validator, model_validator

from lossbench.config.anneal import Anneal
from lossbench.config.backbones import Backbone
from lossbench.config.data import Data, FolderData, OwnData
from lossbench.config.errors import did_you_mean
from lossbench.config.heads import Head, OwnHead
from lossbench.config.optimization import ConstantSchedule, Optimizer, Schedule, StepSchedule
from lossbench.config.regularizers import Regularizer
from lossbench.config.section import Items, Pattern, Section, rule


class TrainerSection(Section):
    """The loop."""

    epochs: int = Field(ge=1, description="passes over the training images, >= 1")
    class_weights: Optional[Items[float]] = Field(None, description="factor on the loss per class, >= 0; null: all 1")
    accumulate_steps: int = Field(1, ge=1, description="batches whose gradients are summed into one update, >= 1")
    early_stopping_epochs: Optional[int] = Field(
        None, ge=1, description="stop after so many epochs without a better validation accuracy, >= 1; null: never"
    )
    checkpoint_every_epochs: int = Field(1, ge=1, description="epochs between checkpoints, >= 1")
    checkpoint_every_steps: Optional[int] = Field(None, ge=1, description="also every so many steps, >= 1; null: not")
    keep_checkpoints: int = Field(2, ge=1, description="newest checkpoints that are kept beside the best, >= 1")
    progress: Literal["auto", "bar", "lines", "none"] = Field(
        "auto", description="auto: a bar on a terminal, else one line an epoch"
    )

    @field_validator("class_weights")
    @classmethod
    def _weights(cls, weights: Optional[tuple]) -> Optional[tuple]:
        if weights is not None and (any(weight < 0 for weight in weights) or not any(weights)):
            raise rule(f"must be numbers >= 0, not all 0, got {list(weights)}. Take null for equal weights")
        return weights


class EvaluationSection(Section):
    """What is measured."""

    methods: Items[Literal["softmax", "knn", "centers", "class_means"]] = Field(
        ("softmax", "knn", "centers", "class_means"), description="ways to classify an embedding"
    )
    k: int = Field(10, ge=1, description="neighbours that vote in knn, >= 1")
    batch_size: int = Field(256, ge=1, description="images at a time, >= 1")
    test_every_epochs: Optional[int] = Field(
        None,
        ge=1,
        description="epochs between extra scorings of the test set, for curves, >= 1; null: at the end alone",
    )
    embeddings_every_epochs: Optional[int] = Field(
        1, ge=1, description="epochs between stored embeddings, where these have up to 3 numbers, >= 1; null: never"
    )

    @field_validator("methods")
    @classmethod
    def _unique(cls, methods: tuple) -> tuple:
        if not methods or len(set(methods)) < len(methods):
            raise rule(f"must be different methods, at least one, got {list(methods)}. Name each once")
        return methods


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
    init_from: Optional[str] = Field(None, description="run folder or checkpoint to start from; null: none")
    freeze: Items[Pattern] = Field(
        (), description="regular expressions searched in names of parameters that stay fixed"
    )
    trainer: TrainerSection = Field(description="the loop")
    evaluation: EvaluationSection = Field(EvaluationSection(), description="what is measured")

    @field_validator("regularizers")
    @classmethod
    def _once_each(cls, regularizers: tuple) -> tuple:
        names = [regularizer.name for regularizer in regularizers]
        if len(set(names)) < len(names):
            raise rule(f"must name each regularizer once, got {names}. Add up their weights")
        return regularizers

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        for check in (_anneal, _schedule, _frozen_head, _stopping, _class_weights):
            check(self)
        return self


def annealable(config: Config) -> dict[str, Section]:
    """Every path that `anneal` may name, with the section that holds the value."""
    blocks = [("head", config.head)] + [(f"regularizers.{block.name}", block) for block in config.regularizers]
    return {f"{path}.{value}": block for path, block in blocks for value in block.scheduled()}


def _anneal(config: Config) -> None:
    known = annealable(config)
    for path, moved in config.anneal.items():
        if isinstance(config.head, OwnHead) and path.startswith("head."):
            continue  # only the user's head itself knows what it schedules
        if path not in known:
            there = f"here these can: {', '.join(known)}" if known else "here nothing can"
            raise rule(
                f"must name a value that a schedule may move ({there}), got {path!r}{did_you_mean(path, known)}",
                key=f"anneal.{path}",
            )
        section, option = known[path], path.rsplit(".", 1)[1]
        for key, value in moved.reached().items():
            _in_range(section, option, value, f"anneal.{path}.{key}", path)


def _in_range(section: Section, option: str, value: float, key: str, path: str) -> None:
    try:
        type(section).model_validate({**section.model_dump(), option: value})
    except ValidationError:
        description = type(section).model_fields[option].description
        raise rule(f"must be a value that {path} may take, got {value}. {path}: {description}", key=key) from None


def _schedule(config: Config) -> None:
    schedule, epochs = config.schedule, config.trainer.epochs
    if isinstance(schedule, StepSchedule) and schedule.epochs[-1] >= epochs:
        raise rule(
            f"must be below trainer.epochs ({epochs}), got {list(schedule.epochs)}. Change one of the two",
            key="schedule.epochs",
        )
    if schedule.warmup_epochs > epochs:
        raise rule(
            f"must be at most trainer.epochs ({epochs}), got {schedule.warmup_epochs}. Change one of the two",
            key="schedule.warmup_epochs",
        )


def _frozen_head(config: Config) -> None:
    if config.head.loss_weight > 0:
        return
    if not any(_freezes_head(pattern) for pattern in config.freeze):
        raise rule(
            "must be > 0 unless the head is frozen, got 0. Add a pattern such as `^head` to freeze",
            key="head.loss_weight",
        )
    if not config.regularizers:
        raise rule("must be > 0 without regularizers, got 0. Otherwise nothing trains", key="head.loss_weight")


def _freezes_head(pattern: str) -> bool:
    return any(re.search(pattern, f"head.{parameter}") for parameter in ("weight", "mean"))


def _stopping(config: Config) -> None:
    brings_its_own = isinstance(config.data, (FolderData, OwnData))  # the source may hold a validation split
    if config.trainer.early_stopping_epochs and not config.data.validation_fraction and not brings_its_own:
        raise rule(
            "must be > 0 with trainer.early_stopping_epochs, got 0. Stopping early is judged on validation images alone",
            key="data.validation_fraction",
        )


def _class_weights(config: Config) -> None:
    weights, classes = config.trainer.class_weights, config.data.classes()
    if weights is not None and classes is not None and len(weights) != classes:
        raise rule(f"must be {classes} numbers, one a class, got {len(weights)}", key="trainer.class_weights")


def plain(value: Any) -> Union[dict, list, Any]:
    """A section as plain mappings, lists and values; the key that chooses a model comes first."""
    if isinstance(value, Section):
        own = {**{key: getattr(value, key) for key in type(value).model_fields}, **(value.model_extra or {})}
        first = [key for key in ("name", "source", "kind") if key in own]
        return {key: plain(own[key]) for key in [*first, *(key for key in own if key not in first)]}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def flat(value: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Plain values by dotted key; list members of a name go by it."""
    if isinstance(value, dict) and (value or not path):
        pairs = [(key, inner) for key, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        pairs = [(str(item.get("name", index)), item) for index, item in enumerate(value)]
    else:
        return {".".join(path): value}
    found: dict[str, Any] = {}
    for key, inner in pairs:
        found.update(flat(inner, (*path, str(key))))
    return found
