"""What a config's arrays take, as far as it tells: those that no machine, or not this one, holds are refused early."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

from lossbench.config.data import SyntheticData
from lossbench.config.errors import ConfigError
from lossbench.options import MOST_NUMBERS

_COPIES = 4  # of a parameter: value, gradient, what the optimizer keeps, and the copy that scores


def arrays(config: Any, classes: int = 0) -> Iterator[tuple[str, int, str]]:
    """The large arrays: the key that most decides each, how many numbers it has, and their factors.

    `classes` is how many there are, where that is known from the data.
    """
    batch, classes = config.data.batch_size, classes or config.data.classes() or 2
    computed = computed_classes(config, classes)
    embedding = config.backbone.embedding_size or 1
    yield "data.batch_size", *_product(f"{batch} images", batch, *_image(config.data))
    yield "data.batch_size", *_product(f"{batch} images", batch, computed)
    yield "backbone.embedding_size", *_product(f"{classes} classes", classes, embedding)
    yield "backbone.embedding_size", *_product(f"{batch} images", batch, embedding)


def computed_classes(config: Any, classes: int) -> int:
    """How many of the classes a step computes: `head.sample` of them, and at least those that its images may have."""
    images = config.data.batch_size * config.trainer.accumulate_steps
    return min(classes, max(math.ceil(config.head.sample * classes), images))


def too_large(config: Any, classes: int = 0) -> Iterator[tuple[str, str]]:
    """The arrays that MXNet does not have: the key of each, and what is said of it."""
    for key, size, factors in arrays(config, classes):
        if size > MOST_NUMBERS:
            text = f"must make arrays of less than 2^31 numbers, got {size:,} ({factors})"
            yield key, f"{text}. MXNet has no larger ones: take less of one"


def require_arrays(config: Any, classes: int) -> None:
    """Raise `ConfigError` where the number of classes, read from the data, makes an array too large."""
    for key, text in too_large(config, classes):
        raise ConfigError(f"config {config.name}: {key}: {text}.")


def require_enough(config: Any, available: int | None = None) -> None:
    """Raise `ConfigError` with the sum where a training needs at least more bytes than this machine has."""
    if available is None:
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    image, logits, weights, embeddings = (4 * numbers for _, numbers, _ in arrays(config))
    copies = _COPIES - (config.head.sample < 1)  # then the gradient is that of some rows
    needed = {"batches": image + logits + embeddings, "class parameters": copies * weights}
    if isinstance(config.data, SyntheticData):
        pixels = config.data.image_size**2 * config.data.channels
        needed["images"] = (config.data.train_size + config.data.test_size) * pixels
    total = sum(needed.values())
    if total > available:
        parts = ", ".join(f"{part} {_gigabytes(size)}" for part, size in needed.items())
        raise ConfigError(
            f"config {config.name}: arrays must fit the {_gigabytes(available)} of this machine, got at least "
            f"{_gigabytes(total)} ({parts}). Take smaller sizes"
        )


def _image(data: Any) -> tuple[int, ...]:
    size = getattr(data, "image_size", None) or 1
    return getattr(data, "channels", 1), *(size if isinstance(size, tuple) else (size, size))


def _product(first: str, *factors: int) -> tuple[int, str]:
    product = 1
    for factor in factors:
        product *= factor
    return product, " x ".join([first, *(str(factor) for factor in factors[1:])])


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
