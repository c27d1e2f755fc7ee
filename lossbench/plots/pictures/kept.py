"""Arrays that a run kept for its pictures, held to what a picture takes."""

from __future__ import annotations

import contextlib
import re

import numpy as np

from lossbench.errors import UserError
from lossbench.plots.checks import CannotDraw

LARGEST = 1e30


@contextlib.contextmanager
def of_file(path):
    """Have every mistake that the block finds in a file's arrays name the file."""
    try:
        yield
    except UserError as error:
        raise CannotDraw(f"{path}: {error} Make the file anew.") from error


class Kept(dict):
    """The arrays of a file: one that is missing, or not what a picture takes, is `CannotDraw`."""

    def __init__(self, arrays):
        super().__init__(arrays)
        for name in arrays:
            if not re.fullmatch(r"[\w-]{1,100}", name):  # it becomes a part of a picture's text, and of its file's name
                raise _refusal("the name of an array", "letters, digits, `_` and `-`", repr(name))

    def points(self, name: str, *shape) -> np.ndarray:
        """Return an array of finite numbers that can be drawn; None in `shape` is any size above 0."""
        array = self.numbers(name, *shape)
        if not (np.abs(array) < LARGEST).all():
            raise _refusal(name, f"numbers below {LARGEST:g}", "others")
        return array

    def ids(self, name: str, size: int, count: int) -> np.ndarray:
        """Return an array (size,) of whole numbers from 0 to below `count`."""
        array = self.numbers(name, size)
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= count:
            raise _refusal(name, f"whole numbers in [0, {count})", "others")
        return array

    def numbers(self, name: str, *shape) -> np.ndarray:
        """Return an array of numbers or truth values, which may be infinite."""
        array = self.get(name)
        if (
            array is None
            or array.dtype.kind not in "biuf"
            or array.ndim != len(shape)
            or not all(size == wanted or (wanted is None and size) for size, wanted in zip(array.shape, shape))
        ):
            wanted = ", ".join("N" if size is None else str(size) for size in shape)
            got = "none" if array is None else f"{array.dtype} of the shape {array.shape}"
            raise _refusal(name, f"numbers of the shape ({wanted})", got)
        return array


def _refusal(name, rule, got):
    return CannotDraw(f"{name} must be {rule}, got {got}.")
