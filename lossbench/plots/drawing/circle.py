"""Two-dimensional embeddings without their lengths: what a head that decides by the angle sees."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lossbench.plots import checks
from lossbench.plots.drawing import classes, style

DEGREES_A_BIN = 1
SMOOTHING_DEGREES = 1.5
HEIGHT = 0.4  # of the highest bump, in radii


def unit_circle(
    embedding, label, prototypes=None, *, title: str, class_names=None, prototype_name: str = "class weight (direction)"
) -> Figure:
    """Return a picture of the directions of two-dimensional embeddings, on the unit circle.

    Embeddings lie on the circle. Outside it, a bump per class shows how its directions are spread; each reaches its own
    greatest height, so that a rare class is seen as well as a frequent one.

    Parameters
    ----------
    embedding : (N, 2) array
        An embedding at the origin has no direction and is left out.
    label : (N,) array
        Class ids.
    prototypes : (C, 2) array, optional
        Class weights, drawn as rays.
    title : str
    class_names : sequence of str, optional
        Default: the class ids.
    prototype_name : str
        What the legend calls a ray.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    CannotDraw
        If the embeddings are not two-dimensional, not finite or all zero.
    """
    embedding, label = checks.points("unit_circle", embedding, label)
    somewhere = np.linalg.norm(embedding, axis=1) > 0
    if not somewhere.any():
        raise checks.CannotDraw("unit_circle: an embedding must have a direction, but all are zero.")
    embedding, label = classes.directions(embedding[somewhere]), label[somewhere]
    figure = style.figure(5.8, 5.9)
    axes = figure.add_subplot()
    style.dress(axes, title, "embedding dimension 1 / norm", "embedding dimension 2 / norm")
    axes.set_aspect("equal")
    turn = np.radians(np.arange(361))
    axes.plot(np.cos(turn), np.sin(turn), color="#999999", linewidth=0.8, zorder=1)
    classes.draw_points(axes, embedding, label, zorder=2.5)
    present = np.unique(label)
    angle = np.degrees(np.arctan2(embedding[:, 1], embedding[:, 0]))
    if len(present) <= classes.MAX_NAMED_CLASSES:
        for c in present:
            _bump(axes, angle[label == c], c)
    if prototypes is not None:
        ends = classes.directions(np.asarray(prototypes, np.float64))
        classes.draw_rays(axes, ends, prototype_name)
        style.legend_below(figure, axes)
    limit = 1 + HEIGHT + 0.25
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    where = [(1 + HEIGHT + 0.12) * _mean_direction(embedding[label == c]) for c in present]
    classes.name(axes, present, where, class_names)
    return figure


def _mean_direction(units):
    return classes.directions(units.mean(axis=0, keepdims=True))[0]


def _bump(axes, angle, c):
    """Draw outwards from the circle how the angles, in degrees, of one class are spread."""
    height = spread(angle)
    turn = np.radians(np.arange(len(height) + 1) * DEGREES_A_BIN + DEGREES_A_BIN / 2)
    radius = 1 + HEIGHT * np.append(height, height[0])
    outer = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    inner = np.stack([np.cos(turn), np.sin(turn)], axis=1)[::-1]
    x, y = np.concatenate([outer, inner]).T
    axes.fill(x, y, facecolor=style.mixed(c, "white", 0.5), linewidth=0, zorder=1.5)
    seen = np.where(radius[:, None] > 1 + 0.01 * HEIGHT, outer, np.nan)  # no line where the bump has no height
    axes.plot(*seen.T, color=style.color(c), linewidth=0.9, zorder=1.6)


def spread(angle) -> np.ndarray:
    """Return how many angles (N,), in degrees, fall into each degree of a full turn, smoothed, the most being 1.

    Examples
    --------
    >>> int(spread([-0.5, 359.5, 90.5]).argmax()), len(spread([0.0]))
    (359, 360)
    """
    bins = round(360 / DEGREES_A_BIN)
    counts = np.bincount((np.floor(np.asarray(angle) / DEGREES_A_BIN) % bins).astype(int), minlength=bins)
    away = np.minimum(np.arange(bins), bins - np.arange(bins)) * DEGREES_A_BIN
    kernel = np.exp(-0.5 * (away / SMOOTHING_DEGREES) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(counts) * np.fft.rfft(kernel), bins)
    return np.maximum(smooth / smooth.max(), 0.0)
