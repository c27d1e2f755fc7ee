"""What every data source hands on: uint8 images and int32 labels, and how their pixels are distributed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from lossbench.data.description import Description
from lossbench.data.streamed import Streamed
from lossbench.errors import UserError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Images and labels of one part of a dataset.

    Parameters
    ----------
    images : ndarray of uint8, (N, channels, H, W), C-contiguous; or Streamed
    labels : ndarray of int32, (N,)
    names : ndarray of str, (N,), optional
        What an image is called where its source has it in a file of its own.
    true_labels : ndarray of int32, (N,), optional
        What the labels were before ``data.label_noise`` made some of them wrong.

    Examples
    --------
    >>> split = Split(np.zeros((2, 3, 4, 4), np.uint8), np.array([0, 1], np.int32))
    >>> len(split), split.image_shape
    (2, (3, 4, 4))
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray | None = None
    true_labels: np.ndarray | None = None

    def __post_init__(self):
        images, labels = self.images, self.labels
        if not self.is_streamed and (images.ndim != 4 or images.dtype != np.uint8 or not images.flags.c_contiguous):
            raise UserError(
                "Split: `images` must be a C-contiguous uint8 array (N, channels, height, width), got "
                f"{images.dtype} {images.shape}. np.ascontiguousarray(images, np.uint8) makes it so."
            )
        if labels.shape != (len(images),) or labels.dtype != np.int32:
            raise UserError(
                f"Split: `labels` must be an int32 array ({len(images)},), one for each image, got "
                f"{labels.dtype} {labels.shape}. np.asarray(labels, np.int32) makes the type."
            )
        if self.names is not None and len(self.names) != len(images):
            raise UserError(
                f"Split: `names` must have {len(images)} names, one for each image, got {len(self.names)}. "
                "Leave them out where images have none."
            )

    def __len__(self):
        return len(self.images)

    @property
    def image_shape(self):
        """(channels, height, width)."""
        return self.images.shape[1:]

    @property
    def is_streamed(self):
        """Whether images are decoded when they are asked for."""
        return isinstance(self.images, Streamed)

    def take(self, ids):
        """The images of these positions in this order: copied, or streamed still."""
        images = self.images.take(ids) if self.is_streamed else self.images[ids]
        names, true_labels = (None if each is None else each[ids] for each in (self.names, self.true_labels))
        return Split(images, self.labels[ids], names, true_labels)


@dataclass(frozen=True)
class Dataset:
    """A dataset: its splits and what they are called.

    Parameters
    ----------
    train, test : Split
    num_classes : int
    class_names : list of str
    validation : Split, optional
        Without one, :func:`lossbench.data.load` takes its share from ``train``; it may end up with no image.
    mean, std : tuple of float, one a channel, optional
        Of the pixels in [0, 1]; ``None`` lets :func:`lossbench.data.load` measure them on ``train``.
    checksums : dict of str to str
        SHA-256 of each file read.
    notes : list of str
        What a reader of the results should know about the files, for example that they are not the canonical ones.
    holdout : Split, optional
        Images of classes that are never trained on; their labels go on after those of the trained classes.
    holdout_names : list of str
        Names of these classes.
    source_ids : list of int, optional
        The source's own id of each class, trained ones first; ``None`` where they are the labels themselves.
    background : int, default 255
        Gray level that shows through transparent pixels, in files that are read for the same network later.
    parts : tuple of str
        Which of `PARTS` were read; the others are ``None`` to begin with, and then hold no image.
    """

    train: Split | None
    test: Split | None
    num_classes: int
    class_names: list
    validation: Split | None = None
    mean: tuple | None = None
    std: tuple | None = None
    checksums: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    holdout: Split | None = None
    holdout_names: list = field(default_factory=list)
    source_ids: list | None = None
    background: int = 255
    parts: tuple = PARTS

    def __post_init__(self):
        if len(self.class_names) != self.num_classes:
            raise UserError(
                f"Dataset: `class_names` must have {self.num_classes} names, one a class, got {len(self.class_names)}. "
                "List a name for each class, in the order of the labels."
            )
        like = next(split for split in (self.train, self.test, self.validation) if split is not None)
        for name in (*PARTS, "holdout"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, like.take(np.arange(0)))  # the dataclass is frozen
        if "train" in self.parts and not len(self.train):
            raise UserError("Dataset: `train` must have at least one image, got none. Put images into it.")
        for name in PARTS:
            self._check(name, getattr(self, name), 0, self.num_classes)
        self._check("holdout", self.holdout, self.num_classes, len(self.all_class_names))

    def _check(self, name, split, first, end):
        if split.image_shape != self.train.image_shape:
            raise UserError(
                f"Dataset: `{name}` must have images {self.train.image_shape} like `train`, got {split.image_shape}. "
                "Bring all parts to one size and number of channels."
            )
        if len(split) and not first <= split.labels.min() <= split.labels.max() < end:
            raise UserError(
                f"Dataset: labels of `{name}` must be in {first} to {end - 1}, got "
                f"{split.labels.min()} to {split.labels.max()}. Number the classes from {first}."
            )

    @property
    def image_shape(self):
        """(channels, height, width)."""
        return self.train.image_shape

    @property
    def all_class_names(self):
        """Names by label, those of held-out classes at the end."""
        return [*self.class_names, *self.holdout_names]

    @property
    def description(self):
        """What a network trained on this data must know of it, without the images."""
        return Description(
            class_names=list(self.class_names),
            image_shape=tuple(self.image_shape),
            mean=self.mean,
            std=self.std,
            background=self.background,
            holdout_names=list(self.holdout_names),
            source_ids=self.source_ids,
            checksums=dict(self.checksums),
            notes=list(self.notes),
            counts={name: len(getattr(self, name)) for name in (*PARTS, "holdout")},
        )

    def describe(self):
        """The description as plain values, which :func:`lossbench.data.rebuilt` reads."""
        return self.description.as_dict()

    def replace(self, **changes):
        """A copy with these fields changed."""
        return replace(self, **changes)


def made_of(parts):
    """The parts whose files hold these, where a source has files of train and test alone.

    Examples
    --------
    >>> made_of(["validation"]), made_of(PARTS)
    (['train'], ['train', 'test'])
    """
    return [name for name, held in (("train", ("train", "validation")), ("test", ("test",))) if {*held} & {*parts}]


def of_parts(splits, **fields):
    """The dataset of the parts that were read, by name."""
    return Dataset(**{"train": None, "test": None, **splits}, parts=tuple(splits), **fields)
