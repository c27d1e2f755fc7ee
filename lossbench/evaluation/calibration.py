"""How far the probabilities of a classifier can be believed."""

from __future__ import annotations

import numpy as np

from lossbench.errors import UserError
from lossbench.evaluation import checks, search
from lossbench.evaluation.rows import by_parts

BINS = 15


def reliability(confidence, right, bins: int = BINS) -> dict:
    r"""Return accuracy and confidence within equal bins of confidence, and the expected calibration error.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N} |\mathrm{accuracy}_b - \mathrm{confidence}_b|

    where bin :math:`b` of :math:`B` holds the :math:`n_b` images with a confidence in :math:`((b-1)/B, b/B]`, and a
    bin's confidence is their mean.

    Parameters
    ----------
    confidence : (N,) array
        Probability that each decision is right, by its maker, in [0, 1]; `decide` has that of a softmax.
    right : (N,) bool array
        Whether it is.
    bins : int
        B, of equal width.

    Returns
    -------
    dict
        `expected_calibration_error`, and per bin the lists `members`, `accuracy` and `confidence` (None where a bin is
        empty).

    Raises
    ------
    Unavailable
        If there are no rows.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, equation 3.

    Examples
    --------
    >>> found = reliability([0.9, 0.9], [True, False], bins=2)
    >>> round(found["expected_calibration_error"], 6), found["members"]
    (0.4, [0, 2])
    """
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, bool)
    checks.not_empty("calibration", confidence=confidence)
    if not (confidence.shape == right.shape and ((confidence >= 0) & (confidence <= 1)).all()):
        raise UserError("calibration: `confidence` must be (N,) numbers in [0, 1], and `right` as many.")
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    members, hits, total = (np.bincount(bin_of, weights, bins) for weights in (None, right, confidence))
    return {
        "expected_calibration_error": float(np.abs(hits - total).sum() / len(right)),
        "members": [int(n) for n in members],
        "accuracy": [float(h / n) if n else None for h, n in zip(hits, members)],
        "confidence": [float(t / n) if n else None for t, n in zip(total, members)],
    }


@by_parts
def decide(logits, max_memory_bytes: int = search.MAX_MEMORY_BYTES) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of the largest logit (N,) and its softmax probability (N,) in float64.

    Parameters
    ----------
    logits : (N, C) array
        Class scores without a margin.
    max_memory_bytes : int
        Bound on the arrays made on the way; the result does not depend on it.

    Raises
    ------
    Unavailable
        If a logit is NaN or infinite, or there are no rows.

    Examples
    --------
    >>> decide(np.log([[0.9, 0.1], [0.25, 0.75]]))
    (array([0, 1]), array([0.9 , 0.75]))
    """
    (logits,) = checks.embeddings("calibration", logits=logits)
    checks.not_empty("calibration", logits=logits)
    confidence = np.empty(len(logits))
    for part in search.parts(len(logits), max(1, int(max_memory_bytes // (8 * 3 * logits.shape[1])))):
        shifted = logits[part].astype(np.float64) - logits[part].max(axis=1, keepdims=True)
        confidence[part] = 1 / np.exp(shifted).sum(axis=1)
    return logits.argmax(axis=1), confidence
