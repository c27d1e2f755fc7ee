"""How a cost grows with a size."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from lossbench.errors import UserError
from lossbench.plots.drawing import style


def scaling(panels, *, title: str) -> Figure:
    """Return panels of cost against size, both axes logarithmic; a dotted line is proportional to the size.

    Parameters
    ----------
    panels : list of dict
        `xlabel`, `ylabel`, and `lines`: name -> (sizes, values), each at least two and positive.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    if not panels or not all(panel["lines"] for panel in panels):
        raise UserError("scaling: `panels` must each have a line, got none. Measure a size first.")
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = style.figure(4.1 * columns, 0.5 + 3.3 * rows)
    style.title(figure, title)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        style.dress(axes, "", panel["xlabel"], panel["ylabel"])
        for k, (name, (sizes, values)) in enumerate(panel["lines"].items()):
            line = ("-", "--", "-.")[k % 3]
            axes.plot(sizes, values, line, color=style.color(2 * k), marker=style.MARKERS[k], markersize=5, label=name)
        sizes, values = next(iter(panel["lines"].values()))
        proportional = [values[-1] * size / sizes[-1] for size in sizes]
        axes.plot(sizes, proportional, ":", color="#888888", label="proportional")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
    style.legend_below(figure, axes)
    return figure
