"""What a training did over its epochs."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lossbench.plots.checks import CannotDraw
from lossbench.plots.drawing import style

PANEL_INCHES = (3.7, 2.5)
ACCURACIES = {"accuracy": "train", "validation_accuracy": "validation", "test_accuracy": "test"}


def training_curves(rows, *, title: str, units=None) -> Figure:
    """Return panels of loss, accuracy, learning rate and every scheduled value over the epochs.

    Parameters
    ----------
    rows : sequence of dict
        The rows of a run's `history.jsonl`: `epoch`, and of `loss`, `accuracy`, `validation_accuracy`,
        `test_accuracy`, `learning_rate` and scheduled values (keys with a dot, like `head.margin`) what there is.
    title : str
    units : dict, optional
        Key of a scheduled value -> its unit.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    CannotDraw
        If there are no rows, or none with anything to draw.
    """
    rows = list(rows)
    if not rows:
        raise CannotDraw("training_curves: `rows` must have at least one epoch, got none.")
    present = list(dict.fromkeys(key for row in rows for key in row))
    panels = [("training loss per image", {"loss": ""}), ("accuracy (%)", ACCURACIES)]
    panels.append(("learning rate", {"learning_rate": ""}))
    panels += [(_spoken(key, (units or {}).get(key)), {key: ""}) for key in present if "." in key]
    panels.append(("log variance", {"log_variance_min": "smallest", "log_variance_max": "largest"}))
    panels = [(unit, {k: v for k, v in keys.items() if k in present}) for unit, keys in panels]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        raise CannotDraw("training_curves: `rows` must hold a loss, accuracy or learning rate, got none.")

    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure = style.figure(PANEL_INCHES[0] * columns, 0.5 + PANEL_INCHES[1] * lines)
    style.title(figure, title)
    for number, (unit, keys) in enumerate(panels):
        axes = figure.add_subplot(lines, columns, number + 1)
        style.dress(axes, "", "epoch", unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
        if len({row["epoch"] for row in rows}) == 1:
            epoch = rows[0]["epoch"]
            axes.set(xlim=(epoch - 0.5, epoch + 0.5), xticks=[epoch])
        _draw(axes, rows, keys, 100 if keys.keys() & ACCURACIES.keys() else 1)
        style.legend(axes)
    return figure


def _draw(axes, rows, keys, factor):
    drawn = []
    for number, (key, text) in enumerate(keys.items()):
        points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
        epoch, value = np.array(points, dtype=np.float64).T
        marker = "o" if len(points) < 40 else None
        line = ("-", "--", ":")[number % 3]
        axes.plot(
            epoch,
            factor * value,
            line,
            color=style.color(2 * number),
            marker=marker,
            markersize=3.5,
            label=text or None,
        )
        drawn.append(value[np.isfinite(value)])
    values = np.concatenate(drawn)
    # A range that a linear axis would flatten, and not just the last step to zero; accuracies stay linear.
    if factor == 1 and len(values) and values.min() > 0 and values.max() > 50 * np.quantile(values, 0.1):
        axes.set_yscale("log")


def _spoken(key, unit=None):
    text = key.replace(".", " ").replace("_", " ")
    return f"{text} ({unit})" if unit else text
