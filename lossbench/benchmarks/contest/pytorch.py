"""PyTorch on the CPU: channels last, DataLoader with workers, transforms for each image as torchvision has them."""

from __future__ import annotations

import os
import random

import numpy as np
from PIL import Image, ImageOps

from lossbench.benchmarks.contest.task import LGM, NUM_CLASSES, OPTIMIZER, Missing

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise Missing("PyTorch is not installed") from error


class BasicBlock(nn.Module):
    def __init__(self, in_channels, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = nn.Sequential()
        if in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        out = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return functional.relu(self.bn2(self.conv2(out)) + self.downsample(x), inplace=True)


def resnet20():
    """The layers of lossbench's ResNet-20."""
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)], 16
    for stage, width in enumerate((16, 32, 64)):
        for block in range(3):
            layers.append(BasicBlock(channels, width, 2 if stage and not block else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def lenet():
    layers, channels = [], 1
    for width in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 5, padding=2), nn.PReLU(width)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 9, 2))


class LGM_(nn.Module):
    """L-GM with unit variance, as PyTorch ports write it."""

    def __init__(self, embedding_size):
        super().__init__()
        self.mean = nn.Parameter(torch.randn(NUM_CLASSES, embedding_size))

    def forward(self, embedding, label):
        distance = torch.cdist(embedding, self.mean, compute_mode="use_mm_for_euclid_dist").square() / 2
        own = functional.one_hot(label, NUM_CLASSES)
        loss = functional.cross_entropy(-distance * (1 + LGM["margin"] * own), label)
        return loss + LGM["likelihood_weight"] / 2 * (distance * own).sum(1).mean(), -distance


class Softmax(nn.Module):
    def __init__(self, embedding_size):
        super().__init__()
        self.output = nn.Linear(embedding_size, NUM_CLASSES, bias=False)

    def forward(self, embedding, label):
        logits = self.output(embedding)
        return functional.cross_entropy(logits, label), logits


class Images(torch.utils.data.Dataset):
    """Like torchvision.datasets.CIFAR10 with RandomCrop, RandomHorizontalFlip, ToTensor and Normalize."""

    def __init__(self, images, labels, mean, std, pad, flip):
        images = images.transpose(0, 2, 3, 1)
        self.images, self.labels = np.ascontiguousarray(images[..., 0] if images.shape[3] == 1 else images), labels
        self.mean, self.std = (torch.tensor(value, dtype=torch.float32).view(-1, 1, 1) for value in (mean, std))
        self.pad, self.flip = pad, flip

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, k):
        image = Image.fromarray(self.images[k])
        if self.pad:
            width, height = image.size
            left, top = random.randint(0, 2 * self.pad), random.randint(0, 2 * self.pad)
            image = ImageOps.expand(image, self.pad).crop((left, top, left + width, top + height))
        if self.flip and random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        array = np.array(image)
        tensor = torch.from_numpy(array[..., None] if array.ndim == 2 else array).permute(2, 0, 1).contiguous()
        return tensor.to(torch.float32).div(255).sub_(self.mean).div_(self.std), int(self.labels[k])


class Contestant:
    """The usual loop: loss and right answers are read after every batch; bfloat16 by PyTorch's own `autocast`."""

    def __init__(self, task, precision: str = "float32"):
        self._autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.backbone = (resnet20() if task.network == "resnet20" else lenet()).to(memory_format=torch.channels_last)
        self.head = (Softmax if task.loss == "softmax" else LGM_)(task.embedding_size)
        parameters = [*self.backbone.parameters(), *self.head.parameters()]
        options = {"lr": OPTIMIZER["learning_rate"], "momentum": OPTIMIZER["momentum"]}
        self.optimizer = torch.optim.SGD(parameters, **options, weight_decay=OPTIMIZER["weight_decay"], nesterov=True)
        images, labels, mean, std = task.arrays()
        self._loader = torch.utils.data.DataLoader(
            Images(images, labels, mean, std, **task.augment),
            task.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=len(os.sched_getaffinity(0)),
            persistent_workers=True,
        )
        self._stream = iter(())
        rows = [self._loader.dataset[k] for k in range(task.batch_size)]
        self._batch = torch.stack([row[0] for row in rows]), torch.tensor([row[1] for row in rows])
        self.loss_sum = self.right = 0.0

    def _next(self):
        batch = next(self._stream, None)
        if batch is None:
            self._stream = iter(self._loader)
            batch = next(self._stream)
        return batch

    def step(self, kind: str) -> int:
        image, label = self._next() if kind == "whole" else self._batch
        self.optimizer.zero_grad()
        with self._autocast:
            embedding = self.backbone(image.to(memory_format=torch.channels_last))
        loss, logits = self.head(embedding.float(), label)
        loss.backward()
        self.optimizer.step()
        if kind == "whole":
            self.loss_sum += loss.item() * len(label)
            self.right += (logits.argmax(1) == label).sum().item()
        return len(label)

    def wait(self) -> None:
        pass

    def close(self) -> None:
        self._stream = self._loader = None
