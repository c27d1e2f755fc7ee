"""Stratified division: exact counts, every class, the same for a seed."""

import time

import numpy as np
import pytest

from lossbench.data import stratified_ids


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.1, 0.25, 1 / 3, 0.5, 0.9])
def test_counts(rng, fraction):
    labels = rng.choice(7, size=1000, p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.04, 0.01])
    kept, held_out = stratified_ids(labels, fraction, rng)
    assert sorted([*kept, *held_out]) == list(range(1000))
    assert len(held_out) == round(fraction * 1000)
    share = np.bincount(labels[held_out], minlength=7) - fraction * np.bincount(labels)
    assert abs(share).max() < 1
    assert np.all(np.diff(kept) > 0)
    assert np.all(np.diff(held_out) > 0)


def test_balanced_classes_give_equally_many(rng):
    labels = rng.permutation(np.repeat(np.arange(10), 30))
    _, held_out = stratified_ids(labels, 0.1, rng)
    assert np.array_equal(np.bincount(labels[held_out]), np.full(10, 3))


def test_the_seed_decides(rng):
    labels = rng.permutation(np.repeat(np.arange(4), 25))
    draws = [stratified_ids(labels, 0.2, np.random.default_rng(seed))[1] for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_members_are_drawn_evenly():
    labels = np.repeat([0, 1], [20, 10])
    counts = np.zeros(30)
    for seed in range(2000):
        counts[stratified_ids(labels, 0.5, np.random.default_rng(seed))[1]] += 1
    assert abs(counts / 2000 - 0.5).max() < 0.05  # standard deviation 0.011


def test_a_class_keeps_a_member(rng):
    kept, held_out = stratified_ids(np.array([0, 1, 2, 2]), 0.9, rng)
    assert set(np.array([0, 1, 2, 2])[kept]) == {0, 1, 2}
    assert len(held_out) == 1


@pytest.mark.parametrize("fraction", [-0.1, 1, 10, float("nan")])
def test_fraction_out_of_range(rng, fraction):
    with pytest.raises(ValueError, match=rf"`fraction` must be in \[0, 1\), got {fraction}"):
        stratified_ids(np.array([0, 1]), fraction, rng)


def test_the_members_are_drawn_class_by_class(rng):
    """Word for word as the docstring has it: what is held out for a seed stays the same."""
    labels = rng.choice(9, size=200, p=[0, *[1 / 7] * 7, 0]).astype(np.int32)
    _, held_out = stratified_ids(labels, 0.3, np.random.default_rng(1))
    counts, again = np.bincount(labels[held_out]), np.random.default_rng(1)
    drawn = [again.permutation(np.flatnonzero(labels == label))[:n] for label, n in enumerate(counts)]
    assert np.array_equal(held_out, np.sort(np.concatenate(drawn)))


def test_a_hundred_thousand_classes_are_divided_in_seconds():
    labels = np.arange(400_000, dtype=np.int32) % 100_000
    began = time.process_time()
    kept, held_out = stratified_ids(labels, 0.25, np.random.default_rng(0))
    assert time.process_time() - began < 8
    assert np.array_equal(np.bincount(labels[held_out]), np.ones(100_000))
    assert len(kept) == 300_000
