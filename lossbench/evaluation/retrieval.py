"""Retrieval: does an image's neighborhood hold the other images of its class? And do clusters find the classes?"""

from __future__ import annotations

import numpy as np

from lossbench.evaluation import checks, search

_MANY = 100  # neighbors, from which on ordering by all distances is the faster way


def retrieve(
    embedding,
    label,
    *,
    reference_embedding=None,
    reference_label=None,
    recall_at=(1, 2, 4, 8),
    metric: str = "euclidean",
    max_memory_bytes: int = search.MAX_MEMORY_BYTES,
    progress: bool = False,
) -> dict:
    r"""Return how well each query retrieves the references of its class, nearest first.

    With :math:`r_i = 1` where the :math:`i`-th nearest reference is of the query's class, :math:`R` the number of
    references of that class, and means over the queries:

    .. math::
        \text{precision at 1} = r_1, \quad
        \text{R-precision} = \frac{1}{R} \sum_{i=1}^{R} r_i, \quad
        \text{MAP@R} = \frac{1}{R} \sum_{i=1}^{R} r_i \frac{1}{i} \sum_{j=1}^{i} r_j

    and recall at k the share of queries with at least one :math:`r_i = 1` among the first k. Of equally near
    references, the earlier is the nearer.

    Parameters
    ----------
    embedding : (N, D) array
        The queries.
    label : (N,) array
        Class ids.
    reference_embedding, reference_label : (M, D), (M,) array, optional
        What is searched. Default: the queries, each of which then leaves itself out.
    recall_at : sequence of int
        The k of recall at k.
    metric : {"euclidean", "cosine"}
        Cosine is the Euclidean distance between unit vectors.
    max_memory_bytes : int
        Bound on the arrays made on the way; the result does not depend on it.
    progress : bool
        Whether to show a progress bar on the standard error.

    Returns
    -------
    dict
        `precision_at_1`, `recall_at_<k>`, `r_precision`, `map_at_r`: fractions, or ``{"unavailable": reason}``; and
        `queries`, how many had a reference of their class. The others are left out of every mean.

    Raises
    ------
    Unavailable
        If an embedding is NaN or infinite, or no query has a reference of its class.

    Notes
    -----
    As pytorch-metric-learning defines them, with R in the denominator of MAP@R also where fewer are found.

    References
    ----------
    K. Musgrave, S. Belongie, S.-N. Lim, "A Metric Learning Reality Check", ECCV 2020, section 3.2.

    Examples
    --------
    >>> found = retrieve([[0.0], [1.0], [3.0], [7.0], [5.5]], [0, 0, 1, 0, 1], recall_at=[1, 2])
    >>> {name: round(value, 4) for name, value in found.items()}
    {'precision_at_1': 0.4, 'recall_at_1': 0.4, 'recall_at_2': 0.8, 'r_precision': 0.2, 'map_at_r': 0.2, 'queries': 5}
    """
    exclude_self = reference_embedding is None
    if exclude_self:
        reference_embedding, reference_label = embedding, label
    embedding, reference = checks.embeddings("retrieval", embedding=embedding, reference_embedding=reference_embedding)
    (label,) = checks.labels("retrieval", len(embedding), label=label)
    (reference_label,) = checks.labels("retrieval", len(reference), reference_label=reference_label)
    relevant = np.bincount(reference_label, minlength=1 + label.max(initial=0))[label] - exclude_self
    queries = np.flatnonzero(relevant > 0)
    if len(queries) == 0:
        raise checks.Unavailable("retrieval: a query must have another image of its class, got none that has.")
    available = len(reference) - exclude_self
    depth = max(relevant.max(), *(k for k in recall_at if k <= available), 1)
    names = ("precision_at_1", *(f"recall_at_{k}" for k in recall_at), "r_precision", "map_at_r")
    found: dict = {name: [] for name in names}
    reference, embedding = search.in_metric(reference, metric), search.in_metric(embedding, metric)
    find = search.order if depth > _MANY else search.nearest
    for part, index, *_ in find(reference, embedding, int(depth), exclude_self, max_memory_bytes, progress):
        known = relevant[part] > 0
        hits = (reference_label[index] == label[part, None])[known]
        for name, values in _of_each_query(hits, relevant[part][known], recall_at).items():
            found[name].append(values)
    metrics: dict = {name: float(np.concatenate(values).mean()) for name, values in found.items()}
    for k in recall_at:
        if k > available:
            reason = f"retrieval: k must be at most the number of references ({available}), got {k}."
            metrics[f"recall_at_{k}"] = {"unavailable": reason}
    return {**metrics, "queries": len(queries)}


def _of_each_query(hits, relevant, recall_at):
    """Return each metric of each query from which neighbors are hits (n, depth) and how many references are."""
    rank = np.arange(1, hits.shape[1] + 1)
    within = hits & (rank <= relevant[:, None])
    precision = np.cumsum(hits, axis=1) / rank
    found = {"precision_at_1": hits[:, 0]}
    found.update({f"recall_at_{k}": hits[:, :k].any(axis=1) for k in recall_at})
    found["r_precision"] = within.sum(axis=1) / relevant
    found["map_at_r"] = (precision * within).sum(axis=1) / relevant
    return found


def cluster(embedding, label, *, metric: str = "euclidean", seed: int = 0) -> dict:
    """Return how far k-means clusters, as many as there are classes, agree with the classes.

    Parameters
    ----------
    embedding : (N, D) array
    label : (N,) array
        Class ids.
    metric : {"euclidean", "cosine"}
        With cosine the clusters are those of unit vectors.
    seed : int
        Of the three starts of k-means, the best of which counts.

    Returns
    -------
    dict
        `normalized_mutual_information` (NMI, arithmetic mean of the entropies) and `adjusted_mutual_information`
        (AMI, which is 0 on average for clusters that know nothing of the classes).

    Raises
    ------
    Unavailable
        If an embedding is NaN or infinite, or there are fewer than two classes.

    Examples
    --------
    >>> cluster([[0.0], [0.1], [5.0], [5.1]], [1, 1, 0, 0])
    {'normalized_mutual_information': 1.0, 'adjusted_mutual_information': 1.0}
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

    (embedding,) = checks.embeddings("clustering", embedding=embedding)
    (label,) = checks.labels("clustering", len(embedding), label=label)
    classes = len(np.unique(label))
    if classes < 2:
        raise checks.Unavailable(f"clustering: there must be at least two classes, got {classes}.")
    points = search.in_metric(embedding, metric)
    # A power of two changes no digit, and keeps the squares of tiny and of huge points in float32's range.
    points = np.ldexp(points, -np.frexp(np.abs(points).max())[1])
    # More clusters than different points are a warning and an empty cluster each; fewer say the same.
    clusters = min(classes, len(np.unique(points, axis=0)))
    found = KMeans(clusters, n_init=3, random_state=seed).fit_predict(points)
    return {
        "normalized_mutual_information": float(normalized_mutual_info_score(label, found)),
        "adjusted_mutual_information": float(adjusted_mutual_info_score(label, found)),
    }
