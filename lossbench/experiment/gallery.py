"""Galleries of a run: images with the training images that are nearest to them."""

from __future__ import annotations

import functools

import numpy as np

from lossbench import data, plots
from lossbench.errors import UserError
from lossbench.experiment import neighbors
from lossbench.experiment.opening import rows_of
from lossbench.experiment.picture_source import titled
from lossbench.plots import lettering

SEED = 0  # of the images that are shown: not the run's, so that runs show the same ones


class Gallery:
    """Draws rows of an image and its nearest training images.

    Parameters
    ----------
    opened : OpenedRun
    neighbors : int
        Training images in a row.
    count : int
        Most rows of a picture.
    show : bool
        Whether to show progress bars on the standard error.
    """

    def __init__(self, opened, neighbors=6, count=8, *, show=False):
        self.opened, self.model = opened, opened.model
        self.neighbors, self.count, self.show = neighbors, count, show
        self.names = lettering.legible(self.model.dataset.all_class_names)

    def of_split(self, split) -> dict:
        """Name of a picture -> its figure (None where there is nothing to show) and its rows as a table."""
        images = self.model.images(split)
        outputs = self.model.outputs(images, show=self.show)
        some = _in_turns(images.labels)[: self.count]
        drawn = {f"neighbors-{split}": self._draw(images, outputs, some, f"{split} images")}
        if split != "holdout":  # whose classes are never named
            taken, sure = _named(outputs["logits"])
            wrong = np.flatnonzero(taken != images.labels)
            surest = wrong[np.argsort(-sure[wrong], kind="stable")][: self.count]
            title = f"{len(wrong):,} of {len(images):,} {split} images are taken for another class, the surest first"
            drawn[f"mistakes-{split}"] = self._draw(images, outputs, surest, title)
        return drawn

    def of_files(self, paths) -> dict:
        """The same of image files, whose class is not known."""
        shown, dataset = paths[: self.count], self.model.dataset
        pixels = data.read_images(shown, dataset.image_shape, dataset.background)
        images = data.Split(pixels, np.full(len(shown), -1, np.int32), np.array([str(path) for path in shown]))
        title = f"{len(shown):,} of {len(paths):,} images" if len(shown) < len(paths) else "images"
        return {"neighbors-own": self._draw(images, self.model.outputs(images), np.arange(len(shown)), title)}

    def _draw(self, images, outputs, chosen, title):
        if not len(chosen):
            return None, []
        rows, near = neighbors.nearest(self.opened, outputs["embedding"][chosen], self.training, self.neighbors)
        measure = neighbors.measure(self.opened)
        drawn, table = [], [["image", "class", "taken for", "nearest", "its class", neighbors.MEASURES[measure]]]
        for one, taken, sure, found, values in zip(chosen, *_named(outputs["logits"][chosen]), rows, near):
            label = int(images.labels[one])
            drawn.append([self._first(images.images[one], label, taken, sure)])
            drawn[-1] += [self._neighbor(row, value, label) for row, value in zip(found, values)]
            names = self.model.dataset.all_class_names
            own = [str(one if images.names is None else images.names[one]), names[label] if label >= 0 else "-"]
            nearest = [str(self.training.name[found[0]]), names[self.training.label[found[0]]], f"{values[0]:.4g}"]
            table.append([*own, names[taken], *nearest])
        note = f"Left: the image; beside it the nearest training images and their {_SAID[measure]}."
        title = titled(self.opened.run.name, title, self.opened.checkpoint)
        return plots.gallery(drawn, title=title, note=note), table

    def _first(self, image, label, taken, probability):
        if label < 0:
            return plots.Tile(image, f"taken for {self.names[taken]}", f"{100 * probability:.0f} % sure")
        is_wrong = taken != label and label < self.model.dataset.num_classes
        return plots.Tile(image, self.names[label], f"taken for {self.names[taken]}" if is_wrong else "")

    def _neighbor(self, row, value, label):
        own = int(self.training.label[row])
        return plots.Tile(self.pixels[row], self.names[own], f"{value:.3g}", own == label if label >= 0 else None)

    @functools.cached_property
    def training(self):
        return neighbors.training(self.opened, show=self.show)

    @functools.cached_property
    def pixels(self):
        """The training images, which are those of `training`."""
        found = self.model.images("train").images
        if len(found) != len(self.training.label):
            kept = f"{len(self.training.label):,} kept embeddings"
            raise UserError(
                f"run: {self.opened.run.path} must have {kept} of {len(found):,} images. Run embed --keep anew."
            )
        return found


_SAID = {"cosine": "cosine to it", "euclidean": "distance from it"}


def _named(logits) -> tuple:
    """The class that each image is taken for (N,), and its probability (N,)."""
    named = [(row.argmax(), 1 / np.exp(row - row.max()).sum()) for row in rows_of(logits)]
    return tuple(np.array(values) for values in zip(*named))


def _in_turns(labels):
    """All positions in a seeded order in which the classes take turns.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1, 1, 2])
    >>> labels[_in_turns(labels)].tolist()
    [0, 1, 2, 0, 1, 0]
    """
    order = np.random.default_rng(SEED).permutation(len(labels))
    turn = np.empty(len(labels), int)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turn[own] = np.arange(len(own))
    return np.lexsort((labels, turn))
