"""Batches: the same whatever the workers and the start, and nothing left behind."""

import gc
import threading
import time

import numpy as np
import pytest

from lossbench.data import Batches, Split, transforms
from lossbench.data.batches import _ORDER

MEAN, STD = (0.2, 0.4, 0.6), (0.2, 0.3, 0.4)


@pytest.fixture
def split(rng):
    images = rng.integers(0, 256, (50, 3, 8, 8), dtype=np.uint8)
    return Split(images, np.arange(50, dtype=np.int32))


def make(split, workers=0, batch_size=8, **options):
    options = {"pad": 2, "flip": True, "cutout": 3, **options}
    return Batches(split, batch_size, seed=options.pop("seed", 5), mean=MEAN, std=STD, workers=workers, **options)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("lossbench-ahead")]


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, u) and np.array_equal(y, v) for (x, y), (u, v) in zip(a, b))


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(split, workers, monkeypatch):
    slow = transforms.normalize

    def uneven(images, mean, std):
        time.sleep(0.01 * (int(images[0, 0, 0, 0]) % 3))  # batches finish out of order
        return slow(images, mean, std)

    want = list(make(split).epoch(3))
    monkeypatch.setattr(transforms, "normalize", uneven)
    assert same(list(make(split, workers).epoch(3)), want)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("start", [0, 1, 4, 6])
def test_start_resumes_the_epoch(split, workers, start):
    whole = list(make(split).epoch(2))
    assert len(whole) == 6
    assert same(list(make(split, workers).epoch(2, start)), whole[start:])


def test_a_step_is_the_documented_function_of_seed_epoch_and_step(split):
    order = np.random.default_rng([5, 7, _ORDER]).permutation(50)
    for step, (images, label) in enumerate(make(split, cutout=0).epoch(7)):
        ids = order[step * 8 : step * 8 + 8]
        rng = np.random.default_rng([5, 7, step])
        augmented = transforms.Augmentation(pad=2, flip=True)(split.images[ids], rng)
        assert np.array_equal(label, split.labels[ids])
        assert np.array_equal(images, transforms.normalize(augmented, MEAN, STD))
        assert (images.dtype, label.dtype) == (np.float32, np.int32)


def test_seeds_and_epochs_differ(split):
    orders = [
        tuple(np.concatenate([label for _, label in make(split, seed=seed).epoch(epoch)]))
        for seed in range(3)
        for epoch in range(3)
    ]
    assert len(set(orders)) == 9


def test_every_image_once_an_epoch(split):
    labels = np.concatenate([label for _, label in make(split, drop_last=False).epoch(0)])
    assert sorted(labels) == list(range(50))


def test_without_shuffle_the_order_is_the_files(split):
    labels = np.concatenate([label for _, label in make(split, shuffle=False, drop_last=False).epoch(1)])
    assert np.array_equal(labels, np.arange(50))


@pytest.mark.parametrize(("drop_last", "sizes"), [(True, [8] * 6), (False, [8] * 6 + [2])])
def test_short_last_batch(split, drop_last, sizes):
    batches = make(split, 1, drop_last=drop_last)
    got = list(batches.epoch(0))
    assert [len(images) for images, _ in got] == [len(label) for _, label in got] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize("drop_last", [True, False])
def test_no_short_batch_where_the_size_divides(split, drop_last):
    assert len(make(split, batch_size=10, drop_last=drop_last)) == 5


def test_cutout_takes_the_mean(split):
    images = np.concatenate([images for images, _ in make(split, pad=0, flip=False, cutout=100).epoch(0)])
    assert abs(images).max() < 0.5 / 255 / min(STD) + 1e-6


@pytest.mark.parametrize("end", ["break", "close", "drop", "exhaust"])
def test_threads_end(split, end):
    iterator = make(split, 3).epoch(0)
    next(iterator)
    assert threads()
    if end == "break":
        for _ in iterator:
            break
        del iterator
    elif end == "close":
        iterator.close()
    elif end == "drop":
        del iterator
    else:
        list(iterator)
    gc.collect()
    assert not threads()


def test_threads_end_where_the_consumer_fails(split):
    def consume():
        for _ in make(split, 2).epoch(0):
            raise RuntimeError("consumer")

    with pytest.raises(RuntimeError, match="consumer"):
        consume()
    gc.collect()
    assert not threads()


def test_no_thread_before_the_first_batch(split):
    iterator = make(split, 2).epoch(0)
    assert not threads()
    iterator.close()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_in_a_worker_surfaces_at_its_step(split, workers, monkeypatch):
    augment = transforms.Augmentation.apply
    wrong = list(make(split, shuffle=False).epoch(0))
    broken = split.images[24:32]

    def fails(augmentation, images, drawn):
        if np.array_equal(images, broken):
            raise MemoryError("step 3")
        return augment(augmentation, images, drawn)

    monkeypatch.setattr(transforms.Augmentation, "apply", fails)
    iterator = make(split, workers, shuffle=False).epoch(0)
    got = [next(iterator) for _ in range(3)]
    with pytest.raises(MemoryError, match="step 3"):
        next(iterator)
    assert same(got, wrong[:3])
    assert not threads()


@pytest.mark.parametrize("count", [1, 3, 7])
def test_parts_of_a_batch_make_the_whole_one(split, count):
    whole = list(make(split).epoch(4))
    parts = [list(make(split, part=(k, count)).epoch(4)) for k in range(count)]
    assert [len(part[0][0]) for part in parts] == [len(rows) for rows in np.array_split(np.arange(8), count)]
    joined = [(np.concatenate([images for images, _ in step]), step[0][1]) for step in zip(*parts)]
    assert same(joined, whole)
    assert same([make(split, part=(0, count)).whole(4, 2)], whole[2:3])


def test_batches_do_not_share_memory(split):
    first, second = (images for images, _ in list(make(split, 1, pad=0, flip=False, cutout=0).epoch(0))[:2])
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, split.images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"batch_size": 51}, "`batch_size` must be at most the number of images, 50, got 51"),
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
        ({"pad": -1}, "`pad` must be at least 0, got -1"),
        ({"cutout": -1}, "`cutout` must be at least 0, got -1"),
        ({"workers": -1}, "`workers` must be at least 0, got -1"),
    ],
)
def test_sizes_out_of_range(split, options, message):
    with pytest.raises(ValueError, match=message):
        make(split, **options)


@pytest.mark.parametrize(("epoch", "start"), [(-1, 0), (0, -1), (0, 7)])
def test_position_out_of_range_is_an_error_at_once(split, epoch, start):
    with pytest.raises(ValueError, match=rf"`start` 0 to 6, got {epoch} and {start}"):
        make(split).epoch(epoch, start)


def test_an_epoch_begun_at_its_end_is_empty(split):
    assert list(make(split, 1).epoch(0, 6)) == []


def test_a_short_split_is_one_batch_where_it_is_kept(split):
    batches = make(split.take(np.arange(3)), 1, drop_last=False)
    assert [len(label) for _, label in batches.epoch(0)] == [3]
