"""Three-dimensional embeddings, seen from two sides."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lossbench.plots import checks
from lossbench.plots.drawing import classes, style

VIEWS = ((22, -60), (22, 30))  # elevation and azimuth in degrees
MAX_POINTS = 4_000  # more hide each other


def space(
    embedding, label, description=None, *, title: str, class_names=None, directions: bool | None = None,
    prototype_name: str = "class center",
) -> Figure:  # fmt: skip
    """Return two views, a quarter turn apart, of three-dimensional embeddings and the prototypes of their classes.

    Parameters
    ----------
    embedding : (N, 3) array
        At most 4,000 are drawn, the same for the same N.
    label : (N,) array
        Class ids.
    description : dict, optional
        `prototypes` (C, 3) and `metric`.
    title : str
    class_names : sequence of str, optional
        Default: the class ids.
    directions : bool, optional
        As of `scatter`.
    prototype_name : str
        What the legend calls a prototype.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    CannotDraw
        If the embeddings are not three-dimensional or not finite.
    """
    embedding, label = checks.points("space", embedding, label, 3)
    chosen = np.random.default_rng(0).permutation(len(embedding))[:MAX_POINTS]
    embedding, label = embedding[chosen], label[chosen]
    ends = None
    if description is not None:
        ends = np.asarray(description["prototypes"], np.float64)
        if directions if directions is not None else description["metric"] == "cosine":
            ends = 1.08 * np.quantile(np.linalg.norm(embedding, axis=1), 0.999) * classes.directions(ends)
    figure = style.figure(7.6, 4.3)
    style.title(figure, title)
    for number, (elevation, azimuth) in enumerate(VIEWS):
        axes = figure.add_subplot(1, 2, number + 1, projection="3d", elev=elevation, azim=azimuth)
        _draw(axes, embedding, label, ends, class_names, prototype_name)
    style.legend_below(figure, axes)
    return figure


def _draw(axes, embedding, label, ends, class_names, prototype_name):
    classes.draw_points(axes, embedding, label, depthshade=False)
    shown = embedding if ends is None else np.concatenate([embedding, ends])
    if ends is not None:
        classes.mark(axes, ends, prototype_name)
        for c, end in enumerate(ends if len(ends) <= classes.MAX_NAMED_CLASSES else ()):
            axes.plot(*zip(np.zeros(3), end), color=style.mixed(c, "black", 0.45), linewidth=0.9)
    present = np.arange(len(ends)) if ends is not None else np.unique(label)
    if len(present) <= classes.MAX_NAMED_CLASSES:
        texts = style.names(class_names, max(present) + 1)
        for c in present:
            place = 1.1 * ends[c] if ends is not None else np.median(embedding[label == c], axis=0)
            look = {"color": style.mixed(c, "black", 0.55), "fontweight": "bold", "fontsize": style.FONT_SIZE}
            axes.text(*place, texts[c], ha="center", va="center", path_effects=style.HALO, zorder=1e6, **look)
    middle, half = (shown.min(axis=0) + shown.max(axis=0)) / 2, 0.52 * max(np.ptp(shown, axis=0).max(), 1e-6)
    axes.set(**{f"{x}lim": (m - half, m + half) for x, m in zip("xyz", middle)})
    axes.set_box_aspect((1, 1, 1), zoom=0.9)
    for number, axis in enumerate((axes.xaxis, axes.yaxis, axes.zaxis)):
        axis.set_pane_color((1, 1, 1, 0))
        axis.set_label_text(f"dimension {number + 1}", fontsize=style.FONT_SIZE - 2, color=style.TEXT)
        axis.set_tick_params(labelsize=style.FONT_SIZE - 4, labelcolor=style.TEXT, pad=-2)
        axis.labelpad = -4
