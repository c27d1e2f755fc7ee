"""What pictures ask of the run that they show: nothing else crosses into this room."""

from __future__ import annotations

import pathlib
from typing import Any, Protocol


class Source(Protocol):
    """A trained run at one of its checkpoints. What it cannot give raises `CannotDraw` with the reason."""

    name: str
    """Of the config."""
    head_name: str
    epochs: int
    """That the config asks for."""
    checkpoint: str
    history: list
    """Rows of numbers, one an epoch."""
    units: dict
    """Key of a scheduled value, such as `head.margin` -> its unit."""
    embeddings: pathlib.Path
    """The folder of the embeddings that training kept."""
    evaluation: pathlib.Path
    """The folder of the arrays that evaluation kept."""
    size: int
    """Number of dimensions of an embedding."""
    metric: str
    """What the head compares by: density, cosine, or euclidean for a linear one."""
    num_classes: int
    class_names: Any
    description: dict
    """What the head says of itself: `prototypes`, `score`, and what else there is."""
    centers: Any
    """Centers (C, D) that a regularizer learned, or None."""
    prototype_kind: str
    """What stands for a class: a `center`, the `mean` of a density, or a `weight`."""

    def outputs(self, split: str) -> dict:
        """`embedding`, `logits` and `label` of the images of `train` or `test`."""

    def points(self, split: str) -> tuple:
        """`embedding` and `label`."""

    def arrays(self, path) -> dict:
        """The arrays of a file in `embeddings` or `evaluation`."""

    def target_logit(self) -> dict:
        """`x`, `curves` (name -> values) and `values`, the x of training images: the true class's logit by the head."""

    def title(self, text: str) -> str:
        """A picture's title: the run's name, the text, the checkpoint."""
