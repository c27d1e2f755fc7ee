"""Two images compared: how alike their embeddings are, and whether that is enough to be of one class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lossbench.evaluation import METHODS, search
from lossbench.evaluation.verification import similarity
from lossbench.experiment.neighbors import measure

SPLITS = ("holdout", "validation", "test", "train")
"""Whose verification gives the threshold, the first that there is: unknown classes are the harder question, and test
images choose nothing where others can."""


class Likeness(NamedTuple):
    """How alike two images are by one metric."""

    metric: str
    """cosine, or euclidean: minus the distance."""
    similarity: float
    threshold: float | None
    """Above it a pair is taken for one class; None where the run has none."""
    split: str
    """Whose verification it is of."""

    @property
    def is_same(self) -> bool | None:
        return None if self.threshold is None else self.similarity > self.threshold


def compare(opened, embedding) -> list[Likeness]:
    """Return how alike two embeddings (2, D) are, first by the metric that the run's head compares by."""
    found = []
    for metric in sorted(search.METRICS, key=lambda metric: metric != measure(opened)):
        value = float(similarity(np.asarray(embedding), np.array([0]), np.array([1]), metric)[0])
        found.append(Likeness(metric, value, *_threshold(opened, metric)))
    return found


def _threshold(opened, metric):
    """The threshold that a verification of this checkpoint found best, and of which split."""
    entry = opened.run.metrics.get(opened.checkpoint, {})
    for split in SPLITS if entry.get("step") == opened.step else ():
        value = entry.get(split)
        for key in (METHODS["verification"].key, metric, "threshold"):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, (int, float)):
            return float(value), split
    return None, ""
