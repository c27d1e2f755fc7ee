"""What two sets of scores tell apart: exact rules on sorted scores, without interpolation.

A score is higher the likelier a thing is positive. A threshold t accepts the scores **above** it, so equal scores are
accepted or refused together.
"""

from __future__ import annotations

import numpy as np

from lossbench.errors import UserError
from lossbench.evaluation import checks


def curve(positive, negative) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every point of the receiver operating characteristic (ROC).

    Parameters
    ----------
    positive, negative : (P,), (N,) array
        Scores of either kind.

    Returns
    -------
    threshold : (T,) float64 array
        Every distinct score, falling, and at last minus infinity.
    false_positive_rate, true_positive_rate : (T,) float64 array
        Fractions of the scores above the threshold; from 0 to 1.

    Raises
    ------
    Unavailable
        If there are no scores of a kind, or one is NaN.

    Examples
    --------
    >>> curve([3.0, 2.0], [2.0, 1.0])
    (array([  3.,   2.,   1., -inf]), array([0. , 0. , 0.5, 1. ]), array([0. , 0.5, 1. , 1. ]))
    """
    positive, negative = _scores(positive, negative)
    threshold = np.append(np.unique(np.concatenate([positive, negative]))[::-1], -np.inf)
    return threshold, _share_above(negative, threshold), _share_above(positive, threshold)


def corners(false_positive_rate, true_positive_rate, most: int = 20_000) -> np.ndarray:
    """Return which points of a curve are enough to draw it: those where it turns.

    Where there are more than `most` of them, so many are chosen: half evenly along the curve, half the denser the
    nearer its beginning, for a logarithmic axis. The first 100 and the last are always there.

    Parameters
    ----------
    false_positive_rate, true_positive_rate : (T,) array
        Of `curve`.

    Returns
    -------
    (K,) int64 array, rising

    Examples
    --------
    >>> corners(np.array([0, 0, 0, 0.5, 1]), np.array([0, 0.5, 1, 1, 1]))
    array([0, 2, 4])
    """
    step = np.stack([np.diff(false_positive_rate), np.diff(true_positive_rate)])
    upward, sideward = (step[0] == 0), (step[1] == 0)
    straight = (upward[1:] & upward[:-1]) | (sideward[1:] & sideward[:-1])
    kept = np.flatnonzero(np.concatenate([[True], ~straight, [True]]))
    if len(kept) <= most:
        return kept
    dense = np.geomspace(1, len(kept) - 1, most // 2)
    even = np.linspace(0, len(kept) - 1, most // 2 - 100)
    return kept[np.unique(np.concatenate([np.arange(100), dense, even]).astype(np.int64))]


def area(positive, negative) -> float:
    """Return the area under the ROC curve: how often a positive scores above a negative, ties counted half.

    Parameters
    ----------
    positive, negative : (P,), (N,) array
        Scores of either kind.

    Raises
    ------
    Unavailable
        If there are no scores of a kind, or one is NaN.

    Examples
    --------
    >>> area([3.0, 2.0], [2.0, 1.0])
    0.875
    """
    positive, negative = _scores(positive, negative)
    below = np.searchsorted(negative, positive, side="left")
    up_to = np.searchsorted(negative, positive, side="right")
    return float((below.sum() + up_to.sum()) / (2 * len(positive) * len(negative)))


def equal_error_rate(positive, negative) -> float:
    """Return the error rate where as many negatives are accepted as positives are refused.

    Of all thresholds, the one whose two error rates differ least (of several, the one with the smaller mean) gives the
    mean of the two.

    Parameters
    ----------
    positive, negative : (P,), (N,) array
        Scores of either kind.

    Raises
    ------
    Unavailable
        If there are no scores of a kind, or one is NaN.

    Examples
    --------
    >>> equal_error_rate([4.0, 3.0, 1.0], [2.0, 0.0, -1.0])
    0.3333333333333333
    """
    _, accepted, true_positive_rate = curve(positive, negative)
    refused = 1 - true_positive_rate
    mean = (accepted + refused) / 2
    return float(mean[np.lexsort((mean, np.abs(accepted - refused).round(12)))[0]])


def true_positive_rate_at(positive, negative, false_positive_rate: float) -> float:
    """Return the share of positives accepted at the lowest threshold that accepts at most that share of negatives.

    Of n negatives, at most m = floor(rate n) may be accepted, so the threshold is the (m + 1)-th largest negative
    score.

    Parameters
    ----------
    positive, negative : (P,), (N,) array
        Scores of either kind.
    false_positive_rate : float
        In (0, 1], at least 1 / N: a smaller share than one negative cannot be measured.

    Raises
    ------
    Unavailable
        If there are no scores of a kind, one is NaN, or the rate is below 1 / N.

    Examples
    --------
    >>> true_positive_rate_at([9.0, 5.0, 1.0], [8.0, 4.0, 3.0, 2.0], 0.25)
    0.6666666666666666
    """
    positive, negative = _scores(positive, negative)
    if not 0 < false_positive_rate <= 1:
        raise UserError(f"roc: `false_positive_rate` must be in (0, 1], got {false_positive_rate:g}.")
    allowed = _floor_of_share(false_positive_rate, len(negative))
    if allowed == 0:
        raise checks.Unavailable(
            f"roc: `false_positive_rate` must be at least 1 / {len(negative)}, the share of one negative, "
            f"got {false_positive_rate:g}."
        )
    threshold = negative[len(negative) - allowed - 1] if allowed < len(negative) else -np.inf
    return float(_share_above(positive, threshold))


def false_positive_rate_at(positive, negative, true_positive_rate: float) -> float:
    """Return the share of negatives accepted once that share of positives is.

    The smallest number of positives that makes up the rate is accepted, from the highest score down; negatives that
    score as high as the last of them are accepted with it.

    Parameters
    ----------
    positive, negative : (P,), (N,) array
        Scores of either kind.
    true_positive_rate : float
        In (0, 1].

    Raises
    ------
    Unavailable
        If there are no scores of a kind, or one is NaN.

    Examples
    --------
    >>> false_positive_rate_at([9.0, 5.0, 1.0], [8.0, 4.0, 3.0, 2.0], 0.6)
    0.25
    """
    positive, negative = _scores(positive, negative)
    if not 0 < true_positive_rate <= 1:
        raise UserError(f"roc: `true_positive_rate` must be in (0, 1], got {true_positive_rate:g}.")
    # The fewest that make up the rate; one less where rounding alone asked for it.
    wanted = int(true_positive_rate * len(positive)) + 1
    if (wanted - 1) / len(positive) >= true_positive_rate:
        wanted -= 1
    last = positive[len(positive) - wanted]
    return float((len(negative) - np.searchsorted(negative, last, side="left")) / len(negative))


def _scores(positive, negative):
    """Return both kinds of scores in float64, rising."""
    found = []
    for name, scores in (("positive", positive), ("negative", negative)):
        scores = np.sort(np.asarray(scores, np.float64).ravel())
        if len(scores) == 0:
            raise checks.Unavailable(f"roc: there must be {name} examples, got none.")
        if np.isnan(scores).any():
            raise checks.Unavailable(f"roc: the scores of {name} examples must be numbers, got NaN.")
        found.append(scores)
    return found


def _share_above(rising, threshold):
    return (len(rising) - np.searchsorted(rising, threshold, side="right")) / len(rising)


def _floor_of_share(share, count):
    """Return the largest m with m / count <= share, whichever way the product rounds."""
    m = min(count, int(share * count) + 1)
    return m if m / count <= share else m - 1
