"""Closed-set classification: accuracy, accuracy per class, confusion matrix."""

from __future__ import annotations

import numpy as np

from lossbench.errors import UserError
from lossbench.evaluation import checks
from lossbench.evaluation.rows import by_parts


@by_parts
def predict(logits) -> np.ndarray:
    """Return the class of the largest logit of each row; of equal ones, the lowest class id.

    Parameters
    ----------
    logits : (N, C) array
        Class scores without a margin.

    Returns
    -------
    (N,) int64 array

    Raises
    ------
    Unavailable
        If a logit is NaN or infinite, or there are no rows.
    """
    (logits,) = checks.embeddings("classification", logits=logits)
    checks.not_empty("classification", logits=logits)
    return logits.argmax(axis=1)


def accuracy(logits, label) -> float:
    """Return the fraction of rows whose largest logit is that of their label.

    Parameters
    ----------
    logits : (N, C) array
        Class scores without a margin.
    label : (N,) array
        Class ids.

    Raises
    ------
    Unavailable
        If a logit is NaN or infinite, or there are no rows.

    Examples
    --------
    >>> accuracy([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]], [0, 1, 1])
    0.6666666666666666
    """
    return accuracy_of(predict(logits), label)


def accuracy_of(predicted, label) -> float:
    """Return the fraction of predicted class ids (N,) that equal the label (N,)."""
    predicted, label = checks.labels("classification", len(predicted), predicted=predicted, label=label)
    checks.not_empty("classification", label=label)
    return float(np.mean(predicted == label))


def per_class(predicted, label, num_classes: int) -> list[float | None]:
    """Return the accuracy within each class; None for a class without members.

    Parameters
    ----------
    predicted, label : (N,) array
        Class ids.
    num_classes : int
        C; the result has this length.

    Examples
    --------
    >>> per_class([0, 1, 1], [0, 0, 1], num_classes=3)
    [0.5, 1.0, None]
    """
    matrix = confusion_matrix(predicted, label, num_classes)
    members = matrix.sum(axis=1)
    return [float(right / n) if n else None for right, n in zip(matrix.diagonal(), members)]


def confusion_matrix(predicted, label, num_classes: int) -> np.ndarray:
    """Return how often each class (row) was predicted as each class (column).

    Parameters
    ----------
    predicted, label : (N,) array
        Class ids below `num_classes`.
    num_classes : int
        C.

    Returns
    -------
    (C, C) int64 array

    Examples
    --------
    >>> confusion_matrix([0, 1, 1], [0, 0, 1], num_classes=2)
    array([[1, 1],
           [0, 1]])
    """
    predicted, label = checks.labels("classification", len(predicted), predicted=predicted, label=label)
    highest = max(predicted.max(initial=0), label.max(initial=0))
    if highest >= num_classes:
        raise UserError(
            f"classification: `num_classes` must be above every class id, got {num_classes} and id {highest}."
        )
    return np.bincount(label * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)
