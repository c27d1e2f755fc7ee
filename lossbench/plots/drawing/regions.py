"""The class that a head decides for at each point of the plane."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lossbench.plots import checks
from lossbench.plots.drawing import classes, style
from lossbench.plots.drawing.embeddings import AXIS_LABELS


def decision_regions(
    score,
    embedding,
    label,
    *,
    title: str,
    class_names=None,
    resolution: int = 500,
    axis_labels=AXIS_LABELS,
) -> Figure:
    """Return a picture of the class that a head names at each point of the plane, with embeddings drawn over it.

    Parameters
    ----------
    score : callable
        embedding (N, 2) -> class scores (N, C).
    embedding : (N, 2) array
        They set the limits of the picture.
    label : (N,) array
        Class ids.
    title : str
    class_names : sequence of str, optional
        Default: the class ids.
    resolution : int
        Points of the plane along each axis.
    axis_labels : pair of str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    CannotDraw
        If the embeddings are not two-dimensional or not finite.
    """
    embedding, label = checks.points("decision_regions", embedding, label)
    figure = style.figure(5.6, 5.4)
    axes = figure.add_subplot()
    style.dress(axes, title, *axis_labels)
    axes.grid(False)
    middle = (embedding.min(axis=0) + embedding.max(axis=0)) / 2
    half = 0.55 * max(np.ptp(embedding, axis=0).max(), 1e-6)
    x, y = (np.linspace(center - half, center + half, resolution) for center in middle)
    plane = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    # A strip at a time: a thousand classes at every point would be gigabytes.
    decided = [np.asarray(score(strip)).argmax(axis=1) for strip in np.array_split(plane, max(1, resolution // 20))]
    decided = np.concatenate(decided).reshape(resolution, resolution)
    pale = np.array([style.mixed(c, "white", 0.65) for c in range(decided.max() + 1)])
    border = np.zeros(decided.shape, bool)
    border[:-1] |= decided[:-1] != decided[1:]
    border[:, :-1] |= decided[:, :-1] != decided[:, 1:]
    place = {"origin": "lower", "extent": (x[0], x[-1], y[0], y[-1]), "interpolation": "nearest"}
    axes.imshow(pale[decided], **place)
    axes.imshow(np.where(border[..., None], (0.2, 0.2, 0.2, 0.8), (0, 0, 0, 0)), **place)
    classes.draw_points(axes, embedding, label)
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    classes.name_medians(axes, embedding, label, class_names)
    return figure
