"""Rules that hold between the sections of a config."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from lossbench import patterns, registry
from lossbench.config import memory
from lossbench.config.data import FolderData, OwnData
from lossbench.config.optimization import StepSchedule
from lossbench.config.section import Section, rule
from lossbench.errors import did_you_mean
from lossbench.plots.pictures import KINDS

_SMALLEST, _LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # normal numbers
_RANGE = "1.2e-38 to 3.4e38 in size"


def check(config: Any) -> None:
    """Raise the first disagreement."""
    _float32(config)
    _rates(config)
    _array_sizes(config)
    _anneal(config)
    _schedule(config)
    _untrained_head(config)
    _ranges(config)
    _early_stopping(config)
    _holdout_classes(config)
    _class_weights(config)
    _mixtures(config)
    _pictures(config)


def _float32(value: Any, *path: Any) -> None:
    """Refuse numbers that become infinite or 0 in the arrays: none of these are larger than float32."""
    if isinstance(value, float) and not _fits(value):
        raise rule(f"must be a number that float32 has, 0 or {_RANGE}, got {value:g}. Take another one", *path)
    if isinstance(value, Section):
        for key in type(value).model_fields:
            _float32(getattr(value, key), *path, key)
    elif isinstance(value, (tuple, dict)):
        for place, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _float32(inner, *path, place)


def _fits(value: float) -> bool:
    return value == 0 or _SMALLEST <= abs(value) <= _LARGEST


def _rates(config: Any) -> None:
    main = config.optimizer
    for index, group in enumerate(main.groups):
        for key, factor in (("learning_rate", "lr_mult"), ("weight_decay", "wd_mult")):
            own = getattr(group, key)
            rate = (getattr(main, key) if own is None else own) * getattr(group, factor)
            if not _fits(rate):
                text = f"must make {key} a number that float32 has, 0 or {_RANGE}, got {rate:g}. Take another one"
                raise rule(text, "optimizer", "groups", index, factor)


def _array_sizes(config: Any) -> None:
    for key, text in memory.too_large(config):
        raise rule(text, *key.split("."))


def annealable(config: Any) -> dict[str, Any]:
    """Every path that `anneal` may name, with the section that holds the value."""
    blocks = {"head": config.head, **{f"regularizers.{block.name}": block for block in config.regularizers}}
    return {f"{path}.{value}": block for path, block in blocks.items() for value in block.scheduled() or ()}


def _anneal(config: Any) -> None:
    known = annealable(config)
    for path in config.anneal:
        if path in known:
            _in_range(known[path], path, config.anneal)
        elif not (config.head.scheduled() is None and path.startswith("head.")):  # that only the own head itself knows
            here = f"here: {', '.join(known)}" if known else "here there is none"
            way_out = did_you_mean(path, known) or f". anneal.{path}=null takes it out"
            raise rule(f"must name a value that a schedule may move ({here}), got {path!r}{way_out}", "anneal", path)


def _in_range(section: Any, path: str, anneal: Any) -> None:
    block, option = path.rsplit(".", 1)
    courses = {other: anneal.get(f"{block}.{other}") for other in section.scheduled() or ()}
    together = {other: course.reached() for other, course in courses.items() if course is not None}
    for key, value in together[option].items():
        moved = {other: reached[key] for other, reached in together.items() if key in reached}
        try:
            type(section).model_validate({**section.model_dump(), **moved})
        except ValidationError:
            description = type(section).model_fields[option].description
            text = f"must be a value that {path} may take, got {value:g}. {path}: {description}"
            raise rule(text, "anneal", path, key) from None


def _schedule(config: Any) -> None:
    schedule, epochs = config.schedule, config.trainer.epochs
    way_out = "Change one of the two"
    if isinstance(schedule, StepSchedule) and schedule.epochs[-1] >= epochs:
        got = list(schedule.epochs)
        raise rule(f"must be below trainer.epochs ({epochs}), got {got}. {way_out}", "schedule", "epochs")
    if schedule.warmup_epochs > epochs:
        text = f"must be at most trainer.epochs ({epochs}), got {schedule.warmup_epochs:g}. {way_out}"
        raise rule(text, "schedule", "warmup_epochs")


def _untrained_head(config: Any) -> None:
    if config.head.loss_weight > 0:
        return
    names = ("head.weight", "head.mean")
    try:
        is_frozen = any(patterns.found(pattern, names, "freeze") for pattern in config.freeze)
    except patterns.TooSlow as error:
        raise rule(str(error).removeprefix("freeze: pattern "), "freeze") from None
    if not is_frozen:
        text = "must be > 0 unless the head is frozen, got 0. Add a pattern such as ^head to freeze"
        raise rule(text, "head", "loss_weight")
    if not config.regularizers:
        text = "must be > 0 without regularizers, got 0. Otherwise nothing would be trained"
        raise rule(text, "head", "loss_weight")


def _ranges(config: Any) -> None:
    if config.head.parallel is None:
        return
    if config.head.sample < 1:
        raise rule(f"must be 1 with head.parallel, got {config.head.sample:g}. Take one of the two", "head", "sample")
    clipping = {"": config.optimizer, **{group.name: group for group in config.optimizer.groups}}
    if any(one.clip_global_norm for one in clipping.values()):
        text = "must be null where the optimizer clips gradients, got classes. Set clip_global_norm to null"
        raise rule(text, "head", "parallel")


def _early_stopping(config: Any) -> None:
    brings_its_own = isinstance(config.data, (FolderData, OwnData))  # the source may hold a validation split
    if config.trainer.early_stopping_epochs and not config.data.validation_fraction and not brings_its_own:
        text = "must be > 0 with trainer.early_stopping_epochs, got 0. Only validation images tell when to stop"
        raise rule(text, "data", "validation_fraction")


def _holdout_classes(config: Any) -> None:
    held, classes = config.data.held_out(), config.data.source_classes()
    if classes is None or not held:
        return
    if max(held) >= classes:
        text = f"must be class ids from 0 to {classes - 1}, got {max(held)}"
        raise rule(f"{text}. data.source {config.data.source} has {classes} classes", "data", "holdout_classes")
    if config.data.classes() < 2:
        got = list(config.data.holdout_classes)
        text = f"must leave at least 2 of {classes} classes to train on, got {got}. Hold out fewer"
        raise rule(text, "data", "holdout_classes")


def _class_weights(config: Any) -> None:
    weights, classes = config.trainer.class_weights, config.data.classes()
    if weights is not None and classes is not None and len(weights) != classes:
        text = f"must be one number for each of {classes} classes, got {len(weights)}. Take null for equal weights"
        raise rule(text, "trainer", "class_weights")


def _mixtures(config: Any) -> None:
    augment = getattr(config.data, "augment", None)
    for key in ("mixup", "cutmix"):
        value = getattr(augment, key, 0)
        if not value:
            continue
        reason = ""
        if not getattr(registry.HEADS.get(config.head.name), "takes_mixtures", False):
            taking = [name for name, block in registry.HEADS.built_in().items() if block.takes_mixtures]
            reason = f"the head {config.head.name}, whose loss is for one label; {', '.join(taking)} take two"
        elif config.regularizers:
            reason = f"the regularizer {config.regularizers[0].name}, which is for one label"
        elif config.head.sample < 1:
            reason = "head.sample below 1"
        elif config.head.parallel:
            reason = "head.parallel"
        if reason:
            raise rule(f"must be 0 with {reason}, got {value:g}", "data", "augment", key)


def _pictures(config: Any) -> None:
    chosen, size = config.evaluation.pictures, config.backbone.embedding_size
    if chosen and "test" not in config.evaluation.splits:
        text = f"must be [] or null where evaluation.splits leaves out the test images, got {list(chosen)}"
        raise rule(f"{text}. Pictures show these", "evaluation", "pictures")
    for kind in chosen or ():
        needed = KINDS[kind].size
        if size is not None and needed not in (None, size):
            text = f"must suit an embedding of {size} numbers, got {kind}. That one needs {needed}"
            raise rule(text, "evaluation", "pictures")
