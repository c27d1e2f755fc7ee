"""The one table of evaluation methods, and their values for the splits of a model."""

from __future__ import annotations

from lossbench.evaluation import checks, closed_set, detection, open_set
from lossbench.evaluation.context import Context, Options
from lossbench.evaluation.memorization import MEMORIZATION

_METHODS = (
    closed_set.SOFTMAX,
    closed_set.KNN,
    closed_set.CENTERS,
    closed_set.CLASS_MEANS,
    closed_set.CONFUSION,
    closed_set.CALIBRATION,
    MEMORIZATION,
    open_set.VERIFICATION,
    open_set.RETRIEVAL,
    open_set.CLUSTERING,
    open_set.GEOMETRY,
    detection.DETECTION,
    detection.ADVERSARIAL,
)
METHODS = {method.name: method for method in _METHODS}
"""Name -> `Method`. A new one is a file, or a place in one, and a line here."""


def suiting(methods, split: str) -> list:
    """Return those of the names of methods that a split can be asked for."""
    return [name for name in methods if METHODS[name].suits(split)]


def at_the_end(methods, splits) -> dict[str, list]:
    """Return split -> names of the methods that it is asked for at the end of a training.

    The training images are asked, whatever the splits, where a method is about them.
    """
    about_training = [name for name in methods if METHODS[name].asks_about_training]
    asked = {split: suiting(methods, split) for split in splits}
    return {**asked, "train": about_training} if about_training else asked


def natural_split(methods, has_holdout: bool) -> str:
    """Return the split that the named methods are about, where all are about one: held-out classes, or training."""
    asked = [METHODS[name] for name in methods] if set(methods) <= set(METHODS) else []
    if asked and all(method.asks_about_training for method in asked):
        return "train"
    return "holdout" if asked and has_holdout and all(method.asks_for_held_out_classes for method in asked) else "test"


def measure(
    subject,
    splits,
    methods,
    *,
    per_class=False,
    options: Options | None = None,
    record=None,
    outputs: dict | None = None,
    show=False,
) -> dict:
    """Return the metrics of each split by the named methods: split -> what `metrics.json` holds of it.

    A method that the data cannot serve has ``{"unavailable": reason}`` in its place.

    Parameters
    ----------
    subject : Subject
        What is judged.
    splits : sequence of str
    methods : sequence of str
        Of `METHODS`.
    per_class : bool
        Whether to add `accuracy_per_class`.
    options : Options, optional
    record : object, optional
        Its `values(split, measured)` gets values as soon as a method is done, its `arrays(split, key, arrays)` the
        arrays that are too large for `metrics.json`, and returns where they are; without it they are dropped.
    outputs : dict, optional
        Embeddings and logits of splits that were computed before; filled.
    show : bool
        Whether to show progress bars, where `options` do not say it.
    """
    options = options or Options(show=show)
    outputs, measured = {} if outputs is None else outputs, {}
    for split in splits:
        context = Context(subject, split, options, outputs)
        if options.pairs and "verification" in methods:
            _ = context.listed_pairs  # a mistake in the list is said before anything takes long
        measured[split] = {}
        chosen = {METHODS[name].key: METHODS[name].measure for name in methods}
        if per_class:
            chosen["accuracy_per_class"] = closed_set.accuracy_per_class
        for key, method in chosen.items():
            context.kept = {}
            value = checks.attempt(method, context)
            if record:
                is_available = not (isinstance(value, dict) and "unavailable" in value)
                place = record.arrays(split, key, context.kept) if context.kept and is_available else None
                if place and isinstance(value, dict):
                    value["arrays"] = place
                record.values(split, {key: value})
            measured[split][key] = value
    return measured
