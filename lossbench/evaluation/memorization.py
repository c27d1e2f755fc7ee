"""Training images with wrong labels: has the network learned these labels by heart?"""

from __future__ import annotations

import numpy as np

from lossbench.evaluation import checks, classification
from lossbench.evaluation.checks import Unavailable
from lossbench.evaluation.method import Method, Value


def memorization(predicted, label, true_label) -> dict:
    """Return how many wrong labels the network repeats, how many it corrects, and how many right ones it repeats.

    Parameters
    ----------
    predicted, label, true_label : (N,) array
        Class ids of training images: what the network takes them for, what it was trained with, what they are.

    Returns
    -------
    dict
        `memorized`, the share of the images with a wrong label that are taken for that label; `corrected`, the share
        of them that are taken for what they are; `fitted`, the share of the images with a right label that are taken
        for it; `wrong_labels`, how many are wrong.

    Raises
    ------
    Unavailable
        If no label is wrong, or none right.

    References
    ----------
    S. Liu, J. Niles-Weed, N. Razavian, C. Fernandez-Granda: Early-Learning Regularization Prevents Memorization of
    Noisy Labels, NeurIPS 2020, figure 1.

    Examples
    --------
    >>> memorization(predicted=[0, 1, 2, 2], label=[0, 1, 1, 1], true_label=[0, 0, 2, 0])
    {'memorized': 0.3333333333333333, 'corrected': 0.3333333333333333, 'fitted': 1.0, 'wrong_labels': 3}
    """
    predicted, label, true_label = checks.labels(
        "memorization", len(predicted), predicted=predicted, label=label, true_label=true_label
    )
    wrong = label != true_label
    if wrong.all() or not wrong.any():
        raise Unavailable(
            f"memorization: `label` must be right for some images and wrong for others, got {wrong.sum():,} wrong of "
            f"{len(label):,}."
        )
    repeated = predicted == label
    return {
        "memorized": float(np.mean(repeated[wrong])),
        "corrected": float(np.mean((predicted == true_label)[wrong])),
        "fitted": float(np.mean(repeated[~wrong])),
        "wrong_labels": int(wrong.sum()),
    }


def memorized(context) -> dict:
    """`memorization` of the training images, which are known to be right or wrong where `data.label_noise` did it."""
    if context.split != "train":
        raise Unavailable(f"memorization: the images must be those of train, got {context.split}. Take --split train.")
    true_label = context.subject.images("train").true_labels
    if true_label is None:
        raise Unavailable("memorization: some training labels must be known to be wrong, as by data.label_noise: 0.2.")
    outputs = context.outputs()
    return memorization(classification.predict(outputs["logits"]), outputs["label"], true_label)


MEMORIZATION = Method(
    "memorization",
    "training images that data.label_noise gave a wrong label: is it learned by heart, or corrected?",
    memorized,
    (
        Value("memorized", "wrong labels memorized", -1),
        Value("corrected", "wrong labels corrected", 1),
        Value("fitted", "right labels fitted"),
        Value("wrong_labels", "wrong labels", unit="count"),
    ),
    asks_about_training=True,
)
