"""Slow second implementations that several test files need."""

import numpy as np


def slow_distances(reference, one, metric):
    """Distances of one query by one difference at a time, in float64."""
    reference, one = np.asarray(reference, np.float64), np.asarray(one, np.float64)
    if metric == "cosine":
        reference = [row / (np.sqrt(sum(row * row)) or 1) for row in reference]
        one = one / (np.sqrt(sum(one * one)) or 1)
    return [float(np.sqrt(sum((row - one) ** 2))) for row in reference]
