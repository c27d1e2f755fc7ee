"""How the pictures of embeddings show classes: their points, their prototypes, their names."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Ellipse

from lossbench.plots.drawing import style

# More names, or ellipses, than this would cover the points.
MAX_NAMED_CLASSES = 30
ATTEMPTS = 4  # to make room for the names
DEVIATION_LINES = ("-", "--", ":")


def draw_points(axes, embedding, label, size: float = None, **options):
    """Draw embeddings (N, 2) or (N, 3), each in the color and marker of its class."""
    # A fixed shuffle, so that no class lies on top of all others; one call a marker keeps it.
    order = np.random.default_rng(0).permutation(len(embedding))
    colors = np.array([style.mixed(c, "white", 0.0) for c in range(label.max() + 1)])
    markers = np.array([style.marker(c) for c in range(label.max() + 1)])
    look = {"alpha": 0.7, "linewidths": 0, "rasterized": True, **options}
    size = size or point_size(len(embedding))
    drawn = []
    for marker in dict.fromkeys(markers[np.unique(label)]):
        shown = order[markers[label[order]] == marker]
        drawn.append(axes.scatter(*embedding[shown].T, s=size, c=colors[label[shown]], marker=marker, **look))
    return drawn


def point_size(count: int) -> float:
    """Return the area of a point, in square typographic points, at which so many of them do not become one blot."""
    return float(np.clip(30_000 / count, 2.5, 22))


def mark(axes, prototypes, text: str, **options) -> None:
    """Draw prototypes (C, 2) or (C, 3) as crosses, with `text` in the legend."""
    few = len(prototypes) <= MAX_NAMED_CLASSES
    colors = [style.color(c) for c in range(len(prototypes))]
    look = {"s": 55 if few else 26, "marker": "X", "c": colors, "edgecolors": "black", "zorder": 4}
    axes.scatter(*prototypes.T, linewidths=1.0 if few else 0.6, **{**look, **options})
    axes.plot([], [], "X", color="white", markeredgecolor="black", markersize=8, label=text)


def draw_ellipses(axes, means, covariance, deviations) -> None:
    """Draw the lines so many standard deviations from means (C, 2) of Gaussians with covariances (C, 2, 2)."""
    if len(means) > MAX_NAMED_CLASSES:
        return
    for c, (mean, matrix) in enumerate(zip(means, covariance)):
        square, vectors = np.linalg.eigh(matrix)
        one = np.sqrt(np.maximum(square, 0.0))
        angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
        for count, line in zip(deviations, DEVIATION_LINES):
            look = {"edgecolor": style.mixed(c, "black", 0.45), "linewidth": 1.3, "linestyle": line}
            axes.add_patch(Ellipse(mean, *(2 * count * one), angle=angle, facecolor="none", **look))
    for count, line in zip(deviations, DEVIATION_LINES):
        text = f"{count} standard deviation{'s' if count > 1 else ''}"
        axes.plot([], [], line, color=style.TEXT, linewidth=1.3, label=text)


def draw_rays(axes, ends, text: str) -> None:
    """Draw a line from the origin to each of the ends (C, 2), with `text` in the legend."""
    few = len(ends) <= MAX_NAMED_CLASSES
    colors = [style.mixed(c, "black", 0.45) for c in range(len(ends))]
    lines = [[np.zeros(2), end] for end in ends]
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=1.4 if few else 0.6, zorder=3), autolim=True)
    axes.plot([], [], color=style.TEXT, linewidth=1.4, label=text)


def directions(prototypes) -> np.ndarray:
    """Return prototypes scaled to length 1; a zero row stays zero."""
    return prototypes / np.maximum(np.linalg.norm(prototypes, axis=1, keepdims=True), 1e-12)


def name_medians(axes, embedding, label, class_names) -> None:
    """Write the name of each class that has members over the median of its embeddings (N, 2)."""
    present = np.unique(label)
    if len(present) <= MAX_NAMED_CLASSES:
        where = [np.median(embedding[label == c], axis=0) for c in present]
        name(axes, present, where, class_names, make_room=True)


def name(axes, classes, where, class_names, above: float = 0, make_room: bool = False) -> None:
    """Write class names at points of the plane, `above` them by so many typographic points; none on top of another,
    or across the left or right end of the axes.

    With `make_room`, the vertical axis is extended until the highest name is below the title.
    """
    if len(classes) > MAX_NAMED_CLASSES:
        return
    texts = style.names(class_names, max(classes) + 1)
    named = sorted(zip(classes, where), key=lambda pair: pair[1][1])
    with style.any_letters():
        axes.figure.draw_without_rendering()  # places the axes, so that the extents below are final
        boxes = _place(axes, named, texts, above)
        for _ in range(ATTEMPTS if make_room else 0):
            frame = axes.get_window_extent()
            excess = max(box.y1 for box in boxes) - frame.y1
            if excess <= 0:
                return
            low, high = axes.get_ylim()
            axes.update_datalim([(np.mean(axes.get_xlim()), high + (high - low) * 1.1 * excess / frame.height)])
            axes.autoscale_view()
            for text in list(axes.texts):
                text.remove()
            axes.figure.draw_without_rendering()
            boxes = _place(axes, named, texts, above)


def _place(axes, named, texts, above) -> list:
    """Write the names and return the boxes that they take, in pixels."""
    points_per_pixel = 72 / axes.figure.dpi
    frame, placed = axes.get_window_extent(), []
    for c, point in named:
        written = axes.annotate(
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
        written.set_in_layout(False)  # else the axes would shrink around it, and move under the other names
        box = written.get_window_extent()
        aside, rise = max(0, frame.x0 - box.x0) or min(0, frame.x1 - box.x1), 0  # a long name stays in the frame
        box = box.translated(aside, 0)
        while any(box.overlaps(other) for other in placed):
            higher = min(other.y1 for other in placed if box.overlaps(other)) - box.y0 + 1
            rise, box = rise + higher, box.translated(0, higher)
        written.xyann = (aside * points_per_pixel, above + rise * points_per_pixel)
        placed.append(box)
    return placed
