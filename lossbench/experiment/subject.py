"""A model as evaluation sees it, and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossbench import attacks, evaluation
from lossbench.data import foreign, pair_file


@dataclass
class Pixels:
    """A split whose images are floating point pixels in [0, 1]."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.images)


class Subject:
    """The `evaluation.subject.Subject` of a `Model`."""

    def __init__(self, model):
        self.model = model
        self.images, self.description, self.centers = model.images, model.description, model.centers
        section = model.evaluation
        self.k, self.pair_count, self.max_memory_gb = section.k, section.pairs, section.max_memory_gb
        self.source, self.num_classes = model.source, model.dataset.num_classes

    @property
    def is_density(self) -> bool:
        return self.model.head.metric == "density"

    def outputs(self, images, show):
        return self.model.outputs(images, show=show)

    def pair_file(self, path):
        dataset = self.model.dataset
        is_one = str(path).endswith(pair_file.SUFFIX)
        return pair_file.read(path, dataset.image_shape, dataset.background) if is_one else None

    def has_files_of(self, source) -> bool:
        return foreign.is_present(source)

    def foreign_images(self, source):
        return foreign.test_images(source, self.model.dataset.image_shape)

    def attack(self, images, label, show):
        model = self.model
        gradient = attacks.input_gradient(
            model.backbone,
            model.head,
            images,
            label,
            model.dataset.mean,
            model.dataset.std,
            batch_size=model.evaluation.batch_size,
            progress=show,
        )
        return lambda size: Pixels(attacks.move(images, gradient, size), label)


def measure(model, splits, methods, **options) -> dict:
    """Return the metrics of a model's splits by the named methods; options as of `evaluation.measure`."""
    return evaluation.measure(Subject(model), splits, methods, **options)
