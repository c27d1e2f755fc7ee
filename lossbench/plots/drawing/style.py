"""What all figures share: colors, fonts, titles, files. No pyplot, so that nothing leaks into the caller's figures."""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from pathlib import Path

import matplotlib.colors
import numpy as np
from matplotlib import patheffects
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lossbench import atomic, paths
from lossbench.plots import lettering

# Ten colors that people with color-vision deficiencies tell apart: M. A. Petroff, "Accessible color sequences for data
# visualization", arXiv 2107.02270. More classes repeat them with other markers.
COLORS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

TEXT = "#222222"
GRID = "#dddddd"
FONT_SIZE = 11
DOTS_PER_INCH = 150
LETTERS_PER_INCH = 9.3
DATES = {"svg": "Date", "pdf": "CreationDate"}  # left out, so that a picture drawn twice is the same
HALO = (patheffects.withStroke(linewidth=2.5, foreground="white"),)


def figure(width: float = 6.4, height: float = 5.2) -> Figure:
    """Return an empty figure of that many inches, drawn without a display."""
    empty = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    FigureCanvasAgg(empty)
    return empty


def dress(axes, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Give axes a title, labels and this package's look."""
    axes.set_title(plain(lines(axes.figure, title)), fontsize=FONT_SIZE + 1, color=TEXT)
    axes.set_xlabel(plain(xlabel), fontsize=FONT_SIZE, color=TEXT)
    axes.set_ylabel(plain(ylabel), fontsize=FONT_SIZE, color=TEXT)
    axes.tick_params(labelsize=FONT_SIZE - 1, color=GRID, labelcolor=TEXT)
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#999999")


def title(figure, text: str) -> None:
    """Give a figure of several axes its title."""
    figure.suptitle(plain(lines(figure, text)), fontsize=FONT_SIZE + 2, color=TEXT)


def lines(figure, text: str) -> str:
    """Return a text in lines that lie within the figure in any of this package's sizes."""
    return textwrap.fill(text, int(figure.get_figwidth() * LETTERS_PER_INCH))


def legend(axes, **where) -> None:
    """Show what is labeled in the axes, if anything is."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=FONT_SIZE - 1, framealpha=0.85, edgecolor=GRID, labelcolor=TEXT, **where)


def legend_below(figure, axes, columns: int = 3) -> None:
    """Show what is labeled in the axes below them, where it covers nothing."""
    handles, texts = axes.get_legend_handles_labels()
    if texts:
        look = {"fontsize": FONT_SIZE - 1, "frameon": False, "labelcolor": TEXT, "ncols": min(columns, len(texts))}
        figure.legend(handles, texts, loc="outside lower center", **look)


def color(number: int) -> str:
    """Return the color of the class or line with that number.

    Examples
    --------
    >>> color(0) == color(10)
    True
    """
    return COLORS[number % len(COLORS)]


def marker(number: int) -> str:
    """Return the marker of a class; classes of one color have different ones.

    Examples
    --------
    >>> marker(0) == marker(9), marker(0) == marker(10)
    (True, False)
    """
    return MARKERS[number // len(COLORS) % len(MARKERS)]


def mixed(number: int, other: str, share: float) -> tuple:
    """Return a class's color mixed with a share of another color."""
    own, added = (np.array(matplotlib.colors.to_rgb(name)) for name in (color(number), other))
    return tuple((1 - share) * own + share * added)


@contextlib.contextmanager
def any_letters():
    """Draw without a warning class names in letters that the font lacks; they become boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s)Glyph .* missing from|.*does not have a glyph")
        yield


def names(class_names, num_classes: int, line: int = lettering.MOST_LETTERS) -> list[str]:
    """Return the class names as matplotlib takes them for text, the class ids where there are none.

    A name in letters that the font lacks would be boxes, all alike: the class id stands for it. A long one is shortened
    in its middle, or it would leave no place for the picture, and broken into lines of at most `line` letters.

    Examples
    --------
    >>> names(["$1", "cat", chr(0x732B)], 3)
    ['\\\\$1', 'cat', 'class 2']
    """
    found = lettering.legible(range(num_classes) if class_names is None else class_names)
    return [plain(textwrap.fill(lettering.short(name), line)) for name in found]


def plain(text) -> str:
    """Return a text as matplotlib draws it letter by letter: between two dollar signs it would read mathematics."""
    return str(text).replace("$", r"\$")


def save(figure, path, dpi: int = DOTS_PER_INCH) -> Path:
    """Write a figure to a file, whole or not at all; the ending names the format.

    Parameters
    ----------
    figure : matplotlib.figure.Figure or Animation
    path : path
        Ends in .png, .svg or .pdf; .gif for an animation.
    dpi : int
        Dots per inch of a .png, and of the points in the other formats.

    Returns
    -------
    Path
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    paths.require_file(path)
    kind = path.suffix[1:]
    same = {"metadata": {DATES[kind]: None}} if kind in DATES else {}
    with atomic.writing(path) as file, any_letters(), matplotlib.rc_context({"svg.hashsalt": "lossbench"}):
        figure.savefig(file, format=kind, dpi=dpi, **same)
    return path
