"""The training images nearest to others: their embeddings, kept in the run where that was asked for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields

import numpy as np

from lossbench.errors import UserError
from lossbench.evaluation import checks, search
from lossbench.runs import reading

MEASURES = {"cosine": "cosine", "euclidean": "distance"}
"""What numbers are called that say how near an image is."""
_METHOD = "embedding"


@dataclass(frozen=True)
class Training:
    """The training images of a run as its network sees them, in their order."""

    embedding: np.ndarray
    label: np.ndarray
    name: np.ndarray
    """Paths below the data's root, or their numbers in the training split."""


def keep_training(opened, *, show=False) -> tuple:
    """Keep the embeddings of the training images in the run; returns how many, and the file."""
    found = _computed(opened, show)
    record = opened.run.evaluation_of(opened.checkpoint, opened.epoch, opened.step)
    return len(found.label), opened.run.path / record.arrays("train", _METHOD, vars(found))


def training(opened, *, show=False) -> Training:
    """The embeddings that the run keeps, else those of its training images, which are then read."""
    return _kept(opened) or _computed(opened, show)


def kept_training(opened) -> Training:
    """The embeddings that the run keeps, so that the training images need not be there.

    Raises
    ------
    UserError
        If it keeps none of this checkpoint; the message says how to get them.
    """
    found = _kept(opened)
    if found is None:
        which = [] if opened.checkpoint == "last" else ["--checkpoint", opened.checkpoint]
        way = shlex.join(["lossbench", "embed", "--run", str(opened.run.path), *which, "--keep"])
        raise UserError(
            f"run: {_path(opened)} must hold the embeddings of the training images, got none of this checkpoint. "
            f"Keep them: {way}"
        )
    return found


def _path(opened):
    return opened.run.evaluation / f"{opened.checkpoint}-train-{_METHOD}.npz"


def _kept(opened):
    path = _path(opened)
    if not path.exists():
        return None
    arrays = reading.arrays(path)
    names = [one.name for one in fields(Training)]
    if not {"step", *names} <= arrays.keys() or not np.array_equal(arrays["step"], opened.step):
        return None
    found = Training(*(arrays[name] for name in names))
    size, classes = opened.model.backbone.embedding_size, len(opened.model.dataset.all_class_names)
    fits = (
        [array.dtype.kind for array in (found.embedding, found.label, found.name)] == ["f", "i", "U"]
        and found.embedding.shape == (found.label.size, size)
        and found.label.shape == found.name.shape == found.embedding.shape[:1]
        and np.isin(found.label, np.arange(classes)).all()
        and np.isfinite(found.embedding).all()
    )
    if not fits:
        raise UserError(
            f"{path} must hold {size} finite numbers, a label and a name for each image. Make it anew: embed --keep."
        )
    return found


def _computed(opened, show):
    images = opened.model.images("train")
    names = np.arange(len(images)).astype(str) if images.names is None else images.names
    outputs = opened.model.outputs(images, show=show)
    return Training(outputs["embedding"], outputs["label"], names)


def nearest(opened, embedding, found: Training, count: int) -> tuple:
    """Return the rows of the nearest training images (N, count), nearest first, and how near they are (N, count).

    By the cosine for a head that compares by it, else by the Euclidean distance: `measure(opened)`.
    """
    if count > len(found.label):
        raise UserError(f"knn: N must be at most the number of training images, {len(found.label):,}, got {count:,}.")
    metric = measure(opened)
    reference, query = checks.embeddings("knn", train_embedding=found.embedding, embedding=embedding)
    reference, query = search.in_metric(reference, metric), search.in_metric(query, metric)
    rows, distances = zip(*((index, distance) for _, index, distance in search.nearest(reference, query, count)))
    distance = np.concatenate(distances)
    return np.concatenate(rows), 1 - distance**2 / 2 if metric == "cosine" else distance


def measure(opened) -> str:
    """What this run's embeddings are compared by: `cosine`, or the `euclidean` distance."""
    return "cosine" if opened.model.description()["metric"] == "cosine" else "euclidean"
