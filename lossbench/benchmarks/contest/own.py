"""lossbench itself, from a config like any user's."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

from lossbench import _mxnet, config, data
from lossbench._mxnet import mx
from lossbench.benchmarks.contest.task import LGM, NUM_CLASSES, OPTIMIZER
from lossbench.experiment import Model, new_batches, new_trainer


def settings(task, precision: str = "float32") -> config.Config:
    """The config of a task."""
    content = {
        "data": {"source": "synthetic", "batch_size": task.batch_size, "augment": task.augment},
        "backbone": {"name": task.network},
        "head": {"name": task.loss, **(LGM if task.loss == "lgm" else {})},
        "optimizer": {"name": "nag", **OPTIMIZER},
        "trainer": {"epochs": 1, "precision": precision},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "contest.yaml"
        path.write_text(json.dumps(content))
        return config.load(path)


class Contestant:
    """Steps of a task: `whole` with the data path, `bare` on one batch that is in memory."""

    def __init__(self, task, precision: str = "float32"):
        images, labels, mean, std = task.arrays()
        split, names = data.Split(images, labels), [str(label) for label in range(NUM_CLASSES)]
        dataset = data.Dataset(
            train=split, test=split, num_classes=NUM_CLASSES, class_names=names, mean=tuple(mean), std=tuple(std)
        )
        self._start(settings(task, precision), dataset)

    @classmethod
    def of(cls, chosen, device="auto") -> Contestant:
        """The same of a user's config."""
        contestant = cls.__new__(cls)
        contestant._start(chosen, data.load(chosen.data, chosen.seed), device)
        return contestant

    def _start(self, chosen, dataset, device="cpu"):
        self.model = Model(chosen, dataset, _mxnet.devices(device), for_training=True)
        batches = new_batches(chosen, dataset)
        self.trainer = new_trainer(chosen, self.model, batches)
        self._stream = itertools.chain.from_iterable(batches.epoch(epoch) for epoch in itertools.count(1))
        self._batch = next(self._stream)

    def step(self, kind: str) -> int:
        """One update, not waited for; returns its number of images."""
        trainer = self.trainer
        chunk = [next(self._stream) if kind == "whole" else self._batch for _ in range(trainer.accumulate_steps)]
        return trainer.update(chunk, 1, trainer.step)

    def wait(self) -> None:
        mx.nd.waitall()

    def close(self) -> None:
        self._stream = None
