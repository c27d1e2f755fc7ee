"""Pictures of what a loss works on: angles, distances and lengths of a run's embeddings, and its logit with margin."""

from __future__ import annotations

import math

import numpy as np

from lossbench import plots
from lossbench.evaluation import classification, geometry
from lossbench.plots.checks import CannotDraw
from lossbench.plots.pictures.picture import Picture

OWN_ANGLE = "angle to the own class's weight (degrees)"
SPLITS = ("train", "test")


def angles(run, **_) -> dict:
    """How far embeddings are from their class's weight, and from the nearest other one."""
    weights = _directions(run, "angles")
    groups = {f"{split} images, own class": geometry.angles_to_nearest(*run.points(split), weights) for split in SPLITS}
    if len(weights) > 1:
        groups["test images, nearest other class"] = _nearest_other_angle(*run.points("test"), weights)
    title, xlabel = run.title("angles to the class weights"), "angle to the class weight (degrees)"
    return {"angles": plots.histograms(groups, title=title, xlabel=xlabel, per="degree")}


def angles_per_class(run, **_) -> dict:
    """The same angles class by class."""
    weights = _directions(run, "angles-per-class")
    groups = {f"{split} images": geometry.angles_to_nearest(*run.points(split), weights) for split in SPLITS[::-1]}
    label = {f"{split} images": run.points(split)[1] for split in SPLITS}
    title, names = run.title("angles by class"), run.class_names
    figure = plots.histograms_per_class(groups, label, title=title, xlabel=OWN_ANGLE, class_names=names)
    return {"angles-per-class": figure}


def _directions(run, picture):
    if run.metric == "density":
        raise CannotDraw(
            f"{picture} is for losses that decide by the angle; {run.head_name} decides by the distance, "
            "which the kind distances shows."
        )
    return run.description.get("directions", run.description["prototypes"][:, None])


def _nearest_other_angle(embedding, label, weights):
    units, directions = (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12) for x in (embedding, weights))
    products = units.astype(np.float32) @ directions.astype(np.float32).reshape(-1, units.shape[1]).T
    cosine = products.reshape(len(units), *weights.shape[:2]).max(axis=2)
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
        raise CannotDraw(f"distances needs class means or centers, and {run.head_name} without a center loss has none.")
    precision = np.broadcast_to(precision, prototypes.shape)
    groups = {
        f"{split} images, own class": geometry.distances_to(*run.points(split), prototypes, precision)
        for split in SPLITS
    }
    if len(prototypes) > 1:
        groups["test images, nearest other class"] = _nearest_other_distance(*run.points("test"), prototypes, precision)
    options = {}
    if run.prototype_kind == "mean":
        from scipy.special import gammaincinv

        median = math.sqrt(2 * gammaincinv(run.size / 2, 0.5))
        name = f"what the Gaussian expects of its class, median {median:.2f}"
        options = {"density": _chi(run.size), "density_name": name}
    title = run.title("distances to the classes")
    return {"distances": plots.histograms(groups, title=title, xlabel=unit, per=per, digits=2, **options)}


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
    found = run.target_logit()
    band = (*np.nanquantile(found["values"], (0.05, 0.95)), "90 % of the training images")
    axes = {"ylabel": "logit of the true class"}
    if run.metric == "density":
        axes = {"xlabel": "distance to the class mean (standard deviations)", "ylabel": "score of the true class"}
    panel = plots.Panel(found["x"], found["curves"], band=band, **axes)
    return {"target-logit": plots.target_logit([panel], title=run.title("score of the true class"))}


ANGLES = Picture("angles", "histogram of the angle to the own class's weight, and to the nearest other one", angles)
ANGLES_PER_CLASS = Picture("angles-per-class", "the same, class by class", angles_per_class)
DISTANCES = Picture(
    "distances",
    "histogram of the distance to the own class's mean or center, for L-GM and the center loss",
    distances,
)
NORMS = Picture("norms", "histogram of the embedding's norm, right and wrong images apart", norms, after_training=True)
TARGET_LOGIT = Picture(
    "target-logit", "the true class's logit with margin against the angle (L-GM: the distance)", target_logit
)
