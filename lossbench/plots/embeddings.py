"""Pictures of an embedding in two dimensions: classes, their prototypes, the regions a head decides for."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from lossbench.plots import style

# More names than this would cover the points.
MAX_NAMED_CLASSES = 30


def scatter(
    embedding,
    label,
    description=None,
    *,
    title: str,
    class_names=None,
    directions: bool | None = None,
    axis_labels=("embedding dimension 1", "embedding dimension 2"),
) -> Figure:
    """Return a picture of two-dimensional embeddings, with the prototypes of their classes drawn in.

    Parameters
    ----------
    embedding : (N, 2) array
    label : (N,) array
        Class ids.
    description : dict, optional
        What the head, or the regularizer that learned centers, says of itself: `prototypes` (C, 2), `metric` and, for
        a density, `log_variance` (C, 1) or (C, 2), 0 where absent. A density's means get an ellipse at one and at two
        standard deviations.
    title : str
    class_names : sequence of str, optional
        Default: the class ids.
    directions : bool, optional
        True draws the prototypes as rays from the origin, as suits the weights of a linear or a cosine head; False as
        points. Default: rays if `metric` is cosine.
    axis_labels : pair of str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the embeddings are not two-dimensional or not finite.
    """
    embedding, label = _checked("scatter", embedding, label)
    figure = style.figure()
    axes = figure.add_subplot()
    style.dress(axes, title, *axis_labels)
    axes.set_aspect("equal", adjustable="datalim")
    _points(axes, embedding, label)
    prototypes = None if description is None else np.asarray(description["prototypes"], np.float64)
    if directions is None:
        directions = description is not None and description["metric"] == "cosine"
    if prototypes is not None and directions:
        _rays(axes, embedding, prototypes, class_names)
    elif prototypes is not None:
        _marks(axes, prototypes, description)
        _name_classes(axes, np.arange(len(prototypes)), prototypes, class_names, above=8)
    else:
        _name_medians(axes, embedding, label, class_names)
    style.legend(axes, loc="best")
    return figure


def decision_regions(
    score,
    embedding,
    label,
    *,
    title: str,
    class_names=None,
    resolution: int = 500,
    axis_labels=("embedding dimension 1", "embedding dimension 2"),
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
    ValueError
        If the embeddings are not two-dimensional or not finite.
    """
    embedding, label = _checked("decision_regions", embedding, label)
    figure = style.figure(5.6, 5.4)
    axes = figure.add_subplot()
    style.dress(axes, title, *axis_labels)
    axes.grid(False)
    middle = (embedding.min(axis=0) + embedding.max(axis=0)) / 2
    half = 0.55 * max(np.ptp(embedding, axis=0).max(), 1e-6)
    x, y = (np.linspace(center - half, center + half, resolution) for center in middle)
    plane = np.stack(np.meshgrid(x, y), axis=-1)
    decided = np.asarray(score(plane.reshape(-1, 2).astype(np.float32))).argmax(axis=1).reshape(resolution, resolution)
    pale = np.array([style.mixed(c, "white", 0.65) for c in range(decided.max() + 1)])
    axes.imshow(pale[decided], origin="lower", extent=(x[0], x[-1], y[0], y[-1]), interpolation="nearest")
    border = np.zeros(decided.shape, bool)
    border[:-1] |= decided[:-1] != decided[1:]
    border[:, :-1] |= decided[:, :-1] != decided[:, 1:]
    axes.imshow(
        np.where(border[..., None], (0.2, 0.2, 0.2, 0.8), (0, 0, 0, 0)),
        origin="lower",
        extent=(x[0], x[-1], y[0], y[-1]),
        interpolation="nearest",
    )
    _points(axes, embedding, label)
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    _name_medians(axes, embedding, label, class_names)
    return figure


def _checked(where, embedding, label):
    embedding, label = np.asarray(embedding, np.float64), np.asarray(label).astype(np.int64)
    if embedding.ndim != 2 or embedding.shape[1] != 2:
        raise ValueError(
            f"{where}: `embedding` must have the shape (N, 2), got {embedding.shape}. "
            "Project more dimensions first, with plots.Projection."
        )
    if label.shape != (len(embedding),):
        raise ValueError(f"{where}: `label` must have the shape ({len(embedding)},), got {label.shape}.")
    if len(embedding) == 0 or not np.isfinite(embedding).all():
        raise ValueError(f"{where}: `embedding` must have rows, all finite, got {_what_is_wrong(embedding)}.")
    return embedding, label


