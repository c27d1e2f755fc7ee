"""What evaluation asks of the model that it judges: nothing else crosses into this room."""

from __future__ import annotations

from typing import Protocol


class Subject(Protocol):
    """A trained model with its images, and what its config says about evaluation."""

    source: str
    """Name of the data set that was trained on."""
    num_classes: int
    k: int
    """Neighbors that vote."""
    pair_count: int
    """Pairs that are drawn for verification."""
    max_memory_gb: float
    """Bound on the arrays that a method makes on its way."""

    def images(self, split: str):
        """The images of `train`, `validation`, `test` or `holdout`, with `images`, `labels` and `names`."""

    def pair_file(self, path):
        """Images of a file that holds pairs, two rows each, and whether each is of one class; None for another file."""

    def outputs(self, images, show: bool) -> dict:
        """`embedding` (N, D), `logits` (N, C) and `label` (N,) of images, without augmentation, as NumPy arrays.

        Logits that would exceed `max_memory_gb` are computed part by part: see `rows`.
        """

    def description(self) -> dict:
        """`prototypes` (C, D), `metric` and `score`: the head's, or those of the regularizer that learned centers."""

    def centers(self):
        """Centers (C, D) that a regularizer learned, or None."""

    @property
    def is_density(self) -> bool:
        """Whether the logits are log densities."""

    def has_files_of(self, source: str) -> bool:
        """Whether the images of another data set are on this machine."""

    def foreign_images(self, source: str):
        """The test images of another data set in the form of the model's own; ValueError where there are none."""

    def attack(self, images, label, show: bool):
        """Return a function from the size of an attack, in pixels of [0, 1], to the attacked images."""
