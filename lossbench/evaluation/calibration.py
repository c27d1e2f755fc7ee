"""How far the probabilities of a softmax can be believed."""

from __future__ import annotations

import numpy as np

from lossbench.evaluation import checks


def reliability(logits, label, bins: int = 15) -> dict:
    r"""Return accuracy and confidence within equal bins of confidence, and the expected calibration error.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N} |\mathrm{accuracy}_b - \mathrm{confidence}_b|

    where the confidence of an image is the largest softmax probability of its logits, bin :math:`b` of :math:`B` holds
    the :math:`n_b` images with a confidence in :math:`((b-1)/B, b/B]`, and a bin's confidence is their mean.

    Parameters
    ----------
    logits : (N, C) array
        Class scores without a margin.
    label : (N,) array
        Class ids.
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
        If a logit is NaN or infinite, or there are no rows.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, equation 3.

    Examples
    --------
    >>> found = reliability(np.log([[0.9, 0.1], [0.9, 0.1]]), [0, 1], bins=2)
    >>> round(found["expected_calibration_error"], 6), found["members"]
    (0.4, [0, 2])
    """
    (logits,) = checks.embeddings("calibration", logits=logits)
    (label,) = checks.labels("calibration", len(logits), label=label)
    checks.not_empty("calibration", logits=logits)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    confidence = 1 / np.exp(shifted).sum(axis=1)
    right = logits.argmax(axis=1) == label
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    members, hits, total = (np.bincount(bin_of, weights, bins) for weights in (None, right, confidence))
    return {
        "expected_calibration_error": float(np.abs(hits - total).sum() / len(label)),
        "members": [int(n) for n in members],
        "accuracy": [float(h / n) if n else None for h, n in zip(hits, members)],
        "confidence": [float(t / n) if n else None for t, n in zip(total, members)],
    }