def _what_is_wrong(embedding):
    return f"NaN or infinity in {int((~np.isfinite(embedding)).any(axis=1).sum())} rows" if len(embedding) else "none"


def _points(axes, embedding, label):
    # A fixed shuffle, so that no class lies on top of all others; one call a marker keeps it.
    order = np.random.default_rng(0).permutation(len(embedding))
    colors = np.array([style.mixed(c, "white", 0.0) for c in range(label.max() + 1)])
    size = float(np.clip(30_000 / len(embedding), 2.5, 22))
    markers = np.array([style.marker(c) for c in range(label.max() + 1)])
    for marker in dict.fromkeys(markers[np.unique(label)]):
        shown = order[markers[label[order]] == marker]
        axes.scatter(*embedding[shown].T, s=size, c=colors[label[shown]], marker=marker, alpha=0.7, linewidths=0)


def _marks(axes, prototypes, description):
    """Draw prototypes as points, those of a density with its ellipses."""
    density = description["metric"] == "density"
    if density:
        deviation = np.exp(np.asarray(description.get("log_variance", 0.0), np.float64) / 2)
        deviation = np.broadcast_to(deviation, prototypes.shape)
        for c, (center, spread) in enumerate(zip(prototypes, deviation)):
            for count, line in ((1, "-"), (2, "--")):
                axes.add_patch(
                    Ellipse(
                        center,
                        *(2 * count * spread),
                        facecolor="none",
                        edgecolor=style.mixed(c, "black", 0.45),
                        linewidth=1.3,
                        linestyle=line,
                    )
                )
        axes.plot([], [], "-", color=style.TEXT, linewidth=1.3, label="1 standard deviation")
        axes.plot([], [], "--", color=style.TEXT, linewidth=1.3, label="2 standard deviations")
    axes.scatter(
        *prototypes.T,
        s=55,
        marker="X",
        c=[style.color(c) for c in range(len(prototypes))],
        edgecolors="black",
        linewidths=1.0,
        zorder=4,
    )
    text = "class mean" if density else "class center"
    axes.plot([], [], "X", color="white", markeredgecolor="black", markersize=8, label=text)


def _rays(axes, embedding, prototypes, class_names):
    """Draw prototypes as rays from the origin, a little longer than the longest embedding, with their class's name."""
    length = 1.08 * np.quantile(np.linalg.norm(embedding, axis=1), 0.999)
    ends = length * prototypes / np.maximum(np.linalg.norm(prototypes, axis=1, keepdims=True), 1e-12)
    for c, end in enumerate(ends):
        axes.plot([0, end[0]], [0, end[1]], color=style.mixed(c, "black", 0.45), linewidth=1.4, zorder=3)
    axes.plot([], [], color=style.TEXT, linewidth=1.4, label="class weight (direction)")
    axes.update_datalim(1.15 * ends)
    axes.autoscale_view()
    _name_classes(axes, np.arange(len(ends)), 1.07 * ends, class_names)


def _name_medians(axes, embedding, label, class_names):
    classes = np.unique(label)
    _name_classes(axes, classes, [np.median(embedding[label == c], axis=0) for c in classes], class_names)


def _name_classes(axes, classes, where, class_names, above=0):
    """Write class names at points of the plane, `above` them by so many typographic points; none on top of another."""
    if len(classes) > MAX_NAMED_CLASSES:
        return
    texts = style.names(class_names, max(classes) + 1)
    axes.figure.draw_without_rendering()  # places the axes, so that the extents below are final
    points_per_pixel = 72 / axes.figure.dpi
    placed = []
    for c, point in sorted(zip(classes, where), key=lambda pair: pair[1][1]):
        name = axes.annotate(
            texts[c],
            point,
            (0, above),
            textcoords="offset points",
            color=style.mixed(c, "black", 0.55),
            fontsize=style.FONT_SIZE + 2,
            fontweight="bold",
            ha="center",
            va="bottom" if above else "center",
            path_effects=style.HALO,
            zorder=5,
        )
        box = name.get_window_extent()
        for other in placed:  # from the lowest on, so one pass upwards is enough
            if box.overlaps(other):
                rise = other.y1 - box.y0
                name.xyann = (0, name.xyann[1] + rise * points_per_pixel)
                box = box.translated(0, rise)
        placed.append(box)
