"""What the name of a metric tells: how people say it, whether it is a fraction, whether high is good."""

from __future__ import annotations

import re

METHODS = {
    ("accuracy",): "logits",
    ("accuracy_knn",): "k-NN",
    ("accuracy_centers",): "centres",
    ("accuracy_class_means",): "class means",
}
KEYS = {"r_precision": "R-precision", "map_at_r": "MAP@R"}
SPOKEN = {"knn": "k-NN", "centers": "centres", "center": "centre", "map": "MAP", "std": "standard deviation"}
SPOKEN.update(
    {word: word.upper() for word in "roc tar far fpr tpr frr eer auc auroc aupr nmi ami ece fgsm lfw".split()}
)
WORSE_WHEN_HIGH = set("error false fpr frr eer ece success".split())
BETTER_WHEN_HIGH = set("accuracy precision recall tar true tpr roc auc auroc aupr map nmi ami mutual".split())
FRACTIONS = WORSE_WHEN_HIGH | BETTER_WHEN_HIGH | {"rate", "share", "fraction"}
SPREAD = {"std", "deviation", "sem", "interval", "threshold", "thresholds"}


def kind(path) -> tuple[bool, int]:
    """Return whether the name is that of a fraction, and 1 where higher is better, -1 where lower is, else 0.

    Examples
    --------
    >>> kind(["verification", "tar_at_far_1e-3"]), kind(["equal_error_rate"]), kind(["accuracy_std"]), kind(["norm"])
    ((True, 1), (True, -1), (True, 0), (False, 0))
    """
    words = {word for key in path for word in re.split(r"[^a-z0-9]+", key.lower())}
    sign = -1 if words & WORSE_WHEN_HIGH else int(bool(words & BETTER_WHEN_HIGH))
    return bool(words & FRACTIONS), 0 if words & SPREAD else sign


def title(path) -> str:
    """Return a path as people read it.

    Examples
    --------
    >>> title(["verification", "tar_at_far_1e-3"])
    'verification, TAR at FAR 1e-3'
    """
    return ", ".join(KEYS.get(key) or " ".join(SPOKEN.get(word, word) for word in key.split("_")) for key in path)
