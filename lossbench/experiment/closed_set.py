"""Methods of evaluation that name one of the trained classes, and how far they can be believed."""

from __future__ import annotations

from lossbench.evaluation import calibration, checks, classification

CLASSIFIERS = ("softmax", "knn", "centers")


def accuracy_by(method: str):
    """Return the method of evaluation whose value is the accuracy of one way to name a class."""

    def accuracy(context) -> float:
        return classification.accuracy_of(context.predicted(method), context.outputs()["label"])

    return accuracy


def accuracy_per_class(context) -> list:
    """The accuracy within each class by the largest logit; None for a class without images."""
    label = context.outputs()["label"]
    return classification.per_class(context.predicted("softmax"), label, context.dataset.num_classes)


def confusion(context) -> dict:
    """Confusion matrix and accuracy per class, by softmax, knn and centers; the matrices are kept as arrays."""
    label, classes = context.outputs()["label"], context.dataset.num_classes

    def one(method):
        predicted = context.predicted(method)
        context.keep(**{method: classification.confusion_matrix(predicted, label, classes)})
        return {"accuracy_per_class": classification.per_class(predicted, label, classes)}

    return {method: checks.attempt(one, method) for method in CLASSIFIERS}


def calibrated(context) -> dict:
    """Expected calibration error of the softmax of the logits, and what it consists of, bin by bin."""
    outputs = context.outputs()
    return {"softmax": calibration.reliability(outputs["logits"], outputs["label"])}
