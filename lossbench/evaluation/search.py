"""The nearest rows of a matrix, exact in float64 and within a bound of memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from lossbench.errors import UserError

MAX_MEMORY_BYTES = 1_000_000_000
METRICS = ("euclidean", "cosine")

# Up to here all distances take less time than scikit-learn's import, one or two seconds.
_FEW_PAIRS = 10_000_000

# Candidates asked for beyond k, so that a few equal distances at the k-th rank need no second search.
_SLACK = 8


def in_metric(embedding, metric):
    """Return the rows (N, D) as they are, or as unit vectors for cosine; a zero row stays zero.

    Examples
    --------
    >>> in_metric(np.array([[3.0, 4.0], [0.0, 0.0]]), "cosine")
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    if metric not in METRICS:
        raise UserError(f"evaluation: `metric` must be one of {', '.join(METRICS)}, got {metric!r}.")
    if metric == "euclidean":
        return embedding
    # Dividing by the largest entry first keeps the squares of tiny and of huge rows in range.
    largest = np.abs(embedding).max(axis=1, keepdims=True, initial=0)
    scaled = embedding / np.where(largest > 0, largest, 1)
    norm = np.sqrt(np.einsum("nd,nd->n", scaled, scaled, dtype=np.float64))[:, None]
    return (scaled / np.where(norm > 0, norm, 1)).astype(embedding.dtype)


