"""Plain Gluon, as one finds it in training scripts: gluoncv's network, a DataLoader with transforms for each image."""

from __future__ import annotations

import os

import numpy as np

from lossbench._mxnet import mx
from lossbench.benchmarks.contest.task import LGM, NUM_CLASSES, OPTIMIZER, Missing

gluon, nn = mx.gluon, mx.gluon.nn


class Images(gluon.data.Dataset):
    """Like gluon.data.vision.CIFAR10: one array of images, height x width x channels, and the labels."""

    def __init__(self, images, labels):
        self._images, self._labels = mx.nd.array(images.transpose(0, 2, 3, 1), dtype="uint8"), labels

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, k):
        return self._images[k], self._labels[k]


class LeNet(gluon.HybridBlock):
    """LeNet++ of Gluon's own layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            for channels in (32, 64, 128):
                for _ in range(2):
                    self.features.add(nn.Conv2D(channels, 5, padding=2), nn.PReLU())
                self.features.add(nn.MaxPool2D(2, 2))
            self.features.add(nn.Flatten(), nn.Dense(2))
            self.output = nn.Dense(NUM_CLASSES, use_bias=False)

    def hybrid_forward(self, F, x):
        return self.output(self.features(x))


def _network(task):
    if task.network == "lenet":
        return LeNet()
    from lossbench.backbones import zoo

    try:
        return zoo._network("cifar_resnet20_v1")
    except ValueError as error:
        raise Missing("gluoncv is not installed") from error


def _lgm(task):
    try:
        from gluonfr.loss import LGMLoss
    except ImportError as error:
        raise Missing("gluonfr, whose LGMLoss would be taken, is not installed") from error
    return LGMLoss(
        NUM_CLASSES, task.embedding_size, alpha=LGM["margin"], lamda=LGM["likelihood_weight"] / 2, lr_mult=0.01
    )


class Contestant:
    """The usual loop: hybridized network, loss, `Trainer`, metrics after every batch."""

    def __init__(self, task):
        self.network = _network(task)
        self.loss = gluon.loss.SoftmaxCrossEntropyLoss() if task.loss == "softmax" else _lgm(task)
        self._forward = self.network if task.loss == "softmax" else self.network.features
        self._embeds = task.loss != "softmax"
        for block in (self.network, self.loss):
            block.initialize(mx.init.Xavier())
            block.hybridize()
        if self._embeds:
            self._forward.hybridize()
        parameters = self._forward.collect_params()
        parameters.update(self.loss.collect_params())
        names = {"learning_rate": "learning_rate", "momentum": "momentum", "wd": "weight_decay"}
        self.trainer = gluon.Trainer(parameters, "nag", {key: OPTIMIZER[name] for key, name in names.items()})
        self.metrics = mx.metric.Accuracy(), mx.metric.Loss()
        images, labels, mean, std = task.arrays()
        self._loader = gluon.data.DataLoader(
            Images(images, labels).transform_first(_transforms(task, mean, std)),
            task.batch_size,
            shuffle=True,
            last_batch="discard",
            num_workers=len(os.sched_getaffinity(0)),
        )
        self._stream, self._loss = iter(()), None
        image = (images[: task.batch_size] / 255 - mean.reshape(1, -1, 1, 1)) / std.reshape(1, -1, 1, 1)
        self._batch = mx.nd.array(image, dtype="float32"), mx.nd.array(labels[: task.batch_size], dtype="float32")

    def _next(self):
        batch = next(self._stream, None)
        if batch is None:
            self._stream = iter(self._loader)
            batch = next(self._stream)
        image, label = (array.as_in_context(mx.cpu()) for array in batch)
        return image, label.astype("float32")

    def step(self, kind: str) -> int:
        image, label = self._next() if kind == "whole" else self._batch
        with mx.autograd.record():
            output = self._forward(image)
            if self._embeds:
                loss, output = self.loss(output.flatten(), label)
            else:
                loss = self.loss(output, label)
        loss.backward()
        self.trainer.step(len(label))
        # At most one step ahead of the engine: minutes of steps could be queued in the seconds of a turn.
        ahead, self._loss = self._loss, loss
        if ahead is not None:
            ahead.wait_to_read()
        if kind == "whole":
            self.metrics[0].update(label, output)
            self.metrics[1].update(0, loss)
        return len(label)

    def wait(self) -> None:
        mx.nd.waitall()

    def close(self) -> None:
        self._stream = self._loader = None


def _transforms(task, mean, std):
    transforms = gluon.data.vision.transforms
    augment = []
    if task.augment["pad"]:
        from gluoncv.data import transforms as gluoncv_transforms

        augment.append(gluoncv_transforms.RandomCrop(32, pad=task.augment["pad"]))
    if task.augment["flip"]:
        augment.append(transforms.RandomFlipLeftRight())
    normalize = transforms.Normalize(np.asarray(mean, float).tolist(), np.asarray(std, float).tolist())
    return transforms.Compose([*augment, transforms.ToTensor(), normalize])
