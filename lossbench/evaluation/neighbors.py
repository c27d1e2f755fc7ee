"""Classes by distance in the embedding space: nearest training embeddings, learned centers, class means.

The distance is Euclidean. Where the head compares directions, it is Euclidean between unit vectors
(``metric="cosine"``), which orders pairs as their cosine does.
"""

from __future__ import annotations

import numpy as np

from lossbench.errors import UserError
from lossbench.evaluation import checks
from lossbench.evaluation.search import MAX_MEMORY_BYTES, in_metric, nearest


def knn(
    train_embedding,
    train_label,
    embedding,
    k: int = 10,
    exclude_self: bool = False,
    *,
    metric: str = "euclidean",
    max_memory_bytes: int = MAX_MEMORY_BYTES,
    with_share: bool = False,
    progress: bool = False,
):
    """Return the majority class of the k nearest training embeddings, the k-nearest-neighbor rule.

    Of classes with as many neighbors each, the one with the smaller sum of distances wins, then the lower class id.
    Of training embeddings at the same distance, the earlier one is the nearer.

    Parameters
    ----------
    train_embedding : (M, D) array
        Embeddings of training images, without augmentation.
    train_label : (M,) array
        Their class ids.
    embedding : (N, D) array
        The queries.
    k : int
        Number of neighbors that vote, 1 to M (M - 1 where a query excludes itself).
    exclude_self : bool
        True if `embedding` is `train_embedding`: query i then never sees training embedding i.
    metric : {"euclidean", "cosine"}
        Cosine is the Euclidean distance between unit vectors.
    max_memory_bytes : int
        Bound on the arrays made on the way; the result does not depend on it.
    with_share : bool
        Whether to return also the share of the k votes that the class got.
    progress : bool
        Whether to show a progress bar on the standard error.

    Returns
    -------
    (N,) int64 array of class ids, and with `with_share` a (N,) float64 array in (0, 1]

    Raises
    ------
    Unavailable
        If an embedding is NaN or infinite, or there are fewer than k neighbors.

    Examples
    --------
    >>> knn([[0.0], [1.0], [5.0], [6.0]], [0, 0, 1, 1], [[0.4], [5.4]], k=2)
    array([0, 1])
    """
    train_embedding, embedding = checks.embeddings("knn", train_embedding=train_embedding, embedding=embedding)
    (train_label,) = checks.labels("knn", len(train_embedding), train_label=train_label)
    available = len(train_embedding) - bool(exclude_self)
    if k != int(k) or k < 1:
        raise UserError(f"knn: `k` must be a whole number from 1 on, got {k}.")
    if k > available:
        raise checks.Unavailable(f"knn: `k` must be at most the number of neighbors ({available}), got {k}.")
    if exclude_self and len(embedding) != len(train_embedding):
        raise UserError(
            f"knn: `embedding` must be the {len(train_embedding)} training embeddings where exclude_self is True, "
            f"got {len(embedding)} rows."
        )
    reference, query = in_metric(train_embedding, metric), in_metric(embedding, metric)
    predicted, share = np.empty(len(query), np.int64), np.empty(len(query))
    for part, index, distance in nearest(reference, query, int(k), exclude_self, max_memory_bytes, progress):
        voted = train_label[index]
        predicted[part] = _vote(voted, distance)
        share[part] = (voted == predicted[part, None]).mean(axis=1)
    return (predicted, share) if with_share else predicted


