"""Augmentation against a slow implementation that goes image by image, pixel by pixel."""

import numpy as np
import pytest

from lossbench.data import transforms


def slow_augment(images, rng, pad=0, flip=False, cutout=0, fill=0):
    """The same draws, then each output pixel by its own coordinates."""
    size, channels, height, width = images.shape
    rows = columns = mirrored = [0] * size
    if pad:
        rows, columns = rng.integers(0, 2 * pad + 1, size=(2, size))
    if flip:
        mirrored = rng.integers(0, 2, size=size)
    out = np.zeros_like(images)
    for b in range(size):
        for y in range(height):
            for x in range(width):
                across = width - 1 - x if mirrored[b] else x
                from_y, from_x = y + rows[b] - pad, across + columns[b] - pad
                if 0 <= from_y < height and 0 <= from_x < width:
                    out[b, :, y, x] = images[b, :, from_y, from_x]
    if cutout:
        center_y = rng.integers(0, height, size=(size, 1))[:, 0]
        center_x = rng.integers(0, width, size=(size, 1))[:, 0]
        for b in range(size):
            for y in range(center_y[b] - cutout // 2, center_y[b] - cutout // 2 + cutout):
                for x in range(center_x[b] - cutout // 2, center_x[b] - cutout // 2 + cutout):
                    if 0 <= y < height and 0 <= x < width:
                        out[b, :, y, x] = fill
    return out


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pad": 2},
        {"pad": 9},
        {"flip": True},
        {"cutout": 1},
        {"cutout": 4},
        {"cutout": 5, "fill": [3, 4, 5]},
        {"cutout": 50},
        {"pad": 1, "flip": True},
        {"pad": 3, "flip": True, "cutout": 3, "fill": 9},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(17, 3, 8, 8), (5, 3, 7, 10), (1, 3, 1, 1)])
def test_augment_equals_the_slow_one(rng, seed, shape, options):
    images = rng.integers(1, 256, shape, dtype=np.uint8)
    before = images.copy()
    got = transforms.Augmentation(**options)(images, np.random.default_rng(seed))
    assert np.array_equal(got, slow_augment(images, np.random.default_rng(seed), **options))
    assert np.array_equal(images, before)
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    if options:
        assert not np.shares_memory(got, images)


def test_augment_reaches_every_crop_and_both_mirrors(rng):
    images = np.broadcast_to(np.arange(1, 17, dtype=np.uint8).reshape(1, 1, 4, 4), (5000, 1, 4, 4))
    got = transforms.Augmentation(pad=1, flip=True)(images, rng)
    kinds, counts = np.unique(got.reshape(5000, -1), axis=0, return_counts=True)
    assert len(kinds) == 9 * 2
    assert counts.min() > 200  # 278 expected, standard deviation 16


def test_cutout_is_centered_on_every_pixel(rng):
    images = np.ones((20_000, 1, 5, 5), np.uint8)
    holes = 1 - transforms.Augmentation(cutout=1)(images, rng)[:, 0]
    assert np.all(holes.sum(axis=(1, 2)) == 1)
    assert abs(holes.mean(axis=0) - 1 / 25).max() < 0.008


def test_normalize(rng):
    images = rng.integers(0, 256, (6, 3, 4, 5), dtype=np.uint8)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    got = transforms.normalize(images, mean, std)
    want = (images / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got, want, atol=1e-6, rtol=0)
