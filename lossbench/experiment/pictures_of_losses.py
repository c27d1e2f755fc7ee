"""Pictures of what a loss works on: angles, distances and lengths of a run's embeddings, and its logit with margin."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.ticker import AutoLocator
from scipy.special import gammaincinv

from lossbench import heads, plots
from lossbench._mxnet import mx
from lossbench.evaluation import classification, geometry
from lossbench.heads import curves
from lossbench.plots import CannotDraw
from lossbench.plots.drawing import style

OWN_ANGLE = "angle to the own class's weight (degrees)"
SPLITS = ("train", "test")


def angles(run, **_) -> dict:
    """How far embeddings are from their class's weight, and from the nearest other one."""
    weights = _directions(run, "angles")
    groups = {f"{split} images, own class": geometry.angles_to(*run.points(split), weights) for split in SPLITS}
    if len(weights) > 1:
        groups["test images, nearest other class"] = _nearest_other_angle(*run.points("test"), weights)
    title, xlabel = run.title("angles to the class weights"), "angle to the class weight (degrees)"
    return {"angles": plots.histograms(groups, title=title, xlabel=xlabel, per="degree")}


def angles_per_class(run, **_) -> dict:
    """The same angles class by class."""
    weights = _directions(run, "angles-per-class")
    groups = {f"{split} images": geometry.angles_to(*run.points(split), weights) for split in SPLITS[::-1]}
    label = {f"{split} images": run.points(split)[1] for split in SPLITS}
    title, names = run.title("angles by class"), run.class_names
    figure = plots.histograms_per_class(groups, label, title=title, xlabel=OWN_ANGLE, class_names=names)
    return {"angles-per-class": figure}


def _directions(run, picture):
    if run.metric == "density":
        raise CannotDraw(
            f"{picture} is for losses that decide by the angle; {run.settings.head.name} decides by the distance, "
            "which the kind distances shows."
        )
    return run.description["prototypes"]


def _nearest_other_angle(embedding, label, weights):
    units, directions = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (embedding, weights))
    cosine = units.astype(np.float32) @ directions.astype(np.float32).T
    cosine[np.arange(len(label)), label] = -np.inf
    return np.degrees(np.arccos(np.clip(cosine.max(axis=1), -1, 1)))


def distances(run, **_) -> dict:
    """How far embeddings are from their class's mean or center."""
    if run.prototype_kind == "center":
        prototypes, precision, unit = run.centers, np.ones((1, 1)), "distance to the class center"
        per = "unit of distance"
    elif run.prototype_kind == "mean":
        prototypes = run.description["prototypes"]
        precision = np.exp(-np.asarray(run.description.get("log_variance", np.zeros((1, 1))), np.float64))
        unit, per = "distance to the class mean (standard deviations)", "standard deviation"
    else:
        raise CannotDraw(
            f"distances needs class means or centers, which {run.settings.head.name} without a center loss has not."
        )
    precision = np.broadcast_to(precision, prototypes.shape)
    groups = {
        f"{split} images, own class": _own_distance(*run.points(split), prototypes, precision) for split in SPLITS
    }
    if len(prototypes) > 1:
        groups["test images, nearest other class"] = _nearest_other_distance(*run.points("test"), prototypes, precision)
    options = {}
    if run.prototype_kind == "mean":
        median = math.sqrt(2 * gammaincinv(run.size / 2, 0.5))
        name = f"what the Gaussian expects of its class, median {median:.2f}"
        options = {"density": _chi(run.size), "density_name": name}
    title = run.title("distances to the classes")
    return {"distances": plots.histograms(groups, title=title, xlabel=unit, per=per, digits=2, **options)}


def _own_distance(embedding, label, prototypes, precision):
    return np.sqrt((np.square(embedding - prototypes[label]) * precision[label]).sum(axis=1, dtype=np.float64))


def _nearest_other_distance(embedding, label, prototypes, precision):
    nearest = np.full(len(label), np.inf)
    for c, (prototype, weights) in enumerate(zip(prototypes, precision)):
        square = (np.square(embedding - prototype) * weights).sum(axis=1, dtype=np.float64)
        nearest = np.where(label == c, nearest, np.minimum(nearest, square))
    return np.sqrt(nearest)


