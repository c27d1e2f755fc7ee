"""The table of evaluation methods, and their values for the splits of a model."""

from __future__ import annotations

from typing import Optional

from lossbench.evaluation import checks
from lossbench.experiment import closed_set, detection, open_set
from lossbench.experiment.context import Context, Options

METHODS = {
    "softmax": closed_set.accuracy_by("softmax"),
    "knn": closed_set.accuracy_by("knn"),
    "centers": closed_set.accuracy_by("centers"),
    "class_means": closed_set.accuracy_by("class_means"),
    "confusion": closed_set.confusion,
    "calibration": closed_set.calibrated,
    "verification": open_set.verified,
    "retrieval": open_set.retrieved,
    "clustering": open_set.clustered,
    "geometry": open_set.shaped,
    "detection": detection.foreign_detected,
    "adversarial": detection.attacks_detected,
}
"""Name -> function of a `Context` that returns plain values (a number or a dict) or raises `evaluation.Unavailable`.

The same names, each with a line of help, stand in `config.evaluation.METHODS`, which needs no MXNet.
"""

OPEN_SET = ("verification", "retrieval", "clustering", "geometry")
"""Those that need no trained class, which are all that a split of held-out classes can be asked for."""

_KEYS = {"softmax": "accuracy", **{name: f"accuracy_{name}" for name in ("knn", "centers", "class_means")}}


def suiting(methods, split: str) -> list:
    """Those of the methods that a split can be asked for."""
    return [name for name in methods if split != "holdout" or name in OPEN_SET]


def measure(
    model,
    splits,
    methods,
    *,
    per_class=False,
    options: Optional[Options] = None,
    record=None,
    outputs: Optional[dict] = None,
    show=False,
) -> dict:
    """Metrics of each split by the named evaluation methods: split -> what `metrics.json` holds of it.

    A method that the data cannot serve has ``{"unavailable": reason}`` in its place.

    Parameters
    ----------
    model : Model
    splits : sequence of str
    methods : sequence of str
        Of `METHODS`.
    per_class : bool
        Whether to add `accuracy_per_class`.
    options : Options, optional
    record : run_folder.Record, optional
        Where values go as soon as a method is done, and arrays that are too large for `metrics.json`; without it
        the arrays are dropped.
    outputs : dict, optional
        Embeddings and logits of splits that were computed before; filled.
    show : bool
        Whether to show progress bars, where `options` do not say it.
    """
    options = options or Options(show=show)
    outputs, measured = {} if outputs is None else outputs, {}
    for split in splits:
        context = Context(model, split, options, outputs)
        if options.pairs and "verification" in methods:
            _ = context.listed_pairs  # a mistake in the list is said before anything takes long
        measured[split] = {}
        chosen = {_KEYS.get(name, name): METHODS[name] for name in methods}
        if per_class:
            chosen["accuracy_per_class"] = closed_set.accuracy_per_class
        for key, method in chosen.items():
            context.kept = {}
            value = checks.attempt(method, context)
            if record:
                if context.kept and "unavailable" not in value:
                    value["arrays"] = record.arrays(split, key, context.kept)
                record.values(split, {key: value})
            measured[split][key] = value
    return measured
