"""How a quantity of each image is spread: angles, distances, norms."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lossbench.plots.checks import CannotDraw
from lossbench.plots.drawing import style

BINS = ((2000, 60), (200, 30), (0, 15))  # from so many values on, so many bins
LINES = ("-", "--", ":", "-.")
COLORS = (0, 2, 4, 8)
MAX_PANELS = 20
LETTERS_A_PANEL = 13
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def histograms(
    groups, *, title: str, xlabel: str, per: str, density=None, density_name: str = "", digits: int = 1
) -> Figure:
    """Return histograms of several groups of values over each other, each in percent of its own group.

    A group of few values has wider bins; heights are shares per unit, so that they compare all the same.

    Parameters
    ----------
    groups : dict
        Name -> values (N,). NaN is left out; a group without values is left out.
    title : str
    xlabel : str
        With the unit.
    per : str
        The unit in the singular.
    density : callable, optional
        value (N,) -> probability density, drawn beside the histograms.
    density_name : str
        What the legend calls it.
    digits : int
        Decimals of the medians in the legend.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    CannotDraw
        If no group has values, or one is infinite.
    """
    groups = _finite("histograms", groups)
    low, high = _range(np.concatenate(list(groups.values())))
    figure = style.figure(6.4, 4.6)
    axes = figure.add_subplot()
    style.dress(axes, title, xlabel, f"images (% per {per})")
    for number, (text, values) in enumerate(groups.items()):
        edges = _edges(low, high, len(values))
        share = 100 * np.histogram(values, edges)[0] / len(values) / (edges[1] - edges[0])
        look = {"color": style.color(COLORS[number % 4]), "linewidth": 1.6}
        shown = f"{text}: n = {len(values):,}, median {np.median(values):.{digits}f}"
        axes.stairs(share, edges, linestyle=LINES[number % 4], label=shown, zorder=3, **look)
        axes.stairs(share, edges, fill=True, color=look["color"], alpha=0.15, zorder=2)
    if density is not None:
        x = np.linspace(low, high, 400)
        look = {"color": style.TEXT, "linewidth": 1.3, "linestyle": LINES[3], "label": density_name}
        axes.plot(x, 100 * density(x), **look)
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=0)
    style.legend_below(figure, axes, columns=1)
    return figure


def histograms_per_class(groups, label, *, title: str, xlabel: str, class_names=None) -> Figure:
    """Return a histogram for each class; beyond 20 classes a picture of each class's quantiles.

    Parameters
    ----------
    groups : dict
        Name -> values (N,); the first is drawn filled, the second as a line. Of more than 20 classes the first alone.
    label : dict
        Name -> class ids (N,) of the group of that name.
    title : str
    xlabel : str
        With the unit.
    class_names : sequence of str, optional
        Default: the class ids.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    CannotDraw
        If no group has values, or one is infinite.
    """
    label = {name: np.asarray(label[name])[~np.isnan(values)] for name, values in groups.items()}
    groups = _finite("histograms_per_class", groups)
    present = np.unique(np.concatenate([label[name] for name in groups]))
    if len(present) > MAX_PANELS:
        name, texts = next(iter(groups)), style.names(class_names, present.max() + 1)
        return _quantiles(groups[name], label[name], texts, f"{title}, {name}", xlabel)
    low, high = _range(np.concatenate(list(groups.values())), left_out=0.02)  # small panels have no room for tails
    edges = _edges(low, high, len(next(iter(label.values()))))
    texts = style.names(class_names, present.max() + 1, LETTERS_A_PANEL)
    columns = min(5, len(present))
    rows = -(-len(present) // columns)
    figure = style.figure(max(1.5 * columns, 4.5) + 0.4, 1.5 * rows + 1.0)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, c in zip(panels.flat, present):
        style.dress(axes)
        axes.tick_params(labelsize=style.FONT_SIZE - 2)
        for number, (text, values) in enumerate(groups.items()):
            mine = values[label[text] == c]
            share = 100 * np.histogram(mine, edges)[0] / max(len(mine), 1)
            color = style.mixed(c, "black", 0.5) if number else style.color(c)
            axes.stairs(share, edges, fill=number == 0, color=color, linestyle=LINES[number], linewidth=1.2, label=text)
        axes.set_title(texts[c], fontsize=style.FONT_SIZE, color=style.mixed(c, "black", 0.55), fontweight="bold")
        axes.set_xlim(edges[0], edges[-1])
    for axes in panels.flat[len(present) :]:
        axes.set_visible(False)
    style.title(figure, title)
    lines = " (filled), ".join(groups) + (" (line)" if len(groups) > 1 else "")
    figure.supxlabel(f"{xlabel}; {lines}", fontsize=style.FONT_SIZE, color=style.TEXT)
    figure.supylabel("share of the class (%)", fontsize=style.FONT_SIZE, color=style.TEXT)
    return figure


def _quantiles(values, label, texts, title, xlabel):
    """Draw for each class, sorted by its median, the range of nine tenths, of half, and the median of its values."""
    present = np.unique(label)
    order = np.argsort(label, kind="stable")
    parts = np.split(values[order], np.flatnonzero(np.diff(label[order])) + 1)
    quantiles = np.array([np.quantile(part, QUANTILES) for part in parts])
    rank = np.argsort(quantiles[:, 2], kind="stable")
    low, lower, median, upper, high = quantiles[rank].T
    figure = style.figure(6.4, 4.6)
    axes = figure.add_subplot()
    style.dress(axes, title, f"{len(present)} classes, by their median", xlabel)
    place = np.arange(len(present))
    axes.fill_between(place, low, high, step="mid", color=style.mixed(0, "white", 0.75), label="5 to 95 % of a class")
    axes.fill_between(place, lower, upper, step="mid", color=style.mixed(0, "white", 0.4), label="25 to 75 %")
    axes.plot(place, median, color=style.TEXT, linewidth=1.6, label="median")
    axes.set_xlim(-0.5, len(present) - 0.5)
    axes.set_xticks([])
    for end, side in ((0, "left"), (len(present) - 1, "right")):
        text = f"{texts[present[rank[end]]]}: {median[end]:.1f}"
        look = {"fontsize": style.FONT_SIZE, "color": style.TEXT, "path_effects": style.HALO, "va": "bottom"}
        axes.annotate(text, (end, high[end]), (0, 3), textcoords="offset points", ha=side, **look)
    axes.margins(y=0.12)
    style.legend_below(figure, axes)
    return figure


def _finite(where, groups):
    """Return the groups that have values, in float64 and without NaN."""
    kept = {name: np.asarray(values, np.float64) for name, values in groups.items()}
    kept = {name: values[~np.isnan(values)] for name, values in kept.items()}
    kept = {name: values for name, values in kept.items() if len(values)}
    if not kept or any(np.isinf(values).any() for values in kept.values()):
        got = "infinity" if kept else "none"
        raise CannotDraw(f"{where}: `groups` must hold finite values, got {got}.")
    return kept


def _range(values, left_out=0.001):
    """Return the ends of an axis that holds all but the farthest values, at most such a share; these are not drawn."""
    low, high = (
        np.quantile(values, left_out / 2, method="lower"),
        np.quantile(values, 1 - left_out / 2, method="higher"),
    )
    if 0 <= low < 0.25 * high:
        low = 0.0
    return low, low + max(high - low, 1e-6 * max(abs(high), 1.0))


def _edges(low, high, count):
    return np.linspace(low, high, 1 + next(bins for least, bins in BINS if count >= least))
