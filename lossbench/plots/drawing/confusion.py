"""Which class was taken for which."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lossbench.plots.checks import CannotDraw
from lossbench.plots.drawing import style

# Beyond this many classes numbers and names would be too small to read, and mistakes too pale to see.
MAX_NUMBERS = 20
MAX_INCHES = 6.2
CONFUSIONS = 3


def confusion_matrix(matrix, *, title: str, class_names=None) -> Figure:
    """Return a picture of a confusion matrix, in percent of each true class.

    Beyond 20 classes it has no numbers; colors then follow the square root, so that rare mistakes are seen, and the
    most frequent ones are written below.

    Parameters
    ----------
    matrix : (C, C) array
        How often each class (row) was predicted as each class (column).
    title : str
    class_names : sequence of str, optional
        Default: the class ids.

    Returns
    -------
    matplotlib.figure.Figure
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise CannotDraw(f"confusion_matrix: `matrix` must have the shape (C, C), got {matrix.shape}.")
    count = len(matrix)
    percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    texts = style.names(class_names, count)
    few = count <= MAX_NUMBERS
    inches = float(np.clip(0.5 * count, 4.0, MAX_INCHES))
    figure = style.figure(inches + 1.8, inches + 0.9)
    axes = figure.add_subplot()
    style.dress(axes, title, "predicted class", "true class")
    axes.grid(False)
    norm = None if few else PowerNorm(0.5, 0, 100)
    image = axes.imshow(percent, cmap="Blues", norm=norm, **({"vmin": 0, "vmax": 100} if few else {}))
    bar = figure.colorbar(image, ax=axes, shrink=0.85)
    bar.set_label("share of the true class (%)", fontsize=style.FONT_SIZE, color=style.TEXT)
    bar.ax.tick_params(labelsize=style.FONT_SIZE - 1)
    if few:
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, texts)) > 3 else {}
        axes.set_xticks(range(count), texts, **turned)
        axes.set_yticks(range(count), texts)
        _write_numbers(axes, matrix, percent)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
        words = _most_confused(matrix, percent, texts)
        axes.set_xlabel(f"predicted class\n{style.lines(figure, words)}".rstrip())
    return figure


def _write_numbers(axes, matrix, percent):
    for (row, column), value in np.ndenumerate(percent):
        if matrix[row, column]:
            look = {"fontsize": style.FONT_SIZE - 2, "color": "white" if value > 55 else style.TEXT}
            axes.text(column, row, _short(value), ha="center", va="center", **look)


def _most_confused(matrix, percent, texts):
    """Return a line on the classes that are most often taken for another, empty where none is."""
    wrong = np.where(np.eye(len(matrix), dtype=bool), 0, percent)
    largest = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [divmod(int(place), len(matrix)) for place in largest if wrong.flat[place] > 0]
    lines = [f"{texts[true]} as {texts[taken]} ({_short(wrong[true, taken])} %)" for true, taken in pairs]
    return f"most often: {', '.join(lines)}" if lines else ""


def _short(percent):
    """Two to four characters: a hundred, one decimal below ten.

    Examples
    --------
    >>> [_short(value) for value in (100.0, 99.6, 12.4, 9.96, 0.25, 0.01)]
    ['100', '99.6', '12', '10', '0.2', '<0.1']
    """
    if percent >= 99.95:
        return "100"
    if percent >= 95:
        return f"{percent:.1f}"
    if percent >= 9.95:
        return f"{percent:.0f}"
    if percent < 0.05:
        return "<0.1"
    return f"{percent:.1f}"
