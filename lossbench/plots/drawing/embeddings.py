"""Pictures of an embedding in the plane: its classes, and the prototypes that were learned for them."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lossbench.plots import checks
from lossbench.plots.drawing import classes, style

AXIS_LABELS = ("embedding dimension 1", "embedding dimension 2")


def scatter(
    embedding,
    label,
    description=None,
    *,
    title: str,
    class_names=None,
    directions: bool | None = None,
    prototype_name: str | None = None,
    deviations=(1, 2),
    axis_labels=AXIS_LABELS,
) -> Figure:
    """Return a picture of two-dimensional embeddings, with the prototypes of their classes drawn in.

    Parameters
    ----------
    embedding : (N, 2) array
    label : (N,) array
        Class ids.
    description : dict, optional
        What the head, or the regularizer that learned centers, says of itself: `prototypes` (C, 2), `metric` and, for
        a density, `log_variance` (C, 1) or (C, 2), 0 where absent, or `covariance` (C, 2, 2). A density's means get
        ellipses.
    title : str
    class_names : sequence of str, optional
        Default: the class ids.
    directions : bool, optional
        True draws the prototypes as rays from the origin, as suits the weights of a linear or a cosine head; False as
        points. Default: rays if `metric` is cosine.
    prototype_name : str, optional
        What the legend calls a prototype. Default: class mean of a density, class weight (direction) of rays, else
        class center.
    axis_labels : pair of str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    CannotDraw
        If the embeddings are not two-dimensional or not finite.
    """
    embedding, label = checks.points("scatter", embedding, label)
    figure = style.figure(6.4, 5.9)
    axes = figure.add_subplot()
    style.dress(axes, title, *axis_labels)
    axes.set_aspect("equal", adjustable="datalim")
    classes.draw_points(axes, embedding, label)
    if description is None:
        classes.name_medians(axes, embedding, label, class_names)
        return figure
    prototypes = np.asarray(description["prototypes"], np.float64)
    density = description["metric"] == "density"
    if directions is None:
        directions = description["metric"] == "cosine"
    if directions:
        ends = ray_ends(embedding, prototypes)
        classes.draw_rays(axes, ends, prototype_name or "class weight (direction)")
        axes.update_datalim(1.15 * ends)
    else:
        if density:
            classes.draw_ellipses(axes, prototypes, covariance(description), deviations)
        classes.mark(axes, prototypes, prototype_name or ("class mean" if density else "class center"))
    axes.autoscale_view()
    style.legend_below(figure, axes)
    if directions:
        classes.name(axes, np.arange(len(ends)), 1.07 * ends, class_names, make_room=True)
    else:
        classes.name(axes, np.arange(len(prototypes)), prototypes, class_names, above=8, make_room=True)
    return figure


def ray_ends(embedding, prototypes) -> np.ndarray:
    """Return where rays along the prototypes (C, 2) end: a little beyond the longest embedding."""
    length = 1.08 * np.quantile(np.linalg.norm(embedding, axis=1), 0.999)
    return length * classes.directions(prototypes)


def covariance(description) -> np.ndarray:
    """Return the covariances (C, 2, 2) of a density over the plane.

    Examples
    --------
    >>> covariance({"prototypes": np.zeros((1, 2)), "log_variance": np.log([[4.0, 9.0]])}).round(6).tolist()
    [[[4.0, 0.0], [0.0, 9.0]]]
    """
    if "covariance" in description:
        return np.asarray(description["covariance"], np.float64)
    log_variance = np.asarray(description.get("log_variance", 0.0), np.float64)
    variance = np.broadcast_to(np.exp(log_variance), np.shape(description["prototypes"]))
    return variance[:, :, None] * np.eye(2)
