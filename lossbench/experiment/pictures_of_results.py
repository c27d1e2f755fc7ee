"""Pictures of what came out: the course of training, which class was taken for which, and what scores tell apart."""

from __future__ import annotations

import numpy as np

from lossbench import plots
from lossbench.evaluation import classification
from lossbench.plots import CannotDraw

MARGIN_UNITS = {"arcface": "radians", "am_softmax": "in cosine", "cosface": "in cosine"}


def training(run, **_) -> dict:
    """Loss, accuracies, learning rate, scheduled values and log variances over the epochs."""
    units = {"head.margin": MARGIN_UNITS.get(run.settings.head.name)}
    return {"training": plots.training_curves(run.history, title=f"{run.settings.name}: training", units=units)}


def confusion(run, **_) -> dict:
    """Which class was taken for which, by the largest logit."""
    outputs, dataset = run.outputs("test"), run.model.dataset
    predicted = classification.predict(outputs["logits"])
    matrix = classification.confusion_matrix(predicted, outputs["label"], dataset.num_classes)
    accuracy = np.trace(matrix) / matrix.sum()
    title = run.title(f"test images, {100 * accuracy:.2f} % right")
    return {"confusion-test": plots.confusion_matrix(matrix, title=title, class_names=dataset.class_names)}


def roc(run, **_) -> dict:
    """Receiver operating characteristics from the arrays that eval.py keeps."""
    drawn = {}
    curves = {}
    for path in sorted((run.folder.path / "evaluation").glob(f"{run.checkpoint}-*-verification.npz")):
        split = path.stem.split("-")[-2]
        with np.load(path) as arrays:
            x, y = arrays["false_accept_rate"], arrays["true_accept_rate"]
        curves[f"{split} images, area {_area(x, y):.4f}"] = (x, y)
    if curves:
        drawn["roc-verification"] = plots.roc(
            curves,
            title=run.title("verification, are two images of one class?"),
            xlabel="false accept rate (share of pairs of two classes)",
            ylabel="true accept rate (% of pairs of one class)",
        )
    if not drawn:
        raise CannotDraw(
            "roc needs the scores of pairs, which eval.py --method verification keeps; this run has none for its "
            f"checkpoint {run.checkpoint}."
        )
    return drawn


def _area(x, y):
    """Return the area under straight lines between the points, which counts equal scores half."""
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