def centers(
    embedding, prototypes, metric: str = "euclidean", score=None, *, max_memory_bytes: int = MAX_MEMORY_BYTES
) -> np.ndarray:
    """Return the class of the nearest learned center; of equally near ones, the lowest class id.

    Parameters
    ----------
    embedding : (N, D) array
    prototypes : (C, D) array
        Class centers, means or directions.
    metric : {"euclidean", "cosine", "density"}
        With density the nearest class is the one with the largest `score`.
    score : callable, optional
        embedding (N, D) -> log density of each class (N, C).
    max_memory_bytes : int
        Bound on the arrays made on the way.

    Returns
    -------
    (N,) int64 array of class ids

    Raises
    ------
    Unavailable
        If an embedding, a prototype or a score is NaN or infinite.

    Examples
    --------
    >>> centers([[0.0, 2.0], [3.0, 1.0]], [[9.0, 0.0], [0.0, 1.0]], metric="cosine")
    array([1, 0])
    """
    embedding, prototypes = checks.embeddings("centers", embedding=embedding, prototypes=prototypes)
    checks.not_empty("centers", prototypes=prototypes)
    if metric != "density":
        reference, query = in_metric(prototypes, metric), in_metric(embedding, metric)
        return _nearest_one(reference, query, max_memory_bytes)
    if score is None:
        raise UserError("centers: `score` must be a callable where metric is density, got None.")
    rows = max(1, int(max_memory_bytes // (64 * sum(prototypes.shape))))
    best = []
    for start in range(0, len(embedding), rows):
        (scores,) = checks.embeddings("centers", score=score(embedding[start : start + rows]))
        best.append(scores.argmax(axis=1))
    return np.concatenate(best) if best else np.zeros(0, np.int64)


def class_means(
    train_embedding,
    train_label,
    embedding,
    *,
    metric: str = "euclidean",
    max_memory_bytes: int = MAX_MEMORY_BYTES,
) -> np.ndarray:
    """Return the class of the nearest mean of training embeddings; of equally near ones, the lowest class id.

    A class without training embeddings is never predicted. With ``metric="cosine"`` the means are those of unit
    vectors, and the nearest is the one in the most similar direction.

    Parameters
    ----------
    train_embedding : (M, D) array
    train_label : (M,) array
    embedding : (N, D) array
    metric : {"euclidean", "cosine"}
    max_memory_bytes : int
        Bound on the arrays made on the way.

    Returns
    -------
    (N,) int64 array of class ids

    Raises
    ------
    Unavailable
        If an embedding is NaN or infinite, or there is no training embedding.

    Examples
    --------
    >>> class_means([[0.0], [2.0], [6.0]], [0, 0, 3], [[3.0], [4.0]])
    array([0, 3])
    """
    train_embedding, embedding = checks.embeddings("class_means", train_embedding=train_embedding, embedding=embedding)
    checks.not_empty("class_means", train_embedding=train_embedding)
    (train_label,) = checks.labels("class_means", len(train_embedding), train_label=train_label)
    classes, means = mean_per_class(in_metric(train_embedding, metric), train_label)
    reference, query = in_metric(means, metric), in_metric(embedding, metric)
    return classes[_nearest_one(reference, query, max_memory_bytes)]


def mean_per_class(embedding: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the class ids that occur (K,), ascending, and the mean embedding of each (K, D) in float64.

    Examples
    --------
    >>> mean_per_class(np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 5.0]]), np.array([2, 2, 0]))
    (array([0, 2]), array([[5., 5.],
           [2., 0.]]))
    """
    classes, members = np.unique(label, return_counts=True)
    means = np.zeros((len(classes), embedding.shape[1]))
    for row, one in enumerate(classes):
        means[row] = embedding[label == one].mean(axis=0, dtype=np.float64)
    return classes, means


def _nearest_one(reference, query, max_memory_bytes):
    """Return the nearest reference row of each query (N,)."""
    found = [index[:, 0] for _, index, _ in nearest(reference, query, 1, max_memory_bytes=max_memory_bytes)]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _vote(label, distance):
    """Return each row's majority label; ties by the smaller sum of distances, then by the lower label."""
    queries, k = label.shape
    row = np.repeat(np.arange(queries), k)
    # One number for each (row, label) that occurs; `entry` says which of them a neighbor belongs to.
    classes, compact = np.unique(label, return_inverse=True)
    key, entry = np.unique(row * len(classes) + compact.ravel(), return_inverse=True)
    votes = np.bincount(entry)
    total = np.bincount(entry, weights=distance.ravel())
    order = np.lexsort((key, total, -votes, key // max(1, len(classes))))
    _, first = np.unique(key[order] // max(1, len(classes)), return_index=True)
    return classes[key[order][first] % max(1, len(classes))]
