"""Methods of evaluation that need no trained class: pairs, neighborhoods, clusters, the shape of the space.

Where embeddings are compared, they are both by cosine and by Euclidean distance, whatever the head does.
"""

from __future__ import annotations

from lossbench.evaluation import checks, geometry, retrieval, roc, search, verification
from lossbench.evaluation.context import SEED
from lossbench.evaluation.method import Method, Value


def verified(context) -> dict:
    """Are two images of one class? ROC curves are kept as arrays."""
    listed = context.options.pairs
    pairs = context.listed_pairs if listed else context.drawn_pairs()
    known = "that were trained on (closed set)" if context.is_known else "that were never trained on"
    same = pairs.same
    found = {
        "pairs": f"listed in {listed}" if listed else f"drawn from classes {known}",
        "same_pairs": int(same.sum()),
        "different_pairs": int((~same).sum()),
    }

    def one(metric):
        score = verification.similarity(
            context.paired_embedding, pairs.first, pairs.second, metric, context.max_memory_bytes
        )
        metrics = verification.verify(score, same)
        checks.attempt(_keep_curve, context, metric, score, same)
        return {name: value for name, value in metrics.items() if name not in (*found, "rule")}

    found.update(_by_both(one))
    return {**found, "rule": verification.RULE}


def _keep_curve(context, metric, score, same):
    threshold, *rates = roc.curve(score[same], score[~same])
    turns = roc.corners(*rates)
    names = (f"{metric}_{name}" for name in ("threshold", "false_accept_rate", "true_accept_rate"))
    context.keep(**{name: values[turns] for name, values in zip(names, (threshold, *rates))})


def retrieved(context) -> dict:
    """Does an image's neighborhood hold the other images of its class?"""
    outputs = context.outputs()
    return _by_both(
        lambda metric: retrieval.retrieve(
            outputs["embedding"],
            outputs["label"],
            metric=metric,
            max_memory_bytes=context.max_memory_bytes,
            progress=context.show,
        )
    )


def clustered(context) -> dict:
    """Do k-means clusters find the classes?"""
    outputs = context.outputs()
    return _by_both(lambda metric: retrieval.cluster(outputs["embedding"], outputs["label"], metric=metric, seed=SEED))


def shaped(context) -> dict:
    """Distances, angles and norms of the classes, and the angles of their weights to their means."""
    outputs = context.outputs()
    return geometry.describe(
        outputs["embedding"],
        outputs["label"],
        context.description.get("directions", context.description["prototypes"]) if context.is_known else None,
        max_memory_bytes=context.max_memory_bytes,
    )


def _by_both(method) -> dict:
    """What a method returns of each metric, or why it cannot."""
    return {metric: checks.attempt(method, metric) for metric in search.METRICS}


VERIFICATION = Method(
    "verification",
    "are two images of one class? ROC area, equal error rate, TAR at FAR, accuracy in 10 folds",
    verified,
    (
        Value("same_pairs", "same pairs", unit="count", is_apart=True),
        Value("different_pairs", "different pairs", unit="count", is_apart=True),
        Value("area_under_roc", "ROC area", 1),
        Value("equal_error_rate", "equal error rate", -1),
        Value("accuracy", "accuracy", 1),
        Value("accuracy_std", "accuracy, standard deviation"),
        Value("threshold", "threshold", unit=""),
        Value("tar_at_far_*", "TAR at FAR *", 1),
    ),
    needs_trained_classes=False,
    asks_for_held_out_classes=True,
    within=search.METRICS,
)
RETRIEVAL = Method(
    "retrieval",
    "precision at 1, recall at k, R-precision, MAP@R; each image looks for the others of its class",
    retrieved,
    (
        Value("precision_at_1", "precision at 1", 1),
        Value("recall_at_*", "recall at *", 1),
        Value("r_precision", "R-precision", 1),
        Value("map_at_r", "MAP@R", 1),
        Value("queries", "queries", unit="count"),
    ),
    needs_trained_classes=False,
    asks_for_held_out_classes=True,
    within=search.METRICS,
)
CLUSTERING = Method(
    "clustering",
    "NMI and AMI of k-means clusters with the classes",
    clustered,
    (Value("normalized_mutual_information", "NMI", 1), Value("adjusted_mutual_information", "AMI", 1)),
    needs_trained_classes=False,
    asks_for_held_out_classes=True,
    within=search.METRICS,
)
_ANGLES = ("intra_class_angle", "inter_class_angle", "nearest_class_angle", "prototype_angle")
_LENGTHS = (
    "intra_class_distance",
    "inter_class_distance",
    "distance_ratio",
    "angle_ratio",
)
GEOMETRY = Method(
    "geometry",
    "distances and angles within and between classes, norms, angles of class weights to class means",
    shaped,
    (
        *(Value(name, name.replace("_", " "), unit="degrees", is_apart=True) for name in _ANGLES),
        *(Value(name, name.replace("_", " "), unit="", is_apart=True) for name in _LENGTHS),
        Value("mean", "mean", unit=""),
        Value("standard_deviation", "standard deviation", unit=""),
    ),
    needs_trained_classes=False,
    within=("norm",),
)
