"""Rows of small images: what was looked for, and what was found beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lossbench.plots import lettering
from lossbench.plots.checks import CannotDraw
from lossbench.plots.drawing import style

SIDE, LINE, GAP = 1.0, 0.16, 0.2  # inches: longer side of an image, a line of text, the space between images
FIRST = 1.7  # width of the first column, whose texts are the longer ones
LETTERS, LETTERS_OF_FIRST = 18, 28
FONT_SIZE = 7.5
# told apart by the kind of line and by a sign as well as by the color
SAME = {"edgecolor": style.color(0), "linestyle": "-", "linewidth": 2.0}
OTHER = {"edgecolor": style.color(2), "linestyle": (0, (2, 1)), "linewidth": 2.5}


class Tile(NamedTuple):
    """One image of a row."""

    image: np.ndarray
    """(1 or 3, H, W) uint8."""
    text: str
    """Its class."""
    note: str = ""
    """A second line."""
    same: bool | None = None
    """Whether it is of the class that the row begins with; None where that is not known."""


def gallery(rows, *, title: str, note: str = "") -> Figure:
    """Return a picture of rows of images; the first of a row stands apart.

    An image of the first one's class has a solid blue frame and an equals sign, one of another class a dashed red
    frame and a crossed one.

    Parameters
    ----------
    rows : sequence of sequences of Tile
    title : str
    note : str
        What the second lines say, written below.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    CannotDraw
        If there is no row.
    """
    if not rows:
        raise CannotDraw("gallery: `rows` must have at least one row, got none.")
    _, high, wide = rows[0][0].image.shape
    scale = SIDE / max(high, wide)
    down = high * scale + 2 * LINE + 1.5 * GAP
    width, height = FIRST + (max(map(len, rows)) - 1) * (SIDE + GAP), len(rows) * down
    figure = style.figure(max(width, 4.5), height + 0.9)
    axes = figure.add_subplot()
    axes.set_axis_off()
    for number, row in enumerate(rows):
        top = height - number * down - GAP / 2
        for place, tile in enumerate(row):
            middle = FIRST / 2 if place == 0 else FIRST + (place - 0.5) * (SIDE + GAP)
            letters = LETTERS_OF_FIRST if place == 0 else LETTERS
            _draw(axes, tile, middle, top, (wide * scale, high * scale), letters)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_aspect("equal")
    axes.set_title(style.plain(style.lines(figure, title)), fontsize=style.FONT_SIZE + 1, color=style.TEXT)
    signs = "Solid frame and =: of the first one's class. Dashed frame and \u2260: of another class."
    is_judged = any(tile.same is not None for row in rows for tile in row)
    words = "\n".join(filter(None, (note, signs if is_judged else "")))
    figure.supxlabel(style.plain(words), fontsize=FONT_SIZE + 0.5, color=style.TEXT)
    return figure


def _draw(axes, tile, middle, top, size, letters):
    left, bottom = middle - size[0] / 2, top - size[1]
    pixels = tile.image[0] if len(tile.image) == 1 else tile.image.transpose(1, 2, 0)
    axes.imshow(pixels, extent=(left, left + size[0], bottom, top), cmap="gray", vmin=0, vmax=255)
    look = {None: {"edgecolor": "#999999", "linewidth": 0.6}, True: SAME, False: OTHER}[tile.same]
    axes.add_patch(Rectangle((left, bottom), *size, fill=False, **look))
    sign = {None: "", True: "= ", False: "\u2260 "}[tile.same]
    for line, text in enumerate((sign + tile.text, tile.note)):
        look = {"fontsize": FONT_SIZE, "color": style.TEXT, "ha": "center", "va": "top"}
        axes.text(middle, bottom - 0.06 - LINE * line, style.plain(lettering.short(text, letters)), **look)
