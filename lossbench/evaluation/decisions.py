"""Which class an image is taken for: by the largest logit, by neighbors, by learned centers, by class means."""

from __future__ import annotations

import difflib

from lossbench.errors import UserError
from lossbench.evaluation import checks, classification, neighbors, search
from lossbench.evaluation.checks import Unavailable


def evaluate(methods, test, train, description, k: int = 10, *, max_memory_bytes: int = search.MAX_MEMORY_BYTES):
    """Return the accuracy of a split by several methods of naming a class.

    Parameters
    ----------
    methods : sequence of str
        Of `CLASSIFIERS`: softmax (largest logit), knn (majority of the k nearest training embeddings), centers (nearest
        learned center), class_means (nearest mean of training embeddings).
    test : dict
        The split to evaluate: `embedding` (N, D), `logits` (N, C) and `label` (N,).
    train : dict or None
        The training split, without augmentation, for knn and class_means: `embedding` and `label`. Where it is the
        same object as `test`, no embedding counts as its own neighbor.
    description : dict or None
        What the head, or the regularizer that learned the centers, says of itself: `prototypes` (C, D), `metric`
        (euclidean, cosine or density) and, for a density, `score`.
    k : int
        Number of neighbors that vote.
    max_memory_bytes : int
        Bound on the arrays made on the way.

    Returns
    -------
    dict
        `accuracy` for softmax, `accuracy_<method>` for the others: a fraction, or ``{"unavailable": reason}`` where
        the data cannot give it.

    Examples
    --------
    >>> import numpy as np
    >>> split = {
    ...     "embedding": np.array([[0.0], [1.0], [4.0], [5.0]]),
    ...     "logits": np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
    ...     "label": np.array([0, 0, 1, 1]),
    ... }
    >>> evaluate(["softmax", "knn"], split, split, description=None, k=1)
    {'accuracy': 0.75, 'accuracy_knn': 1.0}
    >>> evaluate(["knn"], split, split, description=None, k=4)
    {'accuracy_knn': {'unavailable': 'knn: `k` must be at most the number of neighbors (3), got 4.'}}
    """
    metrics = {}
    for method, predicted in predict(methods, test, train, description, k, max_memory_bytes=max_memory_bytes).items():
        name = "accuracy" if method == "softmax" else f"accuracy_{method}"
        metrics[name] = predicted
        if not isinstance(predicted, dict):
            metrics[name] = classification.accuracy_of(predicted, test["label"])
    return metrics


def predict(methods, test, train, description, k: int = 10, *, max_memory_bytes: int = search.MAX_MEMORY_BYTES):
    """Return the class ids (N,) that each method names, or ``{"unavailable": reason}``; arguments as of `evaluate`.

    Examples
    --------
    >>> import numpy as np
    >>> test = {"logits": np.array([[0.0, 2.0], [3.0, 1.0]])}
    >>> predict(["softmax"], test, train=None, description=None)
    {'softmax': array([1, 0])}
    """
    for method in methods:
        if method not in CLASSIFIERS:
            close = difflib.get_close_matches(method, CLASSIFIERS, 1)
            way_out = f" Did you mean `{close[0]}`?" if close else ""
            raise UserError(f"evaluate: `methods` must be of {', '.join(CLASSIFIERS)}, got {method!r}.{way_out}")
    arguments = test, train, description or {}, k, max_memory_bytes
    return {method: checks.attempt(CLASSIFIERS[method], *arguments) for method in methods}


def _softmax(test, train, description, k, max_memory_bytes):
    return classification.predict(test["logits"])


def _knn(test, train, description, k, max_memory_bytes):
    _need("knn", "train", train)
    return neighbors.knn(
        train["embedding"],
        train["label"],
        test["embedding"],
        k,
        exclude_self=test is train,
        metric=_metric_between_embeddings(description),
        max_memory_bytes=max_memory_bytes,
    )


def _centers(test, train, description, k, max_memory_bytes):
    _need("centers", "description", description)
    return neighbors.centers(
        test["embedding"],
        description["prototypes"],
        description["metric"],
        description.get("score"),
        max_memory_bytes=max_memory_bytes,
    )


def _class_means(test, train, description, k, max_memory_bytes):
    _need("class_means", "train", train)
    return neighbors.class_means(
        train["embedding"],
        train["label"],
        test["embedding"],
        metric=_metric_between_embeddings(description),
        max_memory_bytes=max_memory_bytes,
    )


def _metric_between_embeddings(description):
    return "cosine" if description.get("metric") == "cosine" else "euclidean"


def _need(method, name, value):
    if not value:
        what = {"train": "the embeddings of the training split", "description": "learned class centers"}[name]
        raise Unavailable(f"{method}: `{name}` must hold {what}, got none.")


CLASSIFIERS = {"softmax": _softmax, "knn": _knn, "centers": _centers, "class_means": _class_means}
