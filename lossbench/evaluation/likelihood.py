"""Does a model notice what it was not trained on? Scores of single images, and how well they tell two sets apart.

Every score is higher the more an image resembles the training data.
"""

from __future__ import annotations

import numpy as np

from lossbench.evaluation import checks, neighbors, roc, search
from lossbench.evaluation.rows import by_parts

SCORES = {
    "log_density": "log density",
    "softmax": "largest softmax probability",
    "class_means": "distance to the class means",
    "centers": "distance to the learned centers",
}
"""Name of a score -> what people call it."""


@by_parts
def max_log_density(logits) -> np.ndarray:
    """Return the largest class log density of each image, L-GM's likelihood of it under its nearest class.

    Parameters
    ----------
    logits : (N, C) array
        L-GM's logits, which are log densities up to a constant.

    Returns
    -------
    (N,) float64 array

    Raises
    ------
    Unavailable
        If a logit is NaN or infinite.

    Examples
    --------
    >>> max_log_density([[-3.0, -8.0], [-90.0, -70.0]])
    array([ -3., -70.])
    """
    (logits,) = checks.embeddings("likelihood", logits=logits)
    return logits.max(axis=1).astype(np.float64)


@by_parts
def log_odds(logits) -> np.ndarray:
    r"""Return the log odds of the largest softmax probability of each image.

    .. math:: \log\frac{p}{1 - p} = z_1 - \log\sum_{j > 1} e^{z_j}

    with the logits :math:`z_1 \ge z_2 \ge \dots`. They order images as the probability p does, and still where p
    rounds to 1, however far apart the logits are.

    Parameters
    ----------
    logits : (N, C) array
        Class scores without a margin.

    Returns
    -------
    (N,) float64 array
        Infinite for a single class, whose probability is 1.

    Raises
    ------
    Unavailable
        If a logit is NaN or infinite.

    References
    ----------
    D. Hendrycks, K. Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural
    Networks", ICLR 2017.

    Examples
    --------
    >>> log_odds([[0.0, 0.0], [900.0, 0.0]])
    array([  0., 900.])
    """
    (logits,) = checks.embeddings("likelihood", logits=logits)
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        return np.full(len(logits), np.inf)
    rows, best = np.arange(len(logits)), logits.argmax(axis=1)
    largest = logits[rows, best]
    logits[rows, best] = -np.inf
    second = logits.max(axis=1)
    return largest - second - np.log(np.exp(logits - second[:, None]).sum(axis=1))


def closeness_to_class_means(
    embedding, train_embedding, train_label, *, metric: str = "euclidean",
    max_memory_bytes: int = search.MAX_MEMORY_BYTES,
) -> np.ndarray:  # fmt: skip
    """Return the negative distance of each embedding to the nearest mean of a training class.

    Parameters
    ----------
    embedding : (N, D) array
    train_embedding : (M, D) array
    train_label : (M,) array
        Class ids.
    metric : {"euclidean", "cosine"}
        With cosine the means are those of unit vectors, and the distance is that between unit vectors.
    max_memory_bytes : int
        Bound on the arrays made on the way.

    Returns
    -------
    (N,) float64 array

    Raises
    ------
    Unavailable
        If an embedding is NaN or infinite, or there is no training embedding.

    Examples
    --------
    >>> closeness_to_class_means([[1.5], [9.0]], [[0.0], [2.0], [5.0]], [0, 0, 1])
    array([-0.5, -4. ])
    """
    embedding, train_embedding = checks.embeddings("likelihood", embedding=embedding, train_embedding=train_embedding)
    (train_label,) = checks.labels("likelihood", len(train_embedding), train_label=train_label)
    checks.not_empty("likelihood", train_embedding=train_embedding)
    _, means = neighbors.mean_per_class(search.in_metric(train_embedding, metric), train_label)
    return _closeness(search.in_metric(embedding, metric), search.in_metric(means, metric), max_memory_bytes)


