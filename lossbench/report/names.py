"""What the numbers of `metrics.json` are called and mean, from what their methods declare."""

from __future__ import annotations

from lossbench.evaluation import METHODS, Value

_BY_KEY = {method.key: method for method in METHODS.values()}
_CALLED = {"knn": "k-NN"}


def value(path) -> Value:
    """Return what is declared of the number at a path; of one that no method declares, its name alone is known.

    Examples
    --------
    >>> value(["verification", "cosine", "tar_at_far_1e-3"]).better, value(["own", "speed"]).text
    (1, 'speed')
    """
    method = _BY_KEY.get(path[0])
    return (method and method.value(path[-1])) or Value(path[-1], _spoken(path[-1]), unit="")


def family(path) -> str:
    """Return what people call a family of numbers.

    Examples
    --------
    >>> family(["detection", "fashion_mnist"])
    'Detection, fashion mnist'
    """
    text = ", ".join(map(_spoken, path))
    return text[:1].upper() + text[1:]


def within(path, size: int) -> tuple[str, str]:
    """Return what tells the number at a path from the others of its family, which the first `size` keys name.

    The first part is shared with its neighbors, such as a score; it may be empty.

    Examples
    --------
    >>> within(["verification", "cosine", "tar_at_far_1e-3"], 1)
    ('cosine', 'TAR at FAR 1e-3')
    """
    return ", ".join(map(_spoken, path[size:-1])), value(path).called(path[-1])


def _spoken(key):
    return _CALLED.get(key, key.replace("_", " "))
