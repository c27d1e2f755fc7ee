"""Augmentation and normalization of whole uint8 batches: per-image transforms would cost a training its second core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """Pad and crop at random, mirror at random, cut out a square at random.

    What is drawn and what is done with it are two steps, so that a part of a batch has the images of the whole one.

    Parameters
    ----------
    pad : int, default 0
        Black pixels added on each side before a random crop back to (H, W).
    flip : bool, default False
        Mirror left to right with probability 1/2.
    cutout : int, default 0
        Side in pixels of a square round a uniformly drawn pixel; parts outside the image are lost.
    fill : int or sequence of int, one a channel, default 0
        Value of the pixels cut out. The paper cuts normalized images with zero, which is the mean pixel.

    References
    ----------
    T. DeVries, G. W. Taylor: Improved Regularization of Convolutional Neural Networks with Cutout, arXiv 1708.04552.

    Examples
    --------
    >>> images = np.arange(8, dtype=np.uint8).reshape(1, 1, 2, 4)
    >>> Augmentation(flip=True)(images, np.random.default_rng(0))[0, 0]
    array([[3, 2, 1, 0],
           [7, 6, 5, 4]], dtype=uint8)
    """

    pad: int = 0
    flip: bool = False
    cutout: int = 0
    fill: Any = 0

    def __call__(self, images, rng):
        """Augment a batch.

        Parameters
        ----------
        images : ndarray of uint8, (B, channels, H, W)
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of uint8, (B, channels, H, W)
            Never the input's memory, unless every option is off.
        """
        return self.apply(images, self.draw(rng, len(images), images.shape[2:]))

    def draw(self, rng, size, height_and_width):
        """Draw for a batch of this size, in the order crop, mirror, cutout: name -> array with a row for each image.

        What is off draws nothing.
        """
        drawn = {}
        if self.pad:
            drawn["corner"] = rng.integers(0, 2 * self.pad + 1, size=(2, size)).T
        if self.flip:
            drawn["mirrored"] = rng.integers(0, 2, size=size).astype(bool)
        if self.cutout:
            drawn["hole"] = np.stack([rng.integers(0, length, size=size) for length in height_and_width], axis=1)
        return drawn

    def apply(self, images, drawn):
        """Do to images what was drawn for them."""
        size = len(images)
        if self.pad or self.flip:
            corner = drawn.get("corner", np.zeros((size, 2), int))
            images = _crop(images, self.pad, corner, drawn.get("mirrored", np.zeros(size, bool)))
        if self.cutout:
            images = _cut(images, drawn["hole"] - self.cutout // 2, self.cutout, self.fill)
        return images


def _crop(images, pad, corner, mirrored):
    """Copy each image's window of the padded batch, mirrored ones backwards; as fast as one indexed gather."""
    size, channels, height, width = images.shape
    padded = images
    if pad:
        padded = np.zeros((size, channels, height + 2 * pad, width + 2 * pad), np.uint8)
        padded[:, :, pad : pad + height, pad : pad + width] = images
    out = np.empty_like(images)
    for target, source, (row, column), mirror in zip(out, padded, corner.tolist(), mirrored.tolist()):
        window = source[:, row : row + height, column : column + width]
        target[...] = window[:, :, ::-1] if mirror else window
    return out


def _cut(images, first, cutout, fill):
    channels, *sides = images.shape[1:]

    def inside(first, length):
        position = np.arange(length)
        return (position >= first[:, None]) & (position < first[:, None] + cutout)

    rows, columns = (inside(first[:, axis], length) for axis, length in enumerate(sides))
    hole = (rows[:, :, None] & columns[:, None, :])[:, None]
    fill = np.broadcast_to(np.asarray(fill, np.uint8), (channels,)).reshape(1, channels, 1, 1)
    return np.where(hole, fill, images)


def normalize(images, mean, std):
    """Pixels to zero mean and unit deviation: ``(images / 255 - mean) / std``.

    Parameters
    ----------
    images : ndarray of uint8, (B, channels, H, W)
    mean, std : sequences of float, one a channel
        Of pixels in [0, 1].

    Returns
    -------
    ndarray of float32, (B, channels, H, W)

    Examples
    --------
    >>> normalize(np.array([0, 255], np.uint8).reshape(1, 1, 1, 2), [0.5], [0.25]).ravel()
    array([-2.,  2.], dtype=float32)
    """
    mean = np.asarray(mean, np.float64).reshape(1, -1, 1, 1)
    std = np.asarray(std, np.float64).reshape(1, -1, 1, 1)
    out = images.astype(np.float32)
    out *= (1 / (255 * std)).astype(np.float32)
    out -= (mean / std).astype(np.float32)
    return out
