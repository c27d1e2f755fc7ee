"""Images that are decoded when they are asked for, in place of an array that holds them all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

MEMORY_SHARE = 0.25
"""Share of the memory that decoded images may take; more are streamed, unless a config says otherwise."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


class Streamed:
    """Behaves like a uint8 array (N, channels, H, W) that is read from: indexing decodes.

    Parameters
    ----------
    read : callable
        A row's number to its image (channels, H, W), uint8; called by several threads at once.
    image_shape : tuple of int
    rows : ndarray of int, (N,)

    Examples
    --------
    >>> images = Streamed(lambda row: np.full((1, 2, 2), row, np.uint8), (1, 2, 2), np.arange(5))
    >>> images.shape, images[3, 0, 0].tolist(), images.take([4, 1])[:, 0, 0, 0].tolist()
    ((5, 1, 2, 2), [3, 3], [4, 1])
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, read, image_shape, rows):
        self._read, self._image_shape, self._rows = read, tuple(image_shape), rows

    def __len__(self):
        return len(self._rows)

    @property
    def shape(self):
        return (len(self), *self._image_shape)

    @property
    def nbytes(self):
        """Bytes that all of them would take decoded."""
        return int(np.prod(self.shape))

    def __getitem__(self, key):
        rows, inside = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        chosen = self._rows[rows]
        if not np.ndim(chosen):
            return self._read(int(chosen))[inside]
        images = np.empty((len(chosen), *self._image_shape), np.uint8)
        for image, row in zip(images, chosen.tolist()):
            image[...] = self._read(row)
        return images[(slice(None), *inside)] if inside else images

    def __iter__(self):
        return map(self._read, self._rows.tolist())

    def take(self, rows):
        """These images in this order, without decoding one."""
        return Streamed(self._read, self._image_shape, self._rows[rows])


def joined(parts):
    """Images one part after the other; streamed where one of them is."""
    if not any(isinstance(part, Streamed) for part in parts):
        return np.concatenate(parts)
    ends = np.cumsum([len(part) for part in parts])

    def read(row):
        number = int(np.searchsorted(ends, row, side="right"))
        return parts[number][row - ends[number]]  # counted from the part's end

    return Streamed(read, parts[0].shape[1:], np.arange(ends[-1]))


def is_wanted(streaming, size):
    """Whether images of so many bytes are to be streamed: ``True``, ``False``, or ``"auto"``, by the memory."""
    return streaming is True or (streaming == "auto" and size > MEMORY_SHARE * memory())


def memory():
    """Bytes of memory that this machine, or the container, has."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # absent, or "max"
            sizes.append(int(Path(path).read_text()))
    return min(sizes)


def sample(images, most):
    """At most so many images, evenly spaced, without decoding them.

    Examples
    --------
    >>> sample(np.arange(10), 3)
    array([0, 4, 9])
    """
    if len(images) <= most:
        return images
    rows = np.linspace(0, len(images) - 1, most).astype(int)
    return images.take(rows) if isinstance(images, Streamed) else images[rows]
