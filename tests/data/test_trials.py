"""Fewer images, a long tail, wrong labels: seeded, said, and nothing else changed."""

import numpy as np
import pytest

from lossbench import data
from lossbench.data.dataset import Split
from lossbench.data.trials import limited


def load(small, seed=0, **options):
    return data.load(small.section("synthetic", train_size=1000, test_size=300, **options), seed)


def test_a_limit_takes_each_class_in_its_share(small):
    full, some, other = load(small), load(small, limit=200), load(small, 1, limit=200)
    assert [len(split) for split in (some.train, some.validation, some.test)] == [180, 20, 200]
    assert np.bincount(some.test.labels).tolist() == [20] * 10
    known = {bytes(image) for image in full.test.images}
    assert all(bytes(image) in known for image in some.test.images)
    assert some.notes == ["data.limit 200: 200 of 1,000 train images, 200 of 300 test images"]
    assert len(other.test) == 200
    assert load(small, limit=5000).notes == []


def test_a_limit_leaves_images_of_classes_that_have_one(small):
    """As many characters or people as images: the limit is reached all the same."""
    full = load(small)
    labels = np.arange(len(full.test), dtype=np.int32)
    test = Split(full.test.images, labels, full.test.names)
    many = full.replace(test=test, num_classes=300, class_names=tuple(map(str, labels)))
    found = limited(many, 200, 0).test.labels
    assert len(found) == len(set(found)) == 200


def test_a_limited_test_set_is_the_same_for_every_seed(small):
    first, second = (data.load(small.section("digits", limit=100), seed) for seed in (0, 1))
    assert np.array_equal(first.test.images, second.test.images)
    assert not np.array_equal(first.train.images, second.train.images)


def test_a_long_tail(small):
    full, tail = load(small), load(small, class_imbalance=10)
    counts = np.bincount(tail.train.labels)
    assert counts.tolist() == np.floor(90 * 10 ** (-np.arange(10) / 9) + 1e-9).tolist()
    assert np.array_equal(tail.validation.images, full.validation.images)
    assert tail.notes == ["data.class_imbalance 10: 364 of 900 training images; 90 of the first class, 9 of the last"]
    assert np.bincount(load(small, class_imbalance=1e6).train.labels).min() == 1
    known = {bytes(image): label for image, label in zip(full.train.images, full.train.labels)}
    assert all(known[bytes(image)] == label for image, label in zip(tail.train.images, tail.train.labels))


def test_wrong_labels(small):
    full, noisy, again, other = load(small), *(load(small, seed, label_noise=0.2) for seed in (0, 0, 1))
    assert np.array_equal(noisy.train.images, full.train.images)
    wrong = noisy.train.labels != full.train.labels
    assert wrong.sum() == 180
    for part in ("validation", "test"):
        assert np.array_equal(getattr(noisy, part).labels, getattr(full, part).labels)
    assert np.array_equal(noisy.train.true_labels, full.train.labels)
    assert np.array_equal(noisy.train.take([3, 1]).true_labels, full.train.labels[[3, 1]])
    assert full.train.true_labels is full.train.take([0]).true_labels is None
    assert np.array_equal(noisy.train.labels, again.train.labels)
    assert not np.array_equal(wrong, other.train.labels != load(small, 1).train.labels)
    assert noisy.notes == ["data.label_noise 0.2: 180 of 900 training labels are those of another class"]


def test_every_other_class_is_as_likely(small):
    full, noisy = (
        data.load(small.section("synthetic", train_size=20_000, image_size=4, label_noise=noise), 0)
        for noise in (0, 0.9)
    )
    wrong = noisy.train.labels != full.train.labels
    assert wrong.sum() == 16_200
    moved = (noisy.train.labels[wrong] - full.train.labels[wrong]) % 10
    counts = np.bincount(moved, minlength=10)
    assert counts[0] == 0
    assert abs(counts[1:] - 1800).max() < 6 * np.sqrt(1800)


def test_defaults_change_nothing(small):
    plain = load(small)
    said = load(small, limit=None, class_imbalance=1, label_noise=0)
    assert np.array_equal(plain.train.images, said.train.images)
    assert np.array_equal(plain.train.labels, said.train.labels)


@pytest.mark.parametrize(("drop_last", "batches", "notes"), [(True, 7, 1), (False, 8, 0)])
def test_the_short_last_batch_is_kept_or_said(small, drop_last, batches, notes):
    split = load(small).train
    made = data.Batches(split, 128, seed=0, mean=[0], std=[1], drop_last=drop_last)
    assert (len(made), len(made.notes())) == (batches, notes)
    if notes:
        assert made.notes()[0].startswith("4 images of 900 left out of each epoch, the short last batch")


@pytest.mark.parametrize(("drop_last", "updates", "said"), [(True, 2, "132 images of 900 left out"), (False, 3, "")])
def test_the_batches_that_fill_no_update_are_kept_or_said(small, drop_last, updates, said):
    made = data.Batches(load(small).train, 128, seed=0, mean=[0], std=[1], drop_last=drop_last)
    assert made.updates(3) == updates
    assert "".join(made.notes(3)).startswith(said)
    assert bool(made.notes(3)) == bool(said)
    assert made.updates(7) == (1 if drop_last else 2)