def _chi(size):
    """Return the density of the length of a standard normal vector of that many dimensions.

    Examples
    --------
    >>> _chi(2)(np.array([0.0, 1.0])).round(4).tolist()
    [0.0, 0.6065]
    """
    constant = (size / 2 - 1) * math.log(2) + math.lgamma(size / 2)

    def density(x):
        x = np.asarray(x, np.float64)
        with np.errstate(divide="ignore"):
            return np.exp((size - 1) * np.log(x) - x**2 / 2 - constant) if size > 1 else np.exp(-(x**2) / 2 - constant)

    return density


def norms(run, **_) -> dict:
    """Lengths of embeddings: of training images, and of test images that are classified rightly and wrongly."""
    embedding, label = run.points("test")
    right = classification.predict(run.outputs("test")["logits"]) == label
    length = np.linalg.norm(embedding, axis=1)
    groups = {
        "train images": np.linalg.norm(run.points("train")[0], axis=1),
        "test images, right": length[right],
        "test images, wrong": length[~right],
    }
    title, xlabel = run.title("embedding norms"), "norm of the embedding"
    return {"norms": plots.histograms(groups, title=title, xlabel=xlabel, per="unit of length", digits=2)}


def target_logit(run, **_) -> dict:
    """The training logit of the true class as this run's head, with its margin, computes it."""
    model, title = run.model, run.title("score of the true class")
    if curves.class_parameter(model.head) is None:
        raise CannotDraw(
            f"target-logit needs a head with class weights or means; {run.settings.head.name} keeps them elsewhere."
        )
    panel, values, text = (_against_distance if run.metric == "density" else _against_angle)(run)
    figure = plots.target_logit([panel], title=title)
    figure.set_size_inches(6.4, 4.6)
    axes = figure.axes[0]
    if run.metric == "density":
        axes.xaxis.set_major_locator(AutoLocator())
    axes.axvspan(*np.nanquantile(values, (0.05, 0.95)), color="#dddddd", zorder=0, label=text)
    axes.legend_.remove()
    style.legend_below(figure, axes, columns=1)
    return {"target-logit": figure}


def _against_angle(run):
    weight = curves.class_parameter(run.model.head).list_data()[0].asnumpy()
    points, label = run.points("train")
    length, weight_length = np.median(np.linalg.norm(points, axis=1)), np.linalg.norm(weight, axis=1).mean()
    head = _alike(run, 2)
    curves.place(head, [[weight_length, 0.0]] * 2)
    drawn = _curves(head, length * curves.turned(curves.DEGREES))
    panel = plots.Panel(curves.DEGREES, drawn, ylabel="logit of the true class")
    values = geometry.angles_to(points, label, weight)
    return panel, values, "90 % of the training images"


def _against_distance(run):
    points, label = run.points("train")
    prototypes = run.description["prototypes"]
    precision = np.exp(-np.asarray(run.description.get("log_variance", np.zeros((1, 1))), np.float64))
    values = _own_distance(points, label, prototypes, np.broadcast_to(precision, prototypes.shape))
    distance = np.linspace(0, 1.2 * np.quantile(values, 0.999), 201)
    head = _alike(run, run.size, variance="identity", likelihood_weight=0.0)
    head.set_scheduled("likelihood_weight", 0.0)  # its share of the loss is no logit
    curves.place(head, np.zeros((2, run.size)))
    embedding = np.zeros((len(distance), run.size))
    embedding[:, 0] = distance
    xlabel = "distance to the class mean (standard deviations)"
    panel = plots.Panel(distance, _curves(head, embedding), xlabel=xlabel, ylabel="score of the true class")
    return panel, values, "90 % of the training images"


def _curves(head, embedding):
    trained = curves.training_logit(head, embedding)
    told = curves.plain_logit(head, embedding)
    margin = ", ".join(f"{name} {value:g}" for name, value in _margins(head).items())
    return {f"in training{f' ({margin})' if margin else ''}": trained, "in evaluation": told}


def _margins(head):
    integer = {"margin": head.margin} if isinstance(getattr(head, "margin", None), int) else {}
    return {**integer, **{name: v for name, v in head.scheduled().items() if name != "likelihood_weight"}}


def _alike(run, size, **changes):
    """Return a head of two classes with the options and the present scheduled values of the run's head."""
    model = run.model
    section = run.settings.head.model_copy(update={"label_smoothing": 0.0, **changes})
    head = heads.build(section, 2, size, {section.name: type(model.head)})
    head.initialize()
    for name, value in model.head.scheduled().items():
        head.set_scheduled(name, value)
    if "scale" in run.description and "scale" not in model.head.scheduled():
        head.scale.set_data(mx.nd.array([run.description["scale"]]))
    return head
