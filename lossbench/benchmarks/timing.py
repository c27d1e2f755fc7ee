"""Timing of alternatives side by side, since a machine's speed drifts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def interleaved(work: dict[str, Callable[[], None]], repetitions: int, *, warmup: int = 1) -> dict:
    """Time several pieces of work in turn: A B C A B C …

    Parameters
    ----------
    work : dict of str to callable
        Each does its work to the end: one that runs on MXNet's engine waits for it.
    repetitions : int
        Timed rounds.
    warmup : int
        Rounds before them.

    Returns
    -------
    dict of str to list of float
        Seconds of each repetition.

    Examples
    --------
    >>> seconds = interleaved({"sum": lambda: sum(range(1000)), "nothing": lambda: None}, repetitions=3)
    >>> {name: len(values) for name, values in seconds.items()}
    {'sum': 3, 'nothing': 3}
    """
    seconds = {name: [] for name in work}
    for round_ in range(warmup + repetitions):
        for name, do in work.items():
            began = time.perf_counter()
            do()
            if round_ >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def spread(values) -> dict:
    """Median, smallest and largest of some values.

    Examples
    --------
    >>> spread([9.0, 1.0, 2.0])
    {'median': 2.0, 'min': 1.0, 'max': 9.0, 'n': 3}
    """
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def spoken(values: dict, digits: int) -> str:
    """A `spread` as the tables print it.

    Examples
    --------
    >>> spoken(spread([9.0, 1.0, 2.0]), 1)
    '2.0 (1.0 to 9.0)'
    """
    return "{median:.{0}f} ({min:.{0}f} to {max:.{0}f})".format(digits, **values)
