"""What a look at a dataset finds before a training: sizes of classes, test images that are trained on, blank ones."""

from __future__ import annotations

import hashlib

import numpy as np

from lossbench.data import files
from lossbench.data.streamed import sample

_NAMED = 3
_MEAN_OF = 1000  # streamed images
_MOST = 300_000  # images that are looked at one by one, some ten seconds


def inspect(dataset):
    """Sentences on a dataset; the first is on its classes, others only where there is something to say.

    Examples
    --------
    >>> from lossbench.data.dataset import Dataset, Split
    >>> images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    >>> train = Split(images, np.array([0, 0, 1, 1], np.int32))
    >>> dataset = Dataset(train, train.take([0]), 2, ["a", "b"])
    >>> inspect(dataset)[:2]
    ['2 classes of 2 training images each', '1 of 1 test image is in the training images, pixel by pixel: 0']
    """
    found = [_classes(dataset)]
    if dataset.train.is_streamed or len(dataset.train) + len(dataset.test) > _MOST:
        return found
    seen = {_key(image): int(label) for image, label in zip(dataset.train.images, _true(dataset.train))}
    for name in ("validation", "test"):
        found += _known(getattr(dataset, name), name, seen, dataset.all_class_names)
    for name in ("train", "validation", "test"):
        split = getattr(dataset, name)
        if len(split) and split.image_shape != (split.image_shape[0], 1, 1):
            flat = np.flatnonzero([image.min() == image.max() for image in split.images])
            if len(flat):
                verb = "has" if len(flat) == 1 else "have"
                found.append(f"{files.count(len(flat), f'{name} image')} {verb} one color alone: {_names(split, flat)}")
    return found


def mean_image(split):
    """The mean of all images, of streamed ones of some: uint8 (channels, height, width). Added up in parts."""
    images = sample(split.images, _MEAN_OF) if split.is_streamed else split.images
    total = np.zeros(split.image_shape, np.int64)
    for start in range(0, len(images), 1000):
        total += images[start : start + 1000].sum(axis=0, dtype=np.int64)
    return np.rint(total / len(images)).astype(np.uint8)


def _classes(dataset):
    counts = np.bincount(dataset.train.labels, minlength=dataset.num_classes)
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[least] == counts[most]:
        return f"{dataset.num_classes:,} classes of {files.count(int(counts[most]), 'training image')} each"
    smallest, largest = (f"{counts[k]:,} ({dataset.class_names[k]})" for k in (least, most))
    return f"{dataset.num_classes:,} classes of {smallest} to {largest} training images"


def _known(split, name, seen, class_names):
    """Images that are also in the training split; of another class, one of the two labels is wrong."""
    own = _true(split)
    labels = [seen.get(_key(image)) for image in split.images]
    known = np.flatnonzero([label is not None for label in labels])
    if not len(known):
        return []
    verb = "is" if len(known) == 1 else "are"
    text = f"{len(known):,} of {files.count(len(split), f'{name} image')} {verb} in the training images, pixel by pixel"
    found = [f"{text}: {_names(split, known)}"]
    other = [at for at in known if labels[at] != own[at]]
    if other:
        classes = f"{class_names[labels[other[0]]]} and {class_names[own[other[0]]]}"
        found.append(f"{len(other):,} of these under another class: {_names(split, other)} ({classes})")
    return found


def _true(split):
    """Labels as they were before ``data.label_noise`` made some of them wrong."""
    return split.labels if split.true_labels is None else split.true_labels


def _key(image):
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _names(split, positions):
    names = [str(at if split.names is None else split.names[at]) for at in positions[:_NAMED]]
    return ", ".join(names) + (" and more" if len(positions) > _NAMED else "")
