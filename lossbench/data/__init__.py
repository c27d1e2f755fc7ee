"""Datasets, from files to seeded batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lossbench import registry
from lossbench.data import cifar, digits, emnist, folder, idx, record, synthetic, table, trials
from lossbench.data.batches import Batches
from lossbench.data.dataset import PARTS, Dataset, Split
from lossbench.data.description import Description, rebuilt
from lossbench.data.holdout import hold_out
from lossbench.data.images import read_images
from lossbench.data.inspection import inspect, mean_image
from lossbench.data.outline import outline
from lossbench.data.proposal import propose
from lossbench.data.split import stratified_ids
from lossbench.data.streamed import Streamed, is_wanted, sample
from lossbench.data.tree import image_files
from lossbench.errors import UserError

__all__ = [
    "BY_PART",
    "PARTS",
    "SOURCES",
    "Batches",
    "Dataset",
    "Description",
    "Split",
    "image_files",
    "inspect",
    "load",
    "mean_image",
    "outline",
    "pixel_statistics",
    "propose",
    "read_images",
    "rebuilt",
    "stratified_ids",
]

_MEASURED = 5000  # streamed images, for mean and deviation

# A loader takes the data section of a config and the run's seed, and returns a Dataset. Those of BY_PART read only the
# files of the parts that are asked for, and take the names of the classes, in the source's order, from one who knows.
SOURCES = {
    "digits": digits.load,
    "mnist": idx.mnist,
    "fashion_mnist": idx.fashion_mnist,
    "emnist": emnist.load,
    "cifar10": cifar.cifar10,
    "cifar100": cifar.cifar100,
    "record": record.load,
    "folder": folder.load,
    "table": table.load,
    "synthetic": synthetic.load,
}
BY_PART = ("mnist", "fashion_mnist", "emnist", "cifar10", "cifar100", "record", "folder", "table")


def load(config_data, seed, *, parts=PARTS, known=None):
    """Load the dataset that the data section of a config names, with its validation split.

    Parameters
    ----------
    config_data : config section
        ``source`` names the loader; the images of ``holdout_classes`` are set apart; ``validation_fraction`` of the
        training images, stratified, become the validation split unless the source brings one; ``limit``,
        ``class_imbalance`` and ``label_noise`` change the training split; ``normalize`` sets mean and std in place of
        the source's own.
    seed : int
        Which images are held out for validation.
    parts : sequence of str
        Of `train`, `validation` and `test`: what is needed. No file of the others is looked at where the source has
        files of their own; they then hold no image.
    known : Description, optional
        What an earlier load found: its class names and its normalization are taken.

    Returns
    -------
    Dataset
        Its images are in memory; those of record files and image folders are streamed where ``streaming`` says so.

    Raises
    ------
    ValueError
        If the source is unknown or returns no Dataset, or its files are absent or not what they should be.
    """
    loader = registry.SOURCES.get(config_data.source)
    some = {}
    if known is not None and config_data.source in BY_PART:
        also = ("validation",) if "train" in parts else ()  # what is left to train on depends on whether it has its own
        some = {"parts": tuple(dict.fromkeys((*parts, *also))), "class_names": known.source_names}
    dataset = loader(config_data, seed, **some)
    if not isinstance(dataset, Dataset):
        raise UserError(
            f"data source {config_data.source}: must return a lossbench.data.Dataset, got {type(dataset).__name__}. "
            "Make one of a Split for training and one for the test."
        )
    if config_data.holdout_classes:
        dataset = hold_out(dataset, config_data.held_out())
    if config_data.limit:
        dataset = trials.limited(dataset, config_data.limit, seed)
    has_train = "train" in dataset.parts
    if has_train and not len(dataset.validation) and config_data.validation_fraction:
        rng = np.random.default_rng([seed])
        kept, held_out = stratified_ids(dataset.train.labels, config_data.validation_fraction, rng)
        dataset = dataset.replace(train=dataset.train.take(kept), validation=dataset.train.take(held_out))
    if has_train and config_data.class_imbalance > 1:
        dataset = trials.long_tailed(dataset, config_data.class_imbalance, seed)
    if has_train and config_data.label_noise:
        dataset = trials.mislabeled(dataset, config_data.label_noise, seed)
    if any(getattr(dataset, name).is_streamed for name in PARTS):
        dataset = _streamed_or_loaded(dataset, getattr(config_data, "streaming", "auto"))
    if known is not None:
        return dataset.replace(mean=known.mean, std=known.std)
    return _with_statistics(dataset, config_data.normalize)


def _streamed_or_loaded(dataset, streaming):
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test", "holdout")}
    size = sum(split.images.nbytes for split in splits.values())
    if is_wanted(streaming, size):
        note = f"images are streamed: decoded, all would take {size / 1e9:,.1f} GB"
        return dataset.replace(notes=[*dataset.notes, note])
    return dataset.replace(**{name: replace(split, images=split.images[:]) for name, split in splits.items()})


def _with_statistics(dataset, normalize):
    mean, std = dataset.mean, dataset.std
    if (mean is None and normalize.mean is None) or (std is None and normalize.std is None):
        mean, std = pixel_statistics(dataset.train.images)
    channels = dataset.image_shape[0]
    chosen = {}
    for name, own in (("mean", mean), ("std", std)):
        wanted = getattr(normalize, name)
        chosen[name] = tuple(float(value) for value in (own if wanted is None else wanted))
        if len(chosen[name]) != channels:
            raise UserError(
                f"data: `normalize.{name}` must have {channels} values, one a channel, got {chosen[name]}. "
                "Leave it out for the source's own."
            )
    return dataset.replace(**chosen)


def pixel_statistics(images):
    """Mean and standard deviation of each channel's pixels in [0, 1]; a constant channel's deviation is 1.

    Parameters
    ----------
    images : ndarray of uint8, (N, channels, H, W); or Streamed
        Of more than 5,000 streamed ones, 5,000 are measured, evenly spaced.

    Returns
    -------
    mean, std : tuples of float

    Examples
    --------
    >>> pixel_statistics(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
    ((0.5,), (0.5,))
    """
    if isinstance(images, Streamed):
        images = sample(images, _MEASURED)
    channels, values = images.shape[1], np.arange(256) / 255
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(images), 1000):
        part = images[start : start + 1000]
        for channel in range(channels):
            counts[channel] += np.bincount(part[:, channel].ravel(), minlength=256)
    mean, std = [], []
    for count in counts:
        share = count / max(count.sum(), 1)
        mean.append(float(share @ values))
        std.append(float(np.sqrt(share @ (values - mean[-1]) ** 2)) or 1.0)
    return tuple(mean), tuple(std)
