"""Augmentation and normalization of whole uint8 batches: per-image transforms would cost a training its second core."""

from __future__ import annotations

import numpy as np


def augment(images, rng, pad=0, flip=False, cutout=0, fill=0):
    """Pad and crop at random, mirror at random, cut out a square at random.

    Parameters
    ----------
    images : ndarray of uint8, (B, channels, H, W)
    rng : numpy.random.Generator
        Every draw comes from it, in the order crop, flip, cutout; what is off draws nothing.
    pad : int, default 0
        Black pixels added on each side before a random crop back to (H, W).
    flip : bool, default False
        Mirror left to right with probability 1/2.
    cutout : int, default 0
        Side in pixels of a square round a uniformly drawn pixel; parts outside the image are lost.
    fill : int or sequence of int, one a channel, default 0
        Value of the pixels cut out. The paper cuts normalized images with zero, which is the mean pixel.

    Returns
    -------
    ndarray of uint8, (B, channels, H, W)
        Never the input's memory, unless every option is off.

    References
    ----------
    T. DeVries, G. W. Taylor: Improved Regularization of Convolutional Neural Networks with Cutout, arXiv 1708.04552.

    Examples
    --------
    >>> images = np.arange(8, dtype=np.uint8).reshape(1, 1, 2, 4)
    >>> augment(images, np.random.default_rng(0), flip=True)[0, 0]
    array([[3, 2, 1, 0],
           [7, 6, 5, 4]], dtype=uint8)
    """
    size = len(images)
    rows = columns = np.zeros(size, int)
    mirrored = np.zeros(size, bool)
    if pad:
        rows, columns = rng.integers(0, 2 * pad + 1, size=(2, size))
    if flip:
        mirrored = rng.integers(0, 2, size=size).astype(bool)
    if pad or flip:
        images = _crop(images, pad, rows, columns, mirrored)
    if cutout:
        images = _cut(images, rng, cutout, fill)
    return images


def _crop(images, pad, rows, columns, mirrored):
    """Copy each image's window of the padded batch, mirrored ones backwards; as fast as one indexed gather."""
    size, channels, height, width = images.shape
    padded = np.zeros((size, channels, height + 2 * pad, width + 2 * pad), np.uint8)
    padded[:, :, pad : pad + height, pad : pad + width] = images
    out = np.empty_like(images)
    for target, source, row, column, mirror in zip(out, padded, rows.tolist(), columns.tolist(), mirrored.tolist()):
        window = source[:, row : row + height, column : column + width]
        target[...] = window[:, :, ::-1] if mirror else window
    return out


def _cut(images, rng, cutout, fill):
    size, channels, height, width = images.shape

    def inside(length):
        first = rng.integers(0, length, size=(size, 1)) - cutout // 2
        position = np.arange(length)
        return (position >= first) & (position < first + cutout)

    rows = inside(height)
    columns = inside(width)
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
