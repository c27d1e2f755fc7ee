"""What scores tell apart: true against false positives, at every threshold."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lossbench.plots.checks import CannotDraw
from lossbench.plots.drawing import style

MAX_CORNERS = 1_000  # of a drawn line; more cannot be seen
LINES = ("-", "--", "-.", ":")


def roc(curves, *, title: str, xlabel: str, ylabel: str, smallest_rate: float | None = None) -> Figure:
    """Return receiver operating characteristics (ROC), the false positive rate on a logarithmic axis.

    Nothing is interpolated: a line keeps its true positive rate until the next false positive.

    Parameters
    ----------
    curves : dict
        Name -> (false positive rate (T,), true positive rate (T,)), both rising from 0 to 1.
    title, xlabel, ylabel : str
        Both axes are in percent.
    smallest_rate : float, optional
        Left end of the axis. Default: the smallest false positive rate above 0 of any curve.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    CannotDraw
        If there is no curve, or a rate lies outside [0, 1] or falls.
    """
    if not curves:
        raise CannotDraw("roc: `curves` must have at least one curve, got none.")
    curves = {name: _checked(name, *curve) for name, curve in curves.items()}
    smallest = smallest_rate or min(x[x > 0].min() for x, _ in curves.values())
    smallest = min(smallest, 0.1)
    figure = style.figure(6.4, 5.0)
    axes = figure.add_subplot()
    style.dress(axes, title, xlabel, ylabel)
    for number, (name, (x, y)) in enumerate(curves.items()):
        x, y = _corners(np.maximum(x, smallest), 100 * y)
        look = {"color": style.color(2 * number), "linestyle": LINES[number % len(LINES)], "linewidth": 1.8}
        axes.step(x, y, where="post", label=name, **look)
    chance = np.geomspace(smallest, 1, 200)
    axes.plot(chance, 100 * chance, color="#999999", linewidth=1.0, label="chance")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())  # of a short axis matplotlib writes shares beside our percent
    axes.tick_params(which="minor", color=style.GRID)
    axes.set(xlim=(smallest, 1), ylim=(0, 101))
    style.legend_below(figure, axes, columns=1 if max(map(len, curves)) > 24 else 2)
    return figure


def _checked(name, x, y):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    good = x.shape == y.shape and x.ndim == 1 and len(x) and all((0 <= v).all() and (v <= 1).all() for v in (x, y))
    if not good or (np.diff(x) < 0).any() or (np.diff(y) < 0).any() or x[-1] == 0:
        raise CannotDraw(f"roc: the rates of {name} must rise within [0, 1] to 1.")
    return x, y


def _corners(x, y):
    """Return the highest point at each of many false positive rates, evenly spaced on the logarithmic axis."""
    last = np.append(x[1:] > x[:-1], True)  # of equal false positive rates, the highest point
    x, y = x[last], y[last]
    if len(x) <= MAX_CORNERS:
        return x, y
    wanted = np.geomspace(x[0], x[-1], MAX_CORNERS)
    kept = np.unique(np.append(np.searchsorted(x, wanted, side="right") - 1, len(x) - 1))
    return x[kept], y[kept]
