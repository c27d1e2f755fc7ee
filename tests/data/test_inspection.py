"""What is found before a training: sizes, test images that are trained on, blank images."""

import numpy as np
import pytest

from lossbench import data
from lossbench.data import Dataset, Split


@pytest.fixture
def dataset(rng):
    images = rng.integers(0, 256, (40, 1, 4, 4), dtype=np.uint8)
    labels = (np.arange(40) % 4).astype(np.int32)
    names = np.array([f"{k}.png" for k in range(40)])
    whole = Split(images, labels, names)
    return Dataset(whole.take(np.arange(30)), whole.take(np.arange(30, 40)), 4, ["a", "b", "c", "d"])


def test_sizes_of_classes(dataset):
    assert data.inspect(dataset) == ["4 classes of 7 (c) to 8 (a) training images"]
    even = dataset.replace(train=dataset.train.take(np.arange(28)))
    assert data.inspect(even) == ["4 classes of 7 training images each"]


def test_test_images_that_are_trained_on(dataset):
    test = dataset.test
    test.images[3:8] = dataset.train.images[[1, 2, 3, 0, 1]]
    found = data.inspect(dataset)
    assert found[1] == "5 of 10 test images are in the training images, pixel by pixel: 33.png, 34.png, 35.png and more"
    # images 33 to 37 have the labels 1, 2, 3, 0, 1, as those that they repeat
    assert len(found) == 2
    test.labels[3] = 0
    assert data.inspect(dataset)[2] == "1 of these under another class: 33.png (b and a)"


def test_labels_made_wrong_on_purpose_are_no_contradiction(dataset):
    train = dataset.train
    dataset.test.images[3:8] = train.images[[1, 2, 3, 0, 1]]
    noisy = Split(train.images, (train.labels + 1) % 4, train.names, train.labels)
    assert data.inspect(dataset.replace(train=noisy))[1:] == data.inspect(dataset)[1:]
    true = dataset.test.labels.copy()
    true[3] = 0
    test = Split(dataset.test.images, dataset.test.labels, dataset.test.names, true)
    assert (
        data.inspect(dataset.replace(train=noisy, test=test))[2] == "1 of these under another class: 33.png (b and a)"
    )


def test_blank_images(dataset):
    dataset.train.images[5] = 7
    assert data.inspect(dataset)[1:] == ["1 train image has one color alone: 5.png"]


def test_the_mean_image(rng):
    images = rng.integers(0, 256, (2500, 3, 2, 2), dtype=np.uint8)
    split = Split(images, np.zeros(2500, np.int32))
    assert np.array_equal(data.mean_image(split), np.rint(images.mean(axis=0)).astype(np.uint8))


def test_pictures_are_what_the_first_step_sees(dataset):
    mean, std = [0.5], [0.25]
    batches = data.Batches(dataset.train, 8, seed=3, mean=mean, std=std, pad=1, flip=True)
    images, labels = batches.pictures(1, 5)
    seen, seen_labels = next(batches.epoch(1))
    np.testing.assert_allclose((images / 255 - 0.5) / 0.25, seen[:5], atol=1e-5)
    assert np.array_equal(labels, seen_labels[:5])
