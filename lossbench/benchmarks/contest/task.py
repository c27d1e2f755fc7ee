"""What all contestants train: network, loss, batch size and images."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lossbench import data
from lossbench.config.data import StandardData, SyntheticData
from lossbench.data import files

NETWORKS = {"resnet20": ("cifar10", (3, 32, 32)), "lenet": ("mnist", (1, 28, 28))}
LOSSES = ("softmax", "lgm")
NUM_CLASSES = 10
AUGMENT = {"resnet20": {"pad": 4, "flip": True}, "lenet": {"pad": 0, "flip": False}}
EMBEDDING_SIZE = {"resnet20": 64, "lenet": 2}
OPTIMIZER = {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4}  # Nesterov
_FIRST_FILE = {"cifar10": "data_batch_1.bin", "mnist": "train-images*"}
LGM = {"margin": 0.3, "likelihood_weight": 0.2}


class Missing(ImportError):
    """What a contestant needs is not installed; the message says what."""


@dataclass(frozen=True)
class Task:
    """One training: a network of `NETWORKS`, a loss of `LOSSES`, and the `.npz` file that `write_images` wrote."""

    network: str
    loss: str
    batch_size: int
    images: str = ""

    def as_dict(self) -> dict:
        return asdict(self)

    @property
    def augment(self) -> dict:
        return AUGMENT[self.network]

    @property
    def embedding_size(self) -> int:
        return EMBEDDING_SIZE[self.network]

    def arrays(self):
        """Images (N, channels, H, W) uint8, labels (N,) int32, and mean and std per channel of pixels in [0, 1]."""
        with np.load(self.images) as file:
            return file["images"], file["labels"], file["mean"], file["std"]


def write_images(network: str, folder) -> tuple[str, str]:
    """Write the training images of a network to an `.npz` file in `folder`; returns its path and the source's name.

    The real ones (CIFAR-10, MNIST) where they are on this machine, else 20,000 synthetic ones. Nothing is downloaded.
    """
    source, (channels, size, _) = NETWORKS[network]
    dataset = _on_this_machine(source)
    if dataset is None:
        source = "synthetic"
        dataset = data.load(
            SyntheticData(source=source, image_size=size, channels=channels, train_size=20_000, validation_fraction=0),
            0,
        )
    path = Path(folder) / f"{network}.npz"
    np.savez(path, images=dataset.train.images, labels=dataset.train.labels, mean=dataset.mean, std=dataset.std)
    return str(path), source


def _on_this_machine(source):
    for folder in files.folders(source):
        if any(folder.glob(_FIRST_FILE[source])):  # nothing is downloaded
            with contextlib.suppress(ValueError):
                return data.load(StandardData(source=source, root=str(folder), validation_fraction=0), 0)
    return None