def closeness_to_centers(embedding, centers, *, max_memory_bytes: int = search.MAX_MEMORY_BYTES) -> np.ndarray:
    """Return the negative Euclidean distance of each embedding to the nearest learned center.

    Parameters
    ----------
    embedding : (N, D) array
    centers : (C, D) array
        Those of a center loss.
    max_memory_bytes : int
        Bound on the arrays made on the way.

    Returns
    -------
    (N,) float64 array

    Raises
    ------
    Unavailable
        If a number is NaN or infinite.

    Examples
    --------
    >>> closeness_to_centers([[1.5], [9.0]], [[1.0], [5.0]])
    array([-0.5, -4. ])
    """
    embedding, centers = checks.embeddings("likelihood", embedding=embedding, centers=centers)
    return _closeness(embedding, centers, max_memory_bytes)


def scores(
    outputs,
    train,
    *,
    metric: str = "euclidean",
    is_density: bool = False,
    centers=None,
    max_memory_bytes: int = search.MAX_MEMORY_BYTES,
) -> dict:
    """Return every score that a model has to offer.

    Parameters
    ----------
    outputs : dict
        Of the images to score: `embedding` (N, D) and `logits` (N, C).
    train : dict
        `embedding` and `label` of the training images, without augmentation.
    metric : {"euclidean", "cosine"}
        How embeddings are compared.
    is_density : bool
        Whether the logits are log densities, as L-GM's are.
    centers : (C, D) array, optional
        Those of a center loss.
    max_memory_bytes : int
        Bound on the arrays made on the way.

    Returns
    -------
    dict
        Score (N,) by name: `log_density` where the logits are densities, `softmax` (the log odds of the largest
        probability), `class_means`, and `centers` where there are any.

    Raises
    ------
    Unavailable
        If a number is NaN or infinite.

    Examples
    --------
    >>> outputs = {"embedding": [[1.0], [8.0]], "logits": [[-0.5, -12.5], [-32.0, -4.5]]}
    >>> train = {"embedding": [[0.0], [2.0], [5.0]], "label": [0, 0, 1]}
    >>> found = scores(outputs, train, is_density=True)
    >>> {name: score.round(3).tolist() for name, score in found.items()}
    {'log_density': [-0.5, -4.5], 'softmax': [12.0, 27.5], 'class_means': [-0.0, -3.0]}
    """
    embedding, bound = outputs["embedding"], {"max_memory_bytes": max_memory_bytes}
    found = {"log_density": max_log_density(outputs["logits"])} if is_density else {}
    found["softmax"] = log_odds(outputs["logits"])
    found["class_means"] = closeness_to_class_means(
        embedding, train["embedding"], train["label"], metric=metric, **bound
    )
    if centers is not None:
        found["centers"] = closeness_to_centers(embedding, centers, **bound)
    return found


def _closeness(embedding, points, max_memory_bytes):
    """Negative distance (N,) of each embedding to the nearest of the points."""
    found = search.nearest(points, embedding, 1, max_memory_bytes=max_memory_bytes)
    return np.concatenate([np.zeros(0), *(-distance[:, 0] for _, _, distance in found)])


def detect(known, foreign) -> dict:
    """Return how well a score tells known images from foreign ones.

    Parameters
    ----------
    known : (N,) array
        Scores of images like the training data.
    foreign : (M,) array
        Scores of images that are not: another data set, or attacked images.

    Returns
    -------
    dict
        `area_under_roc` (known images are the positive ones), `false_positive_rate_at_95_tpr` (the share of foreign
        images taken for known where 95 % of the known are), or ``{"unavailable": reason}``; `known` and `foreign`, the
        numbers of images.

    Examples
    --------
    >>> detect([3.0, 2.0, 1.0], [1.5, 0.0])
    {'area_under_roc': 0.8333333333333334, 'false_positive_rate_at_95_tpr': 0.5, 'known': 3, 'foreign': 2}
    """
    return {
        "area_under_roc": checks.attempt(roc.area, known, foreign),
        "false_positive_rate_at_95_tpr": checks.attempt(roc.false_positive_rate_at, known, foreign, 0.95),
        "known": len(known),
        "foreign": len(foreign),
    }
