"""Verification: are two images of one class? Judged on classes that need not have been trained on."""

from __future__ import annotations

import math

import numpy as np

from lossbench.errors import UserError
from lossbench.evaluation import checks, roc, search

FALSE_ACCEPT_RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
RULE = (
    "A pair is accepted as of one class if its similarity is above the threshold. For a false accept rate (FAR) the "
    "threshold is the lowest that accepts at most that share of the different pairs, without interpolation."
)


def similarity(embedding, first, second, metric: str = "cosine", max_memory_bytes: int = search.MAX_MEMORY_BYTES):
    """Return how alike the two embeddings of each pair are: the cosine, or the negative Euclidean distance.

    Parameters
    ----------
    embedding : (N, D) array
    first, second : (P,) int array
        Rows of the pair's members.
    metric : {"cosine", "euclidean"}
        The cosine orders pairs as the distance between unit vectors does; that of a zero row is 0.
    max_memory_bytes : int
        Bound on the arrays made on the way.

    Returns
    -------
    (P,) float64 array

    Raises
    ------
    Unavailable
        If an embedding is NaN or infinite.

    Examples
    --------
    >>> similarity([[3.0, 0.0], [0.0, 4.0], [6.0, 0.0]], [0, 0], [1, 2])
    array([0., 1.])
    >>> similarity([[3.0, 0.0], [0.0, 4.0], [6.0, 0.0]], [0, 0], [1, 2], "euclidean")
    array([-5., -3.])
    """
    (embedding,) = checks.embeddings("verification", embedding=embedding)
    first, second = checks.labels("verification", len(first), first=first, second=second)
    found = np.empty(len(first))
    rows = max(1, int(max_memory_bytes // (8 * 8 * embedding.shape[1])))
    for start in range(0, len(first), rows):
        part = slice(start, start + rows)
        # Unit vectors in float32 would not tell cosines apart that are 1 within 1e-7.
        a, b = (search.in_metric(embedding[rows_of[part]].astype(np.float64), metric) for rows_of in (first, second))
        if metric == "cosine":
            found[part] = np.einsum("nd,nd->n", a, b)
        else:
            found[part] = -np.sqrt(np.einsum("nd,nd->n", a - b, a - b))
    return found


def verify(score, same, *, false_accept_rates=FALSE_ACCEPT_RATES, folds: int = 10) -> dict:
    """Return the metrics of a verification: areas, error rates and accuracies of one similarity per pair.

    Parameters
    ----------
    score : (P,) array
        Similarity of each pair, in the order of the folds.
    same : (P,) bool array
        Whether the pair is of one class.
    false_accept_rates : sequence of float
        Targets for the true accept rate (TAR at FAR); those below one different pair are unavailable.
    folds : int
        Of `accuracy_in_folds`.

    Returns
    -------
    dict
        `same_pairs`, `different_pairs`, `area_under_roc`, `equal_error_rate`, `accuracy`, `accuracy_std`,
        `threshold` (the best of all pairs) and `tar_at_far_1e-1` and so on: numbers, or ``{"unavailable": reason}``;
        and `rule`, what a threshold means.

    Examples
    --------
    >>> found = verify([0.9, 0.2, 0.8, 0.4], [True, False, True, False], false_accept_rates=[0.5, 0.1], folds=2)
    >>> found["area_under_roc"], found["accuracy"], found["tar_at_far_5e-1"]
    (1.0, 1.0, 1.0)
    >>> found["tar_at_far_1e-1"]
    {'unavailable': 'verification: a FAR of 1e-1 needs at least 10 different pairs, got 2.'}
    """
    score, same = np.asarray(score, np.float64), np.asarray(same).astype(bool)
    if score.shape != same.shape or score.ndim != 1:
        raise UserError(f"verification: `score` and `same` must be (P,), got {score.shape} and {same.shape}.")
    positive, negative = score[same], score[~same]
    metrics = {
        "same_pairs": len(positive),
        "different_pairs": len(negative),
        "area_under_roc": checks.attempt(roc.area, positive, negative),
        "equal_error_rate": checks.attempt(roc.equal_error_rate, positive, negative),
    }
    accuracy = checks.attempt(accuracy_in_folds, score, same, folds)
    metrics["accuracy"], metrics["accuracy_std"] = (accuracy,) * 2 if isinstance(accuracy, dict) else accuracy
    metrics["threshold"] = checks.attempt(best_threshold, score, same)
    for rate in false_accept_rates:
        name = _scientific(rate)
        if len(negative) and 1 / len(negative) > rate:
            needed = f"a FAR of {name} needs at least {math.ceil(1 / rate):,} different pairs, got {len(negative):,}."
            metrics[f"tar_at_far_{name}"] = {"unavailable": f"verification: {needed}"}
        else:
            accepted = checks.attempt(roc.true_positive_rate_at, positive, negative, rate)
            metrics[f"tar_at_far_{name}"] = accepted
    return {**metrics, "rule": RULE}


def accuracy_in_folds(score, same, folds: int = 10) -> tuple[float, float]:
    """Return mean and standard deviation over folds of the accuracy at the best threshold of the other folds.

    The folds are equal parts of the pairs in their order, as for Labeled Faces in the Wild (LFW). A threshold lies
    halfway between two neighboring scores, or beyond all; of equally good ones the highest is taken, as the first of
    a rising list of distances is elsewhere. The standard deviation is that of the folds, not of their mean.

    Parameters
    ----------
    score : (P,) array
        Similarities.
    same : (P,) bool array
    folds : int
        At least 2.

    Raises
    ------
    Unavailable
        If a score is NaN, or a fold does not hold pairs of both kinds.

    References
    ----------
    G. B. Huang, M. Ramesh, T. Berg, E. Learned-Miller, "Labeled Faces in the Wild", 2007, section III.

    Examples
    --------
    >>> accuracy_in_folds([0.9, 0.2, 0.8, 0.4, 0.1, 0.3], [True, False] * 3, folds=3)
    (0.8333333333333334, 0.23570226039551584)
    """
    score, same = np.asarray(score, np.float64), np.asarray(same).astype(bool)
    if folds < 2:
        raise UserError(f"verification: `folds` must be at least 2, got {folds}.")
    if np.isnan(score).any():
        raise checks.Unavailable("verification: the similarities must be numbers, got NaN.")
    parts = np.array_split(np.arange(len(score)), folds)
    accuracies = []
    for number, part in enumerate(parts):
        if len(np.unique(same[part])) < 2:
            raise checks.Unavailable(
                f"verification: each of {folds} folds must hold pairs of both kinds, got one kind in fold {number + 1}."
                " Let same and different pairs take turns in the list."
            )
        rest = np.setdiff1d(np.arange(len(score)), part, assume_unique=True)
        threshold = _best(score[rest], same[rest])
        accuracies.append(np.mean((score[part] > threshold) == same[part]))
    return float(np.mean(accuracies)), float(np.std(accuracies))


def best_threshold(score, same) -> float:
    """Return the threshold at which most pairs are judged rightly, as `accuracy_in_folds` chooses it.

    Raises
    ------
    Unavailable
        If the best is to take all pairs for one class, or none, which is no finite threshold.

    Examples
    --------
    >>> best_threshold([0.9, 0.2, 0.8, 0.4], [True, False, True, False])
    0.6000000000000001
    """
    found = _best(np.asarray(score, np.float64), np.asarray(same).astype(bool))
    if not np.isfinite(found):
        accepted = "all" if found < 0 else "none"
        raise checks.Unavailable(f"verification: a threshold must tell pairs apart, but the best accepts {accepted}.")
    return float(found)


def _best(score, same):
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    # Accepting the i highest is right for the same pairs among them and the different ones below.
    right = np.concatenate([[0], np.cumsum(np.where(same[order], 1, -1))]) + np.count_nonzero(~same)
    possible = np.concatenate([[True], falling[1:] < falling[:-1], [True]])
    best = int(np.argmax(np.where(possible, right, -1)))
    if best in (0, len(falling)):
        return np.inf if best == 0 else -np.inf
    middle = (falling[best - 1] + falling[best]) / 2
    return middle if middle < falling[best - 1] else falling[best]


def _scientific(rate):
    """Write 0.001 as 1e-3."""
    digits, exponent = f"{rate:e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"
