"""What a loss makes of an angle or a distance, as curves: the picture of a margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lossbench.errors import UserError
from lossbench.plots.drawing import style

ANGLE = "angle to the class weight (degrees)"
LOGIT = "training logit of the true class"
# Blue, red, orange, purple, gray, brown: in gray print and to color-blind eyes the dashes tell them apart, too.
COLORS = (0, 2, 1, 4, 8, 5)
DASHES = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (10, 3)), (0, (3, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Panel:
    """Curves that share their axes.

    Parameters
    ----------
    x : array (N,)
        Angles in degrees, or what `xlabel` says.
    curves : dict of str to array (N,)
        By what the legend calls them.
    title, xlabel, ylabel : str
        With the unit, where there is one.
    band : (low, high, text), optional
        A range of x that is shaded; the legend, which then is below the axes, calls it by the text.
    """

    x: np.ndarray
    curves: dict
    title: str = ""
    xlabel: str = ANGLE
    ylabel: str = LOGIT
    band: tuple = ()


def target_logit(panels, *, title: str) -> Figure:
    """Return panels side by side: a quantity of a loss against the angle, 0 to 180 degrees, or against a length.

    Parameters
    ----------
    panels : sequence of Panel
        At least one.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is no panel, or a curve has not one finite value per x.

    Examples
    --------
    >>> degrees = np.linspace(0, 180, 181)
    >>> figure = target_logit([Panel(degrees, {"cosine": np.cos(np.radians(degrees))})], title="no margin")
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['cosine']
    """
    panels = list(panels)
    if not panels:
        raise UserError("target_logit: `panels` must have at least one panel, got none.")
    figure = style.figure(5.2 if len(panels) == 1 else 4.3 * len(panels), 4.6 if panels[0].band else 3.5)
    style.title(figure, title)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), number + 1)
        style.dress(axes, panel.title, panel.xlabel, panel.ylabel)
        _draw(axes, panel)
        if panel.band:
            style.legend_below(figure, axes, columns=1)
        else:
            style.legend(axes, loc="best")
    return figure


def _draw(axes, panel):
    x = np.asarray(panel.x, dtype=np.float64)
    for number, (name, values) in enumerate(panel.curves.items()):
        values = np.asarray(values, dtype=np.float64)
        if values.shape != x.shape or not np.isfinite(values).all():
            raise UserError(
                f"target_logit: curve {name!r} must have one finite value for each of the {x.size} x, got shape "
                f"{values.shape} with {int(np.isfinite(values).sum())} finite. Leave out what has no value."
            )
        color, dash = COLORS[number % len(COLORS)], DASHES[number % len(DASHES)]
        axes.plot(x, values, color=style.color(color), linestyle=dash, linewidth=2.0, label=name)
    if panel.xlabel == ANGLE:
        axes.set_xticks(range(0, 181, 30))
    elif not panel.band:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(x.min(), x.max())
    if panel.band:
        low, high, text = panel.band
        axes.axvspan(low, high, color="#dddddd", zorder=0, label=text)
