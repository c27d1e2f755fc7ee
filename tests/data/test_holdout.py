"""Classes that are never trained on."""

import time

import numpy as np
import pytest

from lossbench import data
from lossbench.data import Dataset, Split, hold_out
from lossbench.errors import UserError


@pytest.fixture
def whole(rng):
    """Five classes whose images are their source's label everywhere; the second pixel is the image's own number."""

    def split(count, first):
        labels = (np.arange(count) % 5).astype(np.int32)
        images = np.zeros((count, 1, 1, 2), np.uint8)
        images[:, 0, 0, 0], images[:, 0, 0, 1] = labels, first + np.arange(count)
        return Split(images, labels, np.array([f"{first + number}.png" for number in range(count)]))

    return Dataset(split(50, 0), split(20, 100), 5, list("abcde"), validation=split(10, 200))


def test_of_a_hundred_thousand_classes_a_fifth_is_set_apart_in_seconds():
    labels = np.arange(100_000, dtype=np.int32)
    split = Split(np.zeros((len(labels), 1, 1, 1), np.uint8), labels)
    began = time.process_time()
    dataset = hold_out(Dataset(split, split, len(labels), list(map(str, labels))), range(50_000, 70_000))
    assert time.process_time() - began < 8
    assert (dataset.num_classes, dataset.source_ids[50_000], dataset.holdout_names[-1]) == (80_000, 70_000, "69999")
    described = data.rebuilt(dataset.replace(mean=(0.5,), std=(0.5,)).describe())
    assert described.source_names == list(map(str, labels))
    assert time.process_time() - began < 8


@pytest.mark.parametrize(
    "ids", [7, "x", [0, 2], [0, 0, 2, 3, 4], [0, 1, 2, 3, 5], [0, 1, 2, 3, "4"], [0, 1, 2, 3, True]]
)
def test_a_damaged_description_is_refused(whole, ids):
    values = {**hold_out(whole, [3, 1]).replace(mean=(0.5,), std=(0.5,)).describe(), "source_ids": ids}
    with pytest.raises(UserError, match="must hold the source's own id of each class, once, got "):
        data.rebuilt(values)


def test_kept_classes_are_numbered_in_their_order_and_held_out_ones_go_on(whole):
    dataset = hold_out(whole, [3, 1])
    assert (dataset.class_names, dataset.holdout_names) == (["a", "c", "e"], ["b", "d"])
    assert dataset.num_classes == 3
    assert dataset.source_ids == [0, 2, 4, 1, 3]
    for name in ("train", "validation", "test", "holdout"):
        split = getattr(dataset, name)
        source = np.array(dataset.source_ids)[split.labels]
        np.testing.assert_array_equal(source, split.images[:, 0, 0, 0])
        assert set(source.tolist()) == ({1, 3} if name == "holdout" else {0, 2, 4})
        assert split.names.tolist() == [f"{number}.png" for number in split.images[:, 0, 0, 1]]
    assert dataset.holdout.images[:, 0, 0, 1].tolist() == [
        number for first, count in ((0, 50), (200, 10), (100, 20)) for number in range(first, first + count)
        if number % 5 in (1, 3)
    ]  # fmt: skip
    assert dataset.description.all_class_names == ["a", "c", "e", "b", "d"]


def test_no_image_is_lost_or_twice(whole):
    dataset = hold_out(whole, [0])
    parts = [dataset.train, dataset.validation, dataset.test, dataset.holdout]
    assert sum(map(len, parts)) == 80
    assert len(set(np.concatenate([part.images[:, 0, 0, 1] for part in parts]).tolist())) == 80


def test_without_names_and_without_validation(whole):
    train, test = (Split(split.images, split.labels) for split in (whole.train, whole.test))
    bare = Dataset(train, test, 5, list("abcde"))
    dataset = hold_out(bare, [4])
    assert dataset.holdout.names is None
    assert (len(dataset.holdout), len(dataset.validation)) == (14, 0)
    assert bare.source_ids is None
    assert len(bare.holdout) == 0


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([5], r"`holdout_classes` must hold class ids from 0 to 4, got 5\. The classes are: a, b, c, d, e\."),
        ([0, 1, 2, 3], r"must leave at least 2 of 5 classes to train on, got \[0, 1, 2, 3\]\. Hold out fewer\."),
    ],
)
def test_wrong_classes(whole, classes, message):
    with pytest.raises(ValueError, match=message):
        hold_out(whole, classes)


def test_a_label_of_a_held_out_class_in_training_is_refused(whole):
    dataset = hold_out(whole, [3])
    with pytest.raises(ValueError, match="labels of `train` must be in 0 to 3, got 4 to 4"):
        dataset.replace(train=dataset.holdout)
    with pytest.raises(ValueError, match="labels of `holdout` must be in 4 to 4, got 0 to 3"):
        dataset.replace(holdout=dataset.train)


def test_the_config_says_which_and_validation_and_statistics_know_nothing_of_them(small):
    section = small.section("digits", holdout_classes=[7, 8, 9], validation_fraction=0.2)
    dataset, everything = data.load(section, 0), data.load(small.section("digits", validation_fraction=0), 0)
    assert section.classes() == dataset.num_classes == 7
    assert set(dataset.validation.labels.tolist()) == set(dataset.train.labels.tolist()) == set(range(7))
    assert set(dataset.holdout.labels.tolist()) == {7, 8, 9}
    kept = everything.train.labels < 7
    assert len(dataset.train) + len(dataset.validation) == kept.sum()
    assert len(dataset.holdout) == (~kept).sum() + (everything.test.labels >= 7).sum()
    pixels = dataset.train.images / 255
    np.testing.assert_allclose([*dataset.mean, *dataset.std], [pixels.mean(), pixels.std()])
    assert dataset.notes[-1].startswith("classes that are never trained on: 7, 8, 9 (")
    as_range = small.section("digits", holdout_classes=["7-9"], validation_fraction=0.2)
    assert as_range.held_out() == (7, 8, 9)
    assert np.array_equal(data.load(as_range, 0).holdout.labels, dataset.holdout.labels)
