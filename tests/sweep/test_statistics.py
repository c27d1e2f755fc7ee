"""Every statistic against a second implementation or a closed form."""

import itertools
import math
import statistics as python_statistics

import numpy as np
import pytest
from scipy import stats

from lossbench.sweep import statistics


def test_mean_and_deviation_are_pythons(rng):
    values = rng.normal(0.9, 0.01, 7).tolist()
    found = statistics.summarize(values)
    assert found.n == 7
    assert found.mean == pytest.approx(python_statistics.fmean(values))
    assert found.deviation == pytest.approx(python_statistics.stdev(values))
    assert statistics.summarize([0.5]).deviation is None


@pytest.mark.parametrize("n", [2, 3, 8])
def test_the_t_interval_is_that_of_scipys_paired_test(rng, n):
    one, other = rng.normal(0.9, 0.01, (2, n))
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    found = statistics.t_interval(one - other)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_t_interval_of_a_textbook():
    """Student's own sleep data (Biometrika 1908): ten differences, interval 0.70 to 2.46."""
    found = statistics.t_interval([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    assert (round(found.low, 2), round(found.high, 2)) == (0.70, 2.46)


def test_one_pair_has_no_interval():
    assert statistics.t_interval([0.01]) is None


@pytest.mark.parametrize("pairs", [[(341, 343), (350, 352)], [(349, 350), (344, 345)], [(7, 7), (300, 300)]])
def test_differences_that_only_rounding_tells_apart_have_no_interval(pairs):
    """Of accuracies on 359 images; the differences of the first are not the same float."""
    assert statistics.t_interval([ours / 359 - theirs / 359 for theirs, ours in pairs]) is None


def paired(rng, seeds, images):
    """Differences of -1, 0, 1 that share hard images over the seeds."""
    chance = rng.uniform(0, 0.3, images)
    return rng.choice([-1, 1], p=[0.4, 0.6], size=images) * (rng.random((seeds, images)) < chance)


def resampled_one_by_one(differences, resamples, rng):
    """The definition: draw seeds, draw images, take the mean of what they cross at."""
    seeds, images = differences.shape
    means = []
    for _ in range(resamples):
        rows = rng.integers(seeds, size=seeds)
        columns = rng.integers(images, size=images)
        means.append(differences[np.ix_(rows, columns)].mean())
    return np.array(means)


def closed_deviation(differences):
    """Standard deviation of the resampled mean, from the moments of the two multinomial draws."""
    seeds, images = differences.shape
    total, rows, columns = differences.sum(), differences.sum(axis=1), differences.sum(axis=0)
    a, b = 1 - 1 / seeds, 1 - 1 / images
    second = a * b * total**2 + b * (rows**2).sum() + a * (columns**2).sum() + (differences**2).sum()
    return math.sqrt(second / (seeds * images) ** 2 - differences.mean() ** 2)


@pytest.mark.parametrize(("seeds", "images"), [(8, 300), (4, 1000)])
def test_the_bootstrap_is_that_of_the_definition(rng, seeds, images):
    differences = paired(rng, seeds, images)
    found = statistics.bootstrap_interval(differences, resamples=20_000)
    means = resampled_one_by_one(differences, 5000, rng)
    deviation = closed_deviation(differences)
    assert means.std() == pytest.approx(deviation, rel=0.05)
    expected = np.quantile(means, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.15 * deviation)


def test_the_bootstrap_repeats_and_knows_no_spread_where_there_is_none(rng):
    differences = paired(rng, 5, 200)
    assert statistics.bootstrap_interval(differences) == statistics.bootstrap_interval(differences)
    same = statistics.bootstrap_interval(np.ones((3, 50)))
    assert (same.low, same.high) == pytest.approx((1, 1))


def test_the_bootstrap_adds_whole_numbers_so_every_processor_has_its_bits(rng):
    wholes = []
    for _ in range(20):
        differences = paired(rng, 7, 30)
        found = statistics.bootstrap_interval(differences)
        ends = np.array([found.low, found.high])
        whole = np.round(ends * differences.size)
        of_a_resample = np.isclose(ends * differences.size, whole)  # others lie between two of them
        wholes.extend((ends == whole / differences.size)[of_a_resample])
    assert len(wholes) > 20
    assert all(wholes)


def all_sign_flips(differences):
    """The definition of the exact p: every assignment of signs."""
    observed = abs(sum(differences)) - 1e-12
    flips = itertools.product((1, -1), repeat=len(differences))
    hits = [abs(sum(s * d for s, d in zip(signs, differences))) >= observed for signs in flips]
    return sum(hits) / len(hits)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_the_sign_flip_p_tries_all_signs(rng, n):
    differences = rng.normal(0.5, 1, n)
    assert statistics.sign_flip_p(differences) == pytest.approx(all_sign_flips(differences))


def test_values_that_differ_in_their_last_bits_are_one(rng):
    values = rng.uniform(0.5, 1, 8)
    assert [statistics.difference(np.nextafter(value, 2), value) for value in values] == [0] * 8
    assert statistics.difference(0.9001, 0.9) == 0.9001 - 0.9
    with pytest.raises(ValueError, match="must be finite"):
        statistics.sign_flip_p([0.1, np.nan])


def test_the_sign_flip_p_with_ties_and_zeros():
    for differences in ([0.1, 0.1, 0.1, -0.1], [0.0, 0.0, 0.002], [0.0, 0.0], [0.3, 0.2, 0.1, 0.0, -0.1]):
        assert statistics.sign_flip_p(differences) == pytest.approx(all_sign_flips(differences))


@pytest.mark.parametrize("images", [359, 10_000])
def test_the_sign_flip_p_finds_the_ties_of_accuracies(rng, images):
    """Counts of images are exact, the differences of accuracies are not."""
    for n in (6, 7, 8) * 30:
        theirs = rng.integers(images // 2, images - 20, n)
        gained = rng.integers(-4, 9, n)
        differences = [(a + d) / images - a / images for a, d in zip(theirs, gained)]
        assert statistics.sign_flip_p(differences) == all_sign_flips(gained.tolist())


def test_the_smallest_p_is_reached_where_all_signs_agree(rng):
    for n in (3, 6, 10):
        assert statistics.sign_flip_p(rng.uniform(0.1, 1, n)) == statistics.smallest_p(n)


def test_beyond_twenty_pairs_the_p_is_sampled(rng):
    differences = rng.normal(0.4, 1, 24)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=50_000, random_state=rng, vectorized=True
    ).pvalue
    assert statistics.sign_flip_p(differences) == pytest.approx(expected, abs=0.01)
    assert statistics.sign_flip_p(rng.uniform(0.1, 1, 60)) == 2.0**-20, "the observed signs are among those tried"


def closed_testing(p_values):
    """Holm as what it is: the largest Bonferroni p over all sets of hypotheses that a hypothesis is in."""
    everyone = range(len(p_values))
    sets = [chosen for k in range(1, len(p_values) + 1) for chosen in itertools.combinations(everyone, k)]
    return [
        max(min(1, len(chosen) * min(p_values[j] for j in chosen)) for chosen in sets if index in chosen)
        for index in everyone
    ]


@pytest.mark.parametrize("m", [1, 2, 7])
def test_holm_is_closed_testing_with_bonferroni(rng, m):
    for p_values in (rng.uniform(0, 1, m), rng.uniform(0, 0.05, m), np.repeat(0.02, m)):
        assert statistics.holm(p_values.tolist()) == pytest.approx(closed_testing(p_values.tolist()))


@pytest.mark.parametrize("comparisons", [1, 2, 3, 9, 27])
def test_the_pairs_needed_are_the_first_that_can_reach_0_05(rng, comparisons):
    needed = statistics.pairs_needed(comparisons)
    for n, reached in ((needed, True), (needed - 1, False)):
        best = statistics.sign_flip_p(rng.uniform(0.1, 1, n))
        assert (statistics.holm([best] + [1.0] * (comparisons - 1))[0] < 0.05) == reached


@pytest.mark.parametrize("pairs", [(6, 6), (7, 7, 7), (8, 8, 6), (8, 4), (9, 6, 6), (5, 5)])
def test_the_best_holm_is_that_of_differences_of_one_sign(rng, pairs):
    p_values = [statistics.sign_flip_p(rng.uniform(0.1, 1, n)) for n in pairs]
    assert statistics.best_holm(pairs) == closed_testing([p if p < 0.05 else 1.0 for p in p_values])
