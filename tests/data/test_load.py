"""data.load: validation split, pixel statistics, sources without files; the checks of Dataset and Split."""

import numpy as np
import pytest

from lossbench import data, registry
from lossbench.data import Dataset, Split


def splits_of(images, labels):
    whole = Split(images, labels.astype(np.int32))
    return {"train": whole, "test": whole.take(np.arange(4))}


def own(rng, **fields):
    images = rng.integers(0, 256, (40, 2, 4, 4), dtype=np.uint8)
    parts = splits_of(images, np.arange(40) % 4)
    return Dataset(**{**parts, "num_classes": 4, "class_names": list("abcd"), **fields})


def load(section, dataset, seed=0):
    """The dataset as if the section's source had brought it."""
    with registry.added(sources={"own": lambda config_data, seed: dataset}):
        return data.load(section.model_copy(update={"source": "own"}), seed)


def test_validation_is_stratified_seeded_and_taken_from_train(rng, small):
    dataset = own(rng)
    config = small.section("digits", validation_fraction=0.2)
    first, again, other = (load(config, dataset, seed) for seed in (1, 1, 2))
    assert np.array_equal(np.bincount(first.validation.labels), [2, 2, 2, 2])
    assert len(first.train) == 32
    both = np.concatenate([first.train.images, first.validation.images]).reshape(40, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, dataset.train.images.reshape(40, -1)))
    assert np.array_equal(first.validation.images, again.validation.images)
    assert not np.array_equal(first.validation.images, other.validation.images)
    assert first.test is dataset.test


def test_fraction_zero_keeps_everything(rng, small):
    dataset = load(small.section("digits", validation_fraction=0), own(rng))
    assert (len(dataset.train), len(dataset.validation)) == (40, 0)


def test_a_source_may_bring_its_validation_split(rng, small):
    dataset = own(rng)
    dataset = dataset.replace(validation=dataset.train.take(np.arange(7)))
    loaded = load(small.section("digits"), dataset)
    assert (len(loaded.train), len(loaded.validation)) == (40, 7)


def test_statistics_are_measured_on_the_training_images(rng, small):
    dataset = load(small.section("digits", validation_fraction=0.5), own(rng))
    pixels = dataset.train.images.transpose(1, 0, 2, 3).reshape(2, -1) / 255
    np.testing.assert_allclose(dataset.mean, pixels.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, pixels.std(axis=1), rtol=1e-12)


def test_statistics_of_a_constant_channel():
    assert data.pixel_statistics(np.full((2, 1, 3, 3), 51, np.uint8)) == ((0.2,), (1.0,))


def test_normalize_overrides_one_by_one(rng, small):
    config = small.section("digits", normalize={"std": [0.5, 0.25]})
    dataset = load(config, own(rng, mean=(0.1, 0.2), std=(1.0, 1.0)))
    assert (dataset.mean, dataset.std) == ((0.1, 0.2), (0.5, 0.25))


def test_normalize_needs_a_value_a_channel(small):
    config = small.section("digits", normalize={"mean": [0.5, 0.5, 0.5]})
    with pytest.raises(ValueError, match="`normalize.mean` must have 1 values, one a channel, got .0.5, 0.5, 0.5"):
        data.load(config, 0)


def test_unknown_source(small):
    config = small.section("digits").model_copy(update={"source": "digts"})
    with pytest.raises(ValueError, match="`source` must be one of digits, mnist, .*, got 'digts'"):
        data.load(config, 0)


def test_digits(small):
    from sklearn.datasets import load_digits

    dataset = data.load(small.section("digits"), 0)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [1294, 144, 359]
    assert dataset.image_shape == (1, 8, 8)
    assert dataset.train.images.max() == 255
    splits = (dataset.train, dataset.validation, dataset.test)
    have = [(bytes(image), label) for split in splits for image, label in zip(split.images, split.labels)]
    images, labels = load_digits(return_X_y=True)
    assert sorted(have) == sorted(zip(map(bytes, np.rint(images * (255 / 16)).astype(np.uint8)), labels))
    share = np.bincount(dataset.test.labels) - 0.2 * np.bincount(labels)
    assert abs(share).max() < 1


def test_digits_are_tested_on_the_same_images_whatever_the_seed(small):
    first, second = (data.load(small.section("digits"), seed) for seed in (0, 1))
    assert np.array_equal(first.test.images, second.test.images)
    assert not np.array_equal(first.validation.images, second.validation.images)


def test_synthetic(small):
    config = small.section("synthetic", num_classes=5, image_size=12, channels=3, train_size=103, test_size=50)
    first, again, other = (data.load(config, seed) for seed in (3, 3, 4))
    assert first.train.images.shape[1:] == (3, 12, 12)
    assert len(first.train) + len(first.validation) == 103
    assert np.array_equal(np.bincount(first.test.labels), np.full(5, 10))
    assert np.array_equal(first.train.images, again.train.images)
    assert not np.array_equal(first.train.images, other.train.images)


def test_synthetic_can_be_learned(small):
    dataset = data.load(small.section("synthetic"), 0)
    train, test = (split.images.reshape(len(split), -1).astype(float) for split in (dataset.train, dataset.test))
    means = np.stack([train[dataset.train.labels == label].mean(axis=0) for label in range(10)])
    predicted = ((test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (predicted == dataset.test.labels).mean() > 0.95


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 8, 8), np.uint8), np.zeros(2, np.int32), r"`images` must be .* got uint8 \(2, 8, 8\)"),
        (np.zeros((2, 1, 8, 8)), np.zeros(2, np.int32), r"`images` must be .* got float64"),
        (np.zeros((2, 8, 8, 1), np.uint8).transpose(0, 3, 2, 1), np.zeros(2, np.int32), "C-contiguous"),
        (np.zeros((2, 1, 8, 8), np.uint8), np.zeros(3, np.int32), r"`labels` must be an int32 array \(2,\).*\(3,\)"),
        (np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2, np.int64), "`labels` must be an int32 array .* got int64"),
    ],
)
def test_split_checks(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


def test_dataset_checks(rng):
    with pytest.raises(ValueError, match="labels of `train` must be in 0 to 2, got 0 to 3"):
        own(rng, num_classes=3, class_names=list("abc"))
    with pytest.raises(ValueError, match="`class_names` must have 4 names, one a class, got 3"):
        own(rng, class_names=list("abc"))
    small = Split(np.zeros((1, 2, 3, 3), np.uint8), np.zeros(1, np.int32))
    with pytest.raises(ValueError, match=r"`test` must have images \(2, 4, 4\) like `train`, got \(2, 3, 3\)"):
        own(rng, test=small)
    with pytest.raises(ValueError, match="`train` must have at least one image"):
        own(rng, train=small.take(np.arange(0)))
