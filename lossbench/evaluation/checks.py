"""What every evaluation checks first: shapes, and numbers that are numbers."""

from __future__ import annotations

import numpy as np

from lossbench.errors import UserError


class Unavailable(UserError):
    """The data cannot give this metric; the message says in one sentence why."""


def embeddings(where: str, **arrays) -> list[np.ndarray]:
    """Return the arrays as (N, D) floating point, of one type and one D; Unavailable where one is not finite."""
    checked = [np.asarray(array) for array in arrays.values()]
    kind = np.result_type(np.float32, *checked)
    size = checked[0].shape[-1] if checked[0].ndim else None
    for name, array in zip(arrays, checked):
        if array.ndim != 2 or array.shape[1] != size:
            expected = "(N, D)" if array is checked[0] else f"(N, {size})"
            raise UserError(f"{where}: `{name}` must have the shape {expected}, got {array.shape}.")
        bad = len(array) - int(np.isfinite(array).all(axis=1).sum())
        if bad:
            raise Unavailable(
                f"{where}: `{name}` must be finite, got NaN or infinity in {bad} of {len(array)} rows. "
                "The model has diverged; evaluate an earlier checkpoint."
            )
    return [np.ascontiguousarray(array, dtype=kind) for array in checked]


def labels(where: str, count: int, **arrays) -> list[np.ndarray]:
    """Return the arrays as (count,) int64; labels are class ids from 0 on."""
    checked = []
    for name, array in arrays.items():
        array = np.asarray(array)
        if array.shape != (count,):
            raise UserError(f"{where}: `{name}` must have the shape ({count},), got {array.shape}.")
        ids = array.astype(np.int64)
        wrong = array[(ids != array) | (ids < 0)]
        if len(wrong):
            raise UserError(f"{where}: `{name}` must hold class ids 0, 1, 2, ..., got {wrong[0]}.")
        checked.append(ids)
    return checked


def attempt(metric, *arguments, **options):
    """Return what the metric returns, or ``{"unavailable": reason}`` where the data cannot give it.

    Examples
    --------
    >>> attempt(not_empty, "knn", labels=[])
    {'unavailable': 'knn: `labels` must have at least one row, got none.'}
    """
    try:
        return metric(*arguments, **options)
    except Unavailable as error:
        return {"unavailable": str(error)}


def not_empty(where: str, **arrays) -> None:
    """Raise Unavailable if one of the arrays has no rows."""
    for name, array in arrays.items():
        if len(array) == 0:
            raise Unavailable(f"{where}: `{name}` must have at least one row, got none.")
