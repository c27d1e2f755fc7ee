"""Methods of evaluation that name one of the trained classes, and how far they can be believed."""

from __future__ import annotations

import numpy as np

from lossbench.evaluation import calibration, checks, classification, search
from lossbench.evaluation.method import Method, Value

CLASSIFIERS = ("softmax", "knn", "centers")


def accuracy_by(method: str):
    """Return the method of evaluation whose value is the accuracy of one way to name a class.

    What it names, image by image, is kept beside the value, so that runs can be compared image by image.
    """

    def accuracy(context) -> float:
        predicted, label = context.predicted(method), context.outputs()["label"]
        narrow = np.min_scalar_type(context.subject.num_classes)
        context.keep(predicted=predicted.astype(narrow), label=label.astype(narrow))
        return classification.accuracy_of(predicted, label)

    return accuracy


def accuracy_per_class(context) -> list:
    """The accuracy within each class by the largest logit; None for a class without images."""
    predicted = context.predicted("softmax")
    return classification.per_class(predicted, context.outputs()["label"], context.subject.num_classes)


def confusion(context) -> dict:
    """Accuracy per class by softmax, knn and centers; the confusion matrices (C, C) are kept as arrays."""
    context.require_known("confusion")
    label, classes = context.outputs()["label"], context.subject.num_classes

    def one(method):
        predicted = context.predicted(method)
        context.keep(**{method: classification.confusion_matrix(predicted, label, classes)})
        return {"accuracy_per_class": classification.per_class(predicted, label, classes)}

    return {method: checks.attempt(one, method) for method in CLASSIFIERS}


def calibrated(context) -> dict:
    """Expected calibration error of softmax, knn and centers, and what it consists of, bin by bin."""
    context.require_known("calibration")
    label = context.outputs()["label"]

    def one(decide):
        predicted, confidence = decide(context)
        return calibration.reliability(confidence, predicted == label)

    return {name: checks.attempt(one, decide) for name, decide in _CALIBRATED.items()}


def _softmax(context):
    return calibration.decide(context.outputs()["logits"], context.max_memory_bytes)


def _votes(context):
    return context.neighbors


def _centers(context):
    """By the head's own scores where it compares by density or cosine, else by densities of unit Gaussians."""
    embedding, description = context.outputs()["embedding"], context.description
    score = description["score"]
    if description["metric"] == "euclidean":
        centers = description["prototypes"].astype(np.float64)
        score = lambda points: points @ centers.T - (centers**2).sum(axis=1) / 2  # noqa: E731
    rows = max(1, int(context.max_memory_bytes // (64 * sum(description["prototypes"].shape))))
    found = [calibration.decide(score(embedding[part])) for part in search.parts(len(embedding), rows)]
    return tuple(np.concatenate(values) for values in zip(*found))


def _accuracy(name, called, help):
    key = "accuracy" if name == "softmax" else f"accuracy_{name}"
    return Method(name, help, accuracy_by(name), (Value(key, called, 1),), key)


SOFTMAX = _accuracy("softmax", "logits", "accuracy by the largest logit: the head's own decision, without margin")
KNN = _accuracy(
    "knn", "k-NN", "accuracy by the majority of the k nearest training embeddings (unaugmented; evaluation.k)"
)
CENTERS = _accuracy(
    "centers",
    "centers",
    "accuracy by the nearest learned center: the center loss's if there is one, else the head's prototypes (by cosine "
    'for normalized heads, by density for L-GM). Center-loss ports call this "KNN search"',
)
CLASS_MEANS = _accuracy(
    "class_means", "class means", "accuracy by the nearest mean of the training embeddings of a class"
)
_CALIBRATED = {"softmax": _softmax, "knn": _votes, "centers": _centers}
CONFUSION = Method("confusion", "confusion matrix and accuracy of every class, by softmax, knn and centers", confusion)
CALIBRATION = Method(
    "calibration",
    "expected calibration error, 15 equal bins",
    calibrated,
    (Value("expected_calibration_error", "expected calibration error", -1),),
    within=tuple(_CALIBRATED),
)
