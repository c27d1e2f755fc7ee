"""Which class was taken for which."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lossbench.plots import style

# Beyond this many classes the numbers would be too small to read.
MAX_NUMBERS = 20
MAX_NAMES = 40


def confusion_matrix(matrix, *, title: str, class_names=None) -> Figure:
    """Return a picture of a confusion matrix, in percent of each true class.

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
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"confusion_matrix: `matrix` must have the shape (C, C), got {matrix.shape}.")
    count = len(matrix)
    members = matrix.sum(axis=1, keepdims=True)
    percent = 100 * matrix / np.maximum(members, 1)
    inches = float(np.clip(0.5 * count, 4.0, 9.0))
    figure = style.figure(inches + 1.8, inches + 0.9)
    axes = figure.add_subplot()
    style.dress(axes, title, "predicted class", "true class")
    axes.grid(False)
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    bar = figure.colorbar(image, ax=axes, shrink=0.85)
    bar.set_label("share of the true class (%)", fontsize=style.FONT_SIZE, color=style.TEXT)
    bar.ax.tick_params(labelsize=style.FONT_SIZE - 1)
    if count <= MAX_NAMES:
        texts = style.names(class_names, count)
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, texts)) > 3 else {}
        axes.set_xticks(range(count), texts, **turned)
        axes.set_yticks(range(count), texts)
    if count <= MAX_NUMBERS:
        for (row, column), value in np.ndenumerate(percent):
            if matrix[row, column]:
                axes.text(
                    column,
                    row,
                    _short(value),
                    ha="center",
                    va="center",
                    fontsize=style.FONT_SIZE - 2.5,
                    color="white" if value > 55 else style.TEXT,
                )
    return figure


def _short(percent):
    """Two or three characters: a hundred, one decimal below ten, no leading zero.

    Examples
    --------
    >>> [_short(value) for value in (100.0, 99.6, 12.4, 9.96, 0.25, 0.01)]
    ['100', '99.6', '12', '10', '.2', '<.1']
    """
    if percent >= 99.95:
        return "100"
    if percent >= 95:
        return f"{percent:.1f}"
    if percent >= 9.95:
        return f"{percent:.0f}"
    if percent < 0.05:
        return "<.1"
    return f"{percent:.1f}".lstrip("0")
