"""Pictures of a run's embeddings: what lies where, and what was learned for each class."""

from __future__ import annotations

import numpy as np

from lossbench import plots
from lossbench.plots.checks import CannotDraw
from lossbench.plots.pictures.kept import Kept, of_file
from lossbench.plots.pictures.picture import Picture

SPLITS = ("train", "test")
NAMES = {"weight": "class weight (direction)", "center": "class center", "mean": "class mean"}


def embedding(run, *, projection="pca", **_) -> dict:
    """Training and test embeddings with class weights, centers or means; more than two dimensions projected."""
    if run.size < 2:
        raise CannotDraw(f"embedding needs at least 2 dimensions; this run's embedding has {run.size}.")
    draw = _in_the_plane if run.size == 2 else {"pca": _by_pca, "tsne": _by_tsne}[projection]
    return draw(run)


def _in_the_plane(run):
    description, directions, text = _prototypes(run)
    return {
        f"embedding-{split}": plots.scatter(
            *run.points(split),
            description,
            title=run.title(f"{split} embeddings"),
            class_names=run.class_names,
            directions=directions,
            prototype_name=text,
        )
        for split in SPLITS
    }


def _prototypes(run):
    """Return what to draw for the classes: a description, whether they are directions, and their name."""
    kind = run.prototype_kind
    description = {"prototypes": run.centers, "metric": "euclidean"} if kind == "center" else run.description
    return description, kind == "weight", NAMES[kind]


def _many_dimensional(run, split):
    """Return embeddings and labels in the form that the head compares, and the prototypes among them with their name.

    A cosine head sees unit vectors. The weights of a linear head have no place among embeddings: class means stand in.
    """
    points, label = run.points(split)
    if run.prototype_kind == "center":
        return points, label, run.centers, NAMES["center"]
    if run.prototype_kind == "mean":
        return points, label, run.description["prototypes"], NAMES["mean"]
    if run.metric == "cosine":
        return _units(points), label, _units(run.description["prototypes"]), "class weight"
    training, training_label = run.points("train")
    means = np.full((run.num_classes, run.size), np.nan)
    for c in np.unique(training_label):
        means[c] = training[training_label == c].mean(axis=0)
    return points, label, np.where(np.isnan(means), training.mean(axis=0), means), "mean of the class's training images"