def nearest(
    reference,
    query,
    k: int,
    exclude_self: bool = False,
    max_memory_bytes: int = MAX_MEMORY_BYTES,
    progress: bool = False,
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield the k nearest reference rows of each query, nearest first; of equally near ones, the earlier row.

    A few more than k are proposed through matrix products, by scikit-learn where there are many rows; their distances
    are then computed as float64 differences, so that equal rows are equally far. Where the proposal cannot be told from
    what it left out, all distances of that query are computed.

    Parameters
    ----------
    reference : (M, D) array
    query : (N, D) array
        Both floating point and finite.
    k : int
        1 to M, or to M - 1 with `exclude_self`.
    exclude_self : bool
        True if `query` is `reference`: query i then leaves out row i.
    max_memory_bytes : int
        Bound on the arrays made on the way; the result does not depend on it.

    Yields
    ------
    part : slice
        The queries of this part; the parts follow each other.
    index : (n, k) int64 array
    distance : (n, k) float64 array

    Examples
    --------
    >>> list(nearest(np.array([[0.0], [3.0], [3.0]]), np.array([[2.0]]), k=2))
    [(slice(0, 1, None), array([[1, 2]]), array([[1., 1.]]))]
    """
    proposed = min(len(reference), k + bool(exclude_self) + _SLACK)
    few = len(reference) * len(query) <= _FEW_PAIRS
    propose = (_proposals_by_all if few else _proposals_by_sklearn)(reference, proposed)
    tolerance = _rounding(reference, query)
    rows = max(1, int(max_memory_bytes // (proposed * (8 * reference.shape[1] * 3 + 64) + few * 24 * len(reference))))
    for part in parts(len(query), rows, progress):
        own = np.arange(part.start, part.stop)
        candidate = np.sort(propose(query[part]), axis=1)
        squared = _squared_distance(reference[candidate], query[part, None])
        farthest = squared.max(axis=1)
        if exclude_self:
            squared[candidate == own[:, None]] = np.inf
        order = np.argsort(squared, axis=1, kind="stable")[:, :k]
        index = np.take_along_axis(candidate, order, axis=1)
        squared = np.take_along_axis(squared, order, axis=1)
        if proposed < len(reference):
            unsure = np.flatnonzero(squared[:, -1] + tolerance[part] >= farthest)
            by_all = _nearest_by_all(reference, query[part][unsure], k + bool(exclude_self), max_memory_bytes)
            for row, found in zip(unsure, by_all):
                kept = np.flatnonzero(found[0] != own[row])[:k] if exclude_self else slice(k)
                index[row], squared[row] = found[0][kept], found[1][kept]
        yield part, index, np.sqrt(squared)


def _proposals_by_sklearn(reference, count):
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=count, algorithm="auto").fit(reference)
    return lambda query: search.kneighbors(query, return_distance=False)


def _proposals_by_all(reference, count):
    reference = reference.astype(np.float64)
    square = np.einsum("nd,nd->n", reference, reference)
    return lambda query: _smallest(_partial_squared_distance(reference, square, query), count)


def order(
    reference,
    query,
    k: int,
    exclude_self: bool = False,
    max_memory_bytes: int = MAX_MEMORY_BYTES,
    progress: bool = False,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the part and the index that `nearest` does, faster where k is large: no distance is computed twice.

    All distances are matrix products; queries in whose order rounding may have had a say are ordered again exactly.

    Examples
    --------
    >>> list(order(np.array([[0.0], [3.0], [3.0]]), np.array([[2.0]]), k=2))
    [(slice(0, 1, None), array([[1, 2]]))]
    """
    reference, query = reference.astype(np.float64), query.astype(np.float64)
    tolerance = _rounding(reference, query)
    square = np.einsum("nd,nd->n", reference, reference)
    rows = max(1, int(max_memory_bytes // (8 * (3 * len(reference) + 4 * k))))
    for part in parts(len(query), rows, progress):
        own = np.arange(part.start, part.stop)
        distance = _partial_squared_distance(reference, square, query[part])
        if exclude_self:
            distance[np.arange(len(own)), own] = np.inf
        index = _smallest(distance, min(k + 1, len(reference)))
        gap = np.diff(np.take_along_axis(distance, index, axis=1), axis=1)
        unsure = np.flatnonzero((gap <= 2 * tolerance[part, None]).any(axis=1))
        index = index[:, :k]
        for row, found in zip(
            unsure, _nearest_by_all(reference, query[part][unsure], k + bool(exclude_self), max_memory_bytes)
        ):
            index[row] = found[0][found[0] != own[row]][:k] if exclude_self else found[0]
        yield part, index


def parts(count: int, rows: int, progress: bool = False) -> Iterator[slice]:
    """Yield slices of at most `rows` that follow each other; with a progress bar after two seconds where asked for.

    Examples
    --------
    >>> list(parts(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    with tqdm(total=count, unit="query", disable=not progress, leave=False, delay=2) as bar:
        for start in range(0, count, rows):
            part = slice(start, min(start + rows, count))
            yield part
            bar.update(part.stop - part.start)


def _partial_squared_distance(reference, square, query):
    """Return squared distances by a matrix product, less the query's own square, which orders nothing."""
    distance = query.astype(np.float64) @ reference.T
    distance *= -2
    distance += square
    return distance


def _smallest(values, count):
    """Return where the smallest values of each row are, (n, count), rising."""
    if count < values.shape[1]:
        among = np.argpartition(values, count - 1, axis=1)[:, :count]
    else:
        among = np.broadcast_to(np.arange(count), values.shape)
    rising = np.argsort(np.take_along_axis(values, among, axis=1), axis=1)
    return np.take_along_axis(among, rising, axis=1)


def _nearest_by_all(reference, query, k, max_memory_bytes):
    """Return index and squared distance of each query's k nearest rows by all distances; equal queries once."""
    rows = max(1, int(max_memory_bytes // (8 * reference.shape[1] * 3)))
    found = []
    distinct, which = np.unique(query, axis=0, return_inverse=True)
    for one in distinct:
        squared = np.empty(len(reference))
        for start in range(0, len(reference), rows):
            squared[start : start + rows] = _squared_distance(reference[start : start + rows], one)
        within = np.flatnonzero(squared <= np.partition(squared, k - 1)[k - 1])
        within = within[np.argsort(squared[within], kind="stable")[:k]]
        found.append((within, squared[within]))
    return [found[entry] for entry in which.ravel()]


def _squared_distance(a, b):
    difference = np.subtract(a, b, dtype=np.float64)
    return np.einsum("...d,...d->...", difference, difference)


def _rounding(reference, query):
    """Bound what matrix products in float64 get wrong in two squared distances of each query."""
    largest = np.sqrt(np.einsum("nd,nd->n", reference, reference, dtype=np.float64).max())
    norm = np.sqrt(np.einsum("nd,nd->n", query, query, dtype=np.float64))
    return 4 * (reference.shape[1] + 8) * np.finfo(np.float64).eps * (norm + largest) ** 2
