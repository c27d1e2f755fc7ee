"""Checks of arguments that all backbones share."""

from __future__ import annotations

import numbers


def check_image_shape(where: str, image_shape, smallest: int = 1) -> tuple[int, int, int]:
    """Return ``image_shape`` as three ints, or raise a ValueError that names it."""
    shape = tuple(image_shape) if isinstance(image_shape, (tuple, list)) else ()
    if len(shape) != 3 or not all(isinstance(n, numbers.Integral) for n in shape) or shape[0] < 0 or min(shape[1:]) < 1:
        raise ValueError(
            f"{where}: `image_shape` must be (channels, height, width), got {image_shape!r}. An example is (3, 32, 32)."
        )
    if min(shape[1:]) < smallest:
        raise ValueError(
            f"{where}: `image_shape` must be at least {smallest} pixels high and wide, got {tuple(shape)}. "
            "Enlarge the images, or choose another backbone."
        )
    return tuple(int(n) for n in shape)


def check_embedding_size(where: str, embedding_size) -> None:
    """Raise a ValueError unless ``embedding_size`` is None or a positive integer."""
    if embedding_size is None:
        return
    if isinstance(embedding_size, bool) or not isinstance(embedding_size, numbers.Integral) or embedding_size < 1:
        raise ValueError(
            f"{where}: `embedding_size` must be a positive integer or None, got {embedding_size!r}. "
            "None takes the backbone's own size."
        )
