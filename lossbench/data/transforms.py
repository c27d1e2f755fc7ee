"""Augmentation and normalization of whole uint8 batches: per-image transforms would cost a training its second core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lossbench.data import distortions


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to training images.

    What is drawn and what is done with it are two steps, so that a part of a batch has the images of the whole one.

    Parameters
    ----------
    pad : int, default 0
        Black pixels added on each side before a random crop back to (H, W).
    flip : bool, default False
        Mirror left to right with probability 1/2.
    cutout : int, default 0
        Side in pixels of a square round a uniformly drawn pixel; parts outside the image are lost.
    crop : float, default 1
        Random resized crop: least share of the area that is shown, in (0, 1]; of an aspect from 3/4 to 4/3.
    rotation : float, default 0
        Largest angle in degrees, either way.
    brightness, contrast, saturation : float, default 0
        Color jitter: factors are uniform in 1 - x to 1 + x. Saturation changes no gray image.
    grayscale : float, default 0
        Probability that an image loses its color.
    erasing : float, default 0
        Probability of random erasing: a rectangle of 2 to 33 % of the area, of an aspect from 0.3 to 3.3.
    fill : int or sequence of int, one a channel, default 0
        Value of pixels cut out, erased, or from outside of the image. The papers fill normalized images with zero,
        which is the mean pixel.

    References
    ----------
    T. DeVries, G. W. Taylor: Improved Regularization of Convolutional Neural Networks with Cutout, arXiv 1708.04552.
    C. Szegedy, W. Liu, Y. Jia, et al.: Going deeper with convolutions, CVPR 2015, section 6 (the crop).
    Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang: Random Erasing Data Augmentation, AAAI 2020, algorithm 1.

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
    crop: float = 1
    rotation: float = 0
    brightness: float = 0
    contrast: float = 0
    saturation: float = 0
    grayscale: float = 0
    erasing: float = 0
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
        """Draw for a batch of this size, in a fixed order: name -> array with a row for each image.

        What is off draws nothing.
        """
        drawn = {}
        if self.pad:
            drawn["corner"] = rng.integers(0, 2 * self.pad + 1, size=(2, size)).T
        if self.flip:
            drawn["mirrored"] = rng.integers(0, 2, size=size).astype(bool)
        if self.cutout:
            drawn["square"] = np.stack([rng.integers(0, length, size=size) for length in height_and_width], axis=1)
        if self.crop < 1 or self.rotation:
            drawn["view"] = distortions.draw_views(rng, size, height_and_width, self.crop, self.rotation)
        if self.brightness or self.contrast or self.saturation or self.grayscale:
            jitter = self.brightness, self.contrast, self.saturation
            drawn["color"] = distortions.draw_color(rng, size, *jitter, self.grayscale)
        if self.erasing:
            drawn["hole"] = distortions.draw_holes(rng, size, height_and_width, self.erasing)
        return drawn

    def apply(self, images, drawn):
        """Do to images what was drawn for them: view, crop and mirror, color, holes."""
        size = len(images)
        if "view" in drawn:
            images = distortions.view(images, drawn["view"], self.fill)
        if "corner" in drawn or "mirrored" in drawn:
            corner = drawn.get("corner", np.zeros((size, 2), int))
            images = _crop(images, self.pad, corner, drawn.get("mirrored", np.zeros(size, bool)))
        if "color" in drawn:
            images = distortions.color(images, drawn["color"])
        if "square" in drawn:
            images = _cut(images, drawn["square"] - self.cutout // 2, self.cutout, self.fill)
        if "hole" in drawn:
            images = distortions.erase(images, drawn["hole"], self.fill)
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
