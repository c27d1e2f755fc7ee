"""Pictures of what came out: the course of training, which class was taken for which, and what scores tell apart."""

from __future__ import annotations

import numpy as np

from lossbench import plots
from lossbench.evaluation import classification
from lossbench.evaluation import roc as roc_rule
from lossbench.evaluation.likelihood import SCORES
from lossbench.plots.checks import CannotDraw
from lossbench.plots.pictures.kept import Kept, of_file
from lossbench.plots.pictures.picture import Picture


def training(run, **_) -> dict:
    """Loss, accuracies, learning rate, scheduled values and log variances over the epochs."""
    try:
        figure = plots.training_curves(run.history, title=f"{run.name}: training", units=run.units)
    except CannotDraw as error:
        raise CannotDraw(f"history.jsonl: {error}") from error
    return {"training": figure}


def confusion(run, **_) -> dict:
    """Which class was taken for which, by the largest logit."""
    outputs = run.outputs("test")
    predicted = classification.predict(outputs["logits"])
    matrix = classification.confusion_matrix(predicted, outputs["label"], run.num_classes)
    accuracy = np.trace(matrix) / matrix.sum()
    title = run.title(f"test images, {100 * accuracy:.2f} % right")
    return {"confusion-test": plots.confusion_matrix(matrix, title=title, class_names=run.class_names)}


def roc(run, **_) -> dict:
    """Receiver operating characteristics (ROC) from the arrays that eval.py keeps."""
    drawn, is_older = {}, False
    for path in sorted(run.evaluation.glob(f"{run.checkpoint}-*.npz")):
        split, _, method = path.stem[len(run.checkpoint) + 1 :].partition("-")
        if method in _ROC:
            arrays = run.arrays(path)
            if run.step is not None and int(arrays.get("step", run.step)) != run.step:
                is_older = True  # the run went on since
                continue
            with of_file(path):
                drawn.update(_ROC[method](run, split, Kept(arrays)))
    if not drawn:
        there = "what there is, is of another epoch" if is_older else "this run has none of it"
        raise CannotDraw(
            f"roc needs what eval.py --method {' or '.join(_ROC)} keeps; {there} for its checkpoint {run.checkpoint}."
        )
    return drawn


def _verification(run, split, arrays):
    rate = "_false_accept_rate"
    metrics = [name[: -len(rate)] for name in arrays if name.endswith(rate)]
    curves = {}
    for metric in metrics:
        x = arrays.points(f"{metric}{rate}", None)
        y = arrays.points(f"{metric}_true_accept_rate", len(x))
        curves[f"{_METRICS.get(metric, metric)}: area {_area(x, y):.4f}"] = (x, y)
    figure = plots.roc(
        curves,
        title=run.title(f"are two {split} images of one class?"),
        xlabel="false accept rate (% of the pairs of two classes)",
        ylabel="true accept rate (% of the pairs of one class)",
    )
    return {f"roc-verification-{split}": figure}


def _detection(run, split, arrays):
    names = [name[len("known_") :] for name in arrays if name.startswith("known_")]
    known = {name: arrays.numbers(f"known_{name}", None) for name in names}
    ending = "_softmax"
    sources = [name[: -len(ending)] for name in arrays if name.endswith(ending) and not name.startswith("known_")]
    drawn = {}
    for source in sources:
        foreign = {name: arrays.numbers(f"{source}_{name}", None) for name in known}
        title = f"{split} images against {source}"
        drawn[f"roc-detection-{source}{_of(split)}"] = _told_apart(run, known, foreign, title, "foreign")
    return drawn


def _adversarial(run, split, arrays):
    right = arrays.numbers("clean_right", None).astype(bool)
    sizes = arrays.points("epsilon", None)
    names = [name[len("clean_") :] for name in arrays if name.startswith("clean_") and name != "clean_right"]
    known = {name: arrays.numbers(f"clean_{name}", len(right))[right] for name in names}
    attacked_ones = {name: arrays.numbers(f"attacked_{name}", len(sizes), len(right))[:, right] for name in names}
    drawn = {}
    for number, epsilon in enumerate(sizes):
        attacked = {name: scores[number] for name, scores in attacked_ones.items()}
        size = _pixel_value(epsilon)
        title = f"{split} images against attacked ones, epsilon {size}"
        name = f"roc-adversarial-{size.replace('/', '-of-')}{_of(split)}"
        drawn[name] = _told_apart(run, known, attacked, title, "attacked")
    return drawn


def _of(split) -> str:
    return "" if split == "test" else f"-{split}"


def _pixel_value(epsilon) -> str:
    """Write a size in pixels of [0, 1] as people do.

    Examples
    --------
    >>> [_pixel_value(epsilon) for epsilon in (0.1, 2 / 255, 0.2, 0.0123456)]
    ['0.1', '2/255', '0.2', '0.0123']
    """
    steps = 255 * epsilon
    if abs(epsilon - round(epsilon, 3)) > 1e-9 and abs(steps - round(steps)) < 1e-6:
        return f"{round(steps)}/255"
    return f"{epsilon:.3g}"


def _told_apart(run, known, other, title, kind):
    """Return the figure of how well each score tells known images, the positives, from others."""
    curves = {}
    for name, score in known.items():
        _, x, y = roc_rule.curve(score, other[name])
        curves[f"{SCORES.get(name, name)}: area {_area(x, y):.4f}"] = (x, y)
    return plots.roc(
        curves,
        title=run.title(title),
        xlabel=f"{kind} images taken for known (%)",
        ylabel="known images taken for known (%)",
    )


def _area(x, y):
    """Return the area under straight lines between the points, which counts equal scores half."""
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)


_ROC = {"verification": _verification, "detection": _detection, "adversarial": _adversarial}
_METRICS = {"cosine": "cosine", "euclidean": "Euclidean distance"}

TRAINING = Picture(
    "training",
    "loss, accuracies, learning rate, scheduled values and log variances over the epochs",
    training,
    after_training=True,
)
CONFUSION = Picture("confusion", "which class was taken for which", confusion, after_training=True)
ROC = Picture(
    "roc",
    "true against false accepts, from what eval.py --method verification, detection or adversarial has kept",
    roc,
)
