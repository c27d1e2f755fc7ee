"""Classes that are never trained on, set apart for questions about images of unknown classes."""

from __future__ import annotations

import numpy as np

from lossbench.data.dataset import Split
from lossbench.data.streamed import joined
from lossbench.errors import UserError

_NAMED = 20


def hold_out(dataset, classes):
    """Set classes apart: their images leave every split and form the split `holdout`.

    Kept classes are numbered 0, 1, 2, ... in their order, held-out ones go on from there, so that no two classes of
    the result have one number.

    Parameters
    ----------
    dataset : Dataset
    classes : sequence of int
        Class ids of the source.

    Returns
    -------
    Dataset
        `num_classes` and `class_names` are those of the kept classes; `holdout` has the images of the others, of the
        training split first, then of validation and test, each in its order.

    Raises
    ------
    ValueError
        If a class does not exist, or fewer than two are kept.

    Examples
    --------
    >>> from lossbench.data.dataset import Dataset
    >>> split = Split(np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 2, 3], np.int32))
    >>> found = hold_out(Dataset(split, split, 4, ["a", "b", "c", "d"]), [1])
    >>> found.train.labels, found.holdout.labels, found.class_names, found.holdout_names
    (array([0, 1, 2], dtype=int32), array([3, 3], dtype=int32), ['a', 'c', 'd'], ['b'])
    """
    held = sorted(set(classes))
    wrong = [one for one in held if not 0 <= one < dataset.num_classes]
    if wrong:
        raise UserError(
            f"data: `holdout_classes` must hold class ids from 0 to {dataset.num_classes - 1}, got {wrong[0]}. "
            f"The classes are: {', '.join(dataset.class_names[:20])}."
        )
    kept = sorted({*range(dataset.num_classes)} - {*held})
    if len(kept) < 2:
        raise UserError(
            f"data: `holdout_classes` must leave at least 2 of {dataset.num_classes} classes to train on, got {held}. "
            "Hold out fewer."
        )
    number = np.empty(dataset.num_classes, np.int32)
    number[kept + held] = np.arange(dataset.num_classes)
    splits, apart = {}, []
    for name in ("train", "validation", "test"):
        split = getattr(dataset, name)
        is_kept = ~np.isin(split.labels, held)
        splits[name] = _renumbered(split, np.flatnonzero(is_kept), number)
        apart.append(_renumbered(split, np.flatnonzero(~is_kept), number))
    holdout = _joined(apart)
    names = ", ".join([dataset.class_names[one] for one in held[:_NAMED]] + ["..."] * (len(held) > _NAMED))
    count = f"{len(held):,} classes, {len(holdout):,} images"
    return dataset.replace(
        **splits,
        holdout=holdout,
        notes=[*dataset.notes, f"classes that are never trained on: {names} ({count})"],
        num_classes=len(kept),
        class_names=[dataset.class_names[one] for one in kept],
        holdout_names=[dataset.class_names[one] for one in held],
        source_ids=kept + held,
    )


def _renumbered(split, positions, number):
    taken = split.take(positions)
    return Split(taken.images, number[taken.labels], taken.names)


def _joined(splits):
    names = None if any(split.names is None for split in splits) else np.concatenate([s.names for s in splits])
    return Split(joined([split.images for split in splits]), np.concatenate([split.labels for split in splits]), names)
