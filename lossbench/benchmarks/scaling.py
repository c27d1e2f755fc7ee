"""How a head's training step grows, in time and in memory, with batch, classes and embedding size."""

from __future__ import annotations

import math

from lossbench.benchmarks import head_steps, memory
from lossbench.benchmarks.timing import interleaved, spread

AXES = ("batch_size", "num_classes", "embedding_size")
SIZES = {
    "batch_size": (32, 128, 512),
    "num_classes": (10, 100, 1000, 10000),
    "embedding_size": (16, 64, 256, 1024),
}
FIXED = {"batch_size": 128, "num_classes": 1000, "embedding_size": 256}
NAMES = ("plain", "arcface", "lgm", "lgm_diagonal")


def points(axis: str) -> list[dict]:
    """The sizes measured along an axis, the other two as in `FIXED`.

    Examples
    --------
    >>> points("batch_size")[0]
    {'batch_size': 32, 'num_classes': 1000, 'embedding_size': 256}
    """
    return [{**FIXED, axis: size} for size in SIZES[axis]]


def measure(names=NAMES, axes=AXES, *, repetitions=7, time=True, with_memory=True, progress=lambda: None) -> list[dict]:
    """Time and memory of a forward and backward step at all points of some axes.

    Returns
    -------
    list of dict
        A row per axis, point and head: `axis`, the three sizes, `name`, `label`; `milliseconds` (median, min, max, n)
        and `bytes`, the peak above parameters, gradients and batch (see `memory`), as far as they were asked for.
    """
    rows = []
    for axis in axes:
        for point in points(axis):
            size = point["batch_size"], point["embedding_size"], point["num_classes"]
            found = {name: {} for name in names}
            if time:
                steps = {name: head_steps.new_steps(name, *size) for name in names}
                work = {name: (lambda run=run: run(3)) for name, run in steps.items()}
                for name, seconds in interleaved(work, repetitions).items():
                    found[name]["milliseconds"] = spread([1e3 * value / 3 for value in seconds])
            for name in names:
                if with_memory:
                    found[name]["bytes"] = memory.extra_bytes(None, name, *size)
                rows.append({"axis": axis, **point, "name": name, "label": head_steps.LABELS[name], **found[name]})
                progress()
    return rows


def merged(kept: list[dict], rows: list[dict]) -> list[dict]:
    """Rows with what `kept` holds beside them of the same point and head; the rest of `kept` comes after them.

    Examples
    --------
    >>> point = {"axis": "batch_size", **FIXED, "name": "lgm"}
    >>> merged([{**point, "bytes": 1}], [{**point, "milliseconds": 2}])[0].keys() >= {"bytes", "milliseconds"}
    True
    """

    def key(row):
        return (row["axis"], row["name"], *(row[axis] for axis in AXES))

    before = {key(row): row for row in kept}
    return [{**before.pop(key(row), {}), **row} for row in rows] + list(before.values())


def exponent(sizes, values) -> float:
    """Growth between the two largest sizes: values grow like size to the power of this.

    Examples
    --------
    >>> exponent([1, 10, 100], [5, 7, 700])
    2.0
    """
    return math.log(values[-1] / values[-2]) / math.log(sizes[-1] / sizes[-2])
