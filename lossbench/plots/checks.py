"""What every figure checks first, and the error of one that its data cannot give."""

from __future__ import annotations

import numpy as np

from lossbench.errors import UserError


class CannotDraw(UserError):
    """The data cannot give this picture; the message says in one sentence why."""


def points(where: str, embedding, label, size: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (N, size) in float64 and their class ids (N,); `CannotDraw` where they are not such."""
    embedding, label = np.asarray(embedding, np.float64), np.asarray(label).astype(np.int64)
    if embedding.ndim != 2 or embedding.shape[1] != size:
        way_out = " Project more dimensions first, with plots.Projection." if size == 2 else ""
        raise CannotDraw(f"{where}: `embedding` must have the shape (N, {size}), got {embedding.shape}.{way_out}")
    if label.shape != (len(embedding),):
        raise CannotDraw(f"{where}: `label` must have the shape ({len(embedding)},), got {label.shape}.")
    bad = int((~np.isfinite(embedding)).any(axis=1).sum())
    if len(embedding) == 0 or bad:
        what = f"NaN or infinity in {bad} rows" if bad else "none"
        raise CannotDraw(f"{where}: `embedding` must have rows, all finite, got {what}.")
    return embedding, label