def _units(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _what(run, split):
    unit = "unit " if run.metric == "cosine" and run.prototype_kind == "weight" else ""
    return f"{unit}{split} embeddings, {run.size} dimensions"


def _by_pca(run):
    plane = plots.Projection(_many_dimensional(run, "train")[0])
    drawn = {}
    for split in SPLITS:
        points, label, prototypes, text = _many_dimensional(run, split)
        description = {"prototypes": plane(prototypes), "metric": "euclidean"}
        if run.prototype_kind == "mean":
            description = plane.of_density(run.description)
        drawn[f"embedding-{split}"] = plots.scatter(
            plane(points),
            label,
            description,
            title=run.title(_what(run, split)),
            class_names=run.class_names,
            prototype_name=text,
            deviations=(1,),  # two would fill the picture: classes are far apart in other dimensions
            axis_labels=plane.axis_labels,
        )
    return drawn


def _by_tsne(run):
    drawn = {}
    for split in SPLITS:
        points, label, prototypes, text = _many_dimensional(run, split)
        rows, place, place_of_prototypes = plots.tsne(points, prototypes)
        drawn[f"embedding-{split}-tsne"] = plots.scatter(
            place,
            label[rows],
            {"prototypes": place_of_prototypes, "metric": "euclidean"},
            title=run.title(_what(run, split)),
            class_names=run.class_names,
            prototype_name=text,
            axis_labels=("t-SNE 1 (no unit)", "t-SNE 2 (no unit)"),
        )
    return drawn


def space(run, **_) -> dict:
    """Three-dimensional test embeddings from two sides."""
    description, directions, text = _prototypes(run)
    options = {"class_names": run.class_names, "directions": directions, "prototype_name": text}
    return {"space-test": plots.space(*run.points("test"), description, title=run.title("test embeddings"), **options)}


def circle(run, **_) -> dict:
    """Directions of two-dimensional test embeddings, with the class weights."""
    if run.metric == "density":
        raise CannotDraw(f"circle is for losses that decide by the angle; {run.head_name} decides by the distance.")
    points, label = run.points("test")
    title, names = run.title("directions of the test embeddings"), run.class_names
    weights = run.description["prototypes"]
    return {"circle-test": plots.unit_circle(points, label, weights, title=title, class_names=names)}


def decisions(run, **_) -> dict:
    """Which class the head names where, for two-dimensional embeddings."""
    title, names = run.title("decision regions, test images"), run.class_names
    score = run.description["score"]
    return {"decisions-test": plots.decision_regions(score, *run.points("test"), title=title, class_names=names)}


def animation(run, **_) -> dict:
    """The test embeddings of every epoch, from the files that training kept."""
    found = sorted(run.embeddings.glob("epoch-*.npz"), key=_epoch)
    if not found:
        raise CannotDraw(
            "animation needs the embeddings of each epoch, which training keeps where they have 2 or 3 dimensions and "
            "evaluation.embeddings_every_epochs is set; this run has none."
        )
    frames = [_frame(path, run.arrays(path)) for path in found]
    kind = frames[-1]["prototype_kind"]
    kind = kind if kind in NAMES else run.prototype_kind
    directions = kind == "weight"
    sizes = {frame["prototypes"].shape for frame in frames}
    if len(sizes) > 1:
        raise CannotDraw(f"animation needs embeddings of one form in {run.embeddings}, got several. Remove the others.")
    size = frames[-1]["embedding"].shape[1]
    options = {}
    if size == 3:
        plane = plots.Projection(frames[-1]["embedding"])
        frames = [_projected(frame, plane, directions) for frame in frames]
        options["axis_labels"] = plane.axis_labels
    elif size != 2:
        raise CannotDraw(f"animation needs an embedding of 2 or 3 dimensions; this run's has {size}.")
    titles = [_epoch_title(run, _epoch(path)) for path in found]
    try:
        class_names = run.class_names
    except CannotDraw:
        class_names = None  # without the data, the frames are still there
    drawn = plots.animation(
        frames,
        titles=titles,
        class_names=class_names,
        directions=directions and size == 2,
        prototype_name=NAMES[kind],
        **options,
    )
    return {"animation-test": drawn}


def _epoch(path):
    return int(path.stem.partition("-")[2])


def _frame(path, arrays):
    with of_file(path):
        arrays = Kept(arrays)
        embedding = arrays.points("test_embedding", None, None)
        prototypes = arrays.points("prototypes", None, embedding.shape[1])
        label = arrays.ids("test_label", len(embedding), len(prototypes))
    kind = str(arrays.get("prototype_kind"))  # runs of earlier versions kept none
    return {"embedding": embedding, "label": label, "prototypes": prototypes, "prototype_kind": kind}


def _projected(frame, plane, directions):
    prototypes = frame["prototypes"]
    if directions:
        prototypes = np.quantile(np.linalg.norm(frame["embedding"], axis=1), 0.999) * _units(prototypes)
    return {**frame, "embedding": plane(frame["embedding"]), "prototypes": plane(prototypes)}


def _epoch_title(run, epoch):
    """Name the epoch and the accuracy on test images where it is known, else on training images."""
    row = next((row for row in run.history if row["epoch"] == epoch), {})
    found = next(((key, row[key]) for key in ("test_accuracy", "accuracy") if row.get(key) is not None), None)
    text = f"{run.name}: epoch {epoch} of {run.epochs}"
    if found is None:
        return text
    return f"{text}, {'test' if found[0] == 'test_accuracy' else 'training'} accuracy {100 * found[1]:.2f} %"


EMBEDDING = Picture(
    "embedding",
    "train and test embeddings with class weights, centers, or means and their standard deviations; more than two "
    "dimensions are projected",
    embedding,
    after_training=True,
)
SPACE = Picture("space", "three-dimensional test embeddings from two sides", space, size=3)
CIRCLE = Picture(
    "circle",
    "directions of two-dimensional test embeddings, for losses that decide by the angle",
    circle,
    size=2,
)
DECISIONS = Picture(
    "decisions",
    "the class that the head names at each point of the plane, for two dimensions",
    decisions,
    size=2,
    after_training=True,
)
ANIMATION = Picture(
    "animation",
    "the test embeddings of every epoch as a .gif, for two or three dimensions",
    animation,
    formats=("gif",),
)
