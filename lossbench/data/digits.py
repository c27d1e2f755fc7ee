"""Embedded digits, 1,797 scans of 8 x 8 pixels that need no download.

They are those of scikit-learn, kept here because its import takes a second: the test set of "Optical Recognition of
Handwritten Digits" by E. Alpaydin and C. Kaynak (UCI Machine Learning Repository, CC BY 4.0).
"""

from __future__ import annotations

import pathlib

import numpy as np

from lossbench.data.dataset import Dataset, Split
from lossbench.data.split import stratified_ids

_FILE = pathlib.Path(__file__).with_suffix(".npz")  # gray values of 0 to 16

# One test set for all seeds: else a run that begins with another seed's weights would be tested on images they saw.
_TEST_SEED = 0


def load(config_data, seed):
    """Handwritten digits, a stratified ``test_fraction`` of them held out for the test."""
    with np.load(_FILE) as digits:
        images = np.rint(digits["images"] * (255 / 16)).astype(np.uint8)[:, None]
        labels = digits["labels"].astype(np.int32)
    fraction = config_data.test_fraction
    kept, held_out = stratified_ids(labels, fraction, np.random.default_rng(_TEST_SEED))
    everything = Split(images, labels)
    train = everything.take(kept)
    return Dataset(
        train=train,
        test=everything.take(held_out),
        num_classes=10,
        class_names=[str(digit) for digit in range(10)],
    )
