"""A training as a moving picture: the embeddings of every epoch, one frame each."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from lossbench.plots import checks
from lossbench.plots.drawing import classes, style
from lossbench.plots.drawing.embeddings import AXIS_LABELS, ray_ends

MAX_FRAMES = 60
MAX_POINTS = 2_000
DOTS_PER_INCH = 100
SECONDS_A_FRAME = 0.5
SECONDS_OF_THE_LAST = 2.5


def animation(
    frames, *, titles, class_names=None, directions: bool = False, prototype_name: str = "class center",
    axis_labels=AXIS_LABELS,
) -> Animation:  # fmt: skip
    """Return a moving picture of two-dimensional embeddings, the axes the same in every frame.

    Parameters
    ----------
    frames : sequence of dict
        A frame each: `embedding` (N, 2), `label` (N,) and `prototypes` (C, 2). At most 2,000 points are drawn, the
        same rows in every frame, and at most 60 frames, evenly spaced from the first to the last.
    titles : sequence of str
        One for each frame.
    class_names : sequence of str, optional
        Default: the class ids.
    directions : bool
        Whether prototypes are rays from the origin.
    prototype_name : str
        What the legend calls a prototype.
    axis_labels : pair of str

    Returns
    -------
    Animation
        `save` writes it as a .gif.

    Raises
    ------
    CannotDraw
        If there are no frames, or embeddings that are not two-dimensional or not finite.
    """
    frames, titles = list(frames), list(titles)
    if not frames:
        raise checks.CannotDraw("animation: `frames` must have at least one epoch, got none.")
    kept = np.unique(np.linspace(0, len(frames) - 1, min(MAX_FRAMES, len(frames))).round().astype(int))
    drawn = []
    for number in kept:
        embedding, label = checks.points("animation", frames[number]["embedding"], frames[number]["label"])
        chosen = np.random.default_rng(0).permutation(len(embedding))[:MAX_POINTS]
        prototypes = np.asarray(frames[number]["prototypes"], np.float64)
        if directions:
            prototypes = ray_ends(embedding, prototypes)
        drawn.append((embedding[chosen], label[chosen], prototypes, titles[number]))
    look = {"class_names": class_names, "directions": directions, "axis_labels": axis_labels}
    return Animation(drawn, _limits(drawn), {**look, "prototype_name": prototype_name})


def _limits(drawn):
    """Return the middle and half the side of the square that holds nearly all points and all prototypes."""
    lows, highs = [], []
    for embedding, _, prototypes, _ in drawn:
        lows.append(np.minimum(np.quantile(embedding, 0.003, axis=0), prototypes.min(axis=0)))
        highs.append(np.maximum(np.quantile(embedding, 0.997, axis=0), prototypes.max(axis=0)))
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    return (low + high) / 2, 0.56 * max((high - low).max(), 1e-6)


class Animation:
    """Frames that are drawn when they are saved."""

    def __init__(self, drawn, limits, look):
        self._drawn, self._limits, self._look = drawn, limits, look

    def __len__(self):
        return len(self._drawn)

    def figure(self, number: int):
        """Return one frame as a matplotlib Figure."""
        embedding, label, prototypes, title = self._drawn[number]
        figure = style.figure(6.0, 6.2)
        axes = figure.add_subplot()
        style.dress(axes, title, *self._look["axis_labels"])
        middle, half = self._limits
        axes.set_aspect("equal")
        axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
        classes.draw_points(axes, embedding, label, size=6)
        if self._look["directions"]:
            classes.draw_rays(axes, prototypes, self._look["prototype_name"])
        else:
            classes.mark(axes, prototypes, self._look["prototype_name"])
        style.legend_below(figure, axes)
        where, above = (1.07 * prototypes, 0) if self._look["directions"] else (prototypes, 8)
        classes.name(axes, np.arange(len(prototypes)), where, self._look["class_names"], above)
        return figure

    def savefig(self, file, *, format="gif", dpi=None) -> None:
        """Write all frames to a GIF that repeats for ever."""
        images = [self._image(number) for number in range(len(self))]
        palette = _palette()  # one for all frames, so that nothing flickers
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
        times = [round(1000 * SECONDS_A_FRAME)] * (len(images) - 1) + [round(1000 * SECONDS_OF_THE_LAST)]
        images[0].save(file, format=format, save_all=True, append_images=images[1:], duration=times, loop=0, disposal=1)

    def _image(self, number):
        buffer = io.BytesIO()
        with style.any_letters():
            self.figure(number).savefig(buffer, format="png", dpi=DOTS_PER_INCH)
        return Image.open(buffer).convert("RGB")


def _palette():
    """Return an image with the colors that a frame is made of: each class's, paler and darker, and grays."""
    colors = [(level, level, level) for level in np.linspace(0, 1, 26)]
    for number in range(len(style.COLORS)):
        colors += [style.mixed(number, "white", share) for share in np.linspace(0, 0.9, 13)]
        colors += [style.mixed(number, "black", share) for share in np.linspace(0.1, 0.8, 8)]
    palette = Image.new("P", (1, 1))
    palette.putpalette((255 * np.array(colors)).round().astype(int).ravel().tolist())
    return palette
