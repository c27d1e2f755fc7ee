"""Seeded images of noisy patterns, one pattern a class: for tests and timings."""

from __future__ import annotations

import numpy as np

from lossbench.data.dataset import Dataset, Split

_CELLS = 4  # a pattern is this many squares wide and high
_CONTRAST, _NOISE = 40.0, 40.0


def load(config_data, seed):
    """Images drawn from the seed: the 4 x 4 squares of their class, plus noise. Classes are balanced."""
    rng = np.random.default_rng([seed])
    size, channels, num_classes = config_data.image_size, config_data.channels, config_data.num_classes
    cell = np.arange(size) * _CELLS // size
    cells = rng.normal(128, _CONTRAST, (num_classes, channels, _CELLS, _CELLS))
    patterns = np.ascontiguousarray(cells[:, :, cell[:, None], cell], dtype=np.float32)
    train, test = (_draw(patterns, count, rng) for count in (config_data.train_size, config_data.test_size))
    return Dataset(
        train=train,
        test=test,
        num_classes=num_classes,
        class_names=[str(label) for label in range(num_classes)],
    )


def _draw(patterns, count, rng):
    labels = rng.permutation(np.arange(count) % len(patterns)).astype(np.int32)
    noise = rng.standard_normal((count, *patterns.shape[1:]), dtype=np.float32) * np.float32(_NOISE)
    return Split(np.clip(np.rint(patterns[labels] + noise), 0, 255).astype(np.uint8), labels)
