import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics

from lossbench.evaluation import Unavailable, roc


@pytest.fixture(params=["distinct", "ties", "apart", "reversed"])
def scores(request, rng):
    positive, negative = rng.standard_normal(70) + 1, rng.standard_normal(90)
    if request.param == "ties":
        positive, negative = positive.round(), negative.round()
    if request.param == "apart":
        positive = positive + 100
    if request.param == "reversed":
        positive, negative = positive - 1, negative + 1
    return positive, negative


def slow_rates(positive, negative, threshold):
    accepted = sum(s > threshold for s in negative) / len(negative)
    return accepted, sum(s > threshold for s in positive) / len(positive)


def test_curve_and_area_are_scikit_learns(scores):
    label, score = np.repeat([1, 0], [len(scores[0]), len(scores[1])]), np.concatenate(scores)
    threshold, false_positive_rate, true_positive_rate = roc.curve(*scores)
    # Scikit-learn accepts scores at the threshold, so its points come one place later.
    expected = metrics.roc_curve(label, score, drop_intermediate=False)
    np.testing.assert_allclose(false_positive_rate, expected[0])
    np.testing.assert_allclose(true_positive_rate, expected[1])
    for t, *rates in zip(threshold, false_positive_rate, true_positive_rate):
        assert tuple(rates) == slow_rates(*scores, t)
    assert roc.area(*scores) == pytest.approx(metrics.roc_auc_score(label, score), abs=1e-12)


@pytest.mark.parametrize("target", [1 / 90, 0.05, 0.1, 0.29, 0.5, 89 / 90, 1.0])
def test_true_positive_rate_at_every_threshold_tried(scores, target):
    tried = [slow_rates(*scores, t) for t in [-np.inf, *np.concatenate(scores)]]
    assert roc.true_positive_rate_at(*scores, target) == max(tpr for fpr, tpr in tried if fpr <= target)


@pytest.mark.parametrize("target", [0.01, 0.5, 0.95, 69 / 70, 1.0])
def test_false_positive_rate_at_every_threshold_tried(scores, target):
    positive, negative = scores
    tried = [(np.mean(positive >= t), np.mean(negative >= t)) for t in np.concatenate(scores)]
    assert roc.false_positive_rate_at(*scores, target) == pytest.approx(min(f for t, f in tried if t >= target))


@pytest.mark.parametrize("count", [3, 7, 10, 49, 100, 1000])
def test_shares_are_counted_exactly(count):
    """A rate of m / n accepts m of n, although m / n * n may round to either side."""
    negative = np.arange(count, dtype=float)
    for m in range(1, count):
        assert roc.true_positive_rate_at([count - m - 0.5], negative, m / count) == 1.0, m
        assert roc.true_positive_rate_at([count - m - 1.5], negative, m / count) == 0.0, m
        assert roc.false_positive_rate_at(negative, [count - m - 0.5], m / count) == 0.0, m
        assert roc.false_positive_rate_at(negative, [count - m], m / count) == 1.0, m


def test_equal_error_rate_at_every_threshold_tried(scores):
    tried = [slow_rates(*scores, t) for t in [-np.inf, *np.concatenate(scores)]]
    closest = min((round(abs(fpr - (1 - tpr)), 12), (fpr + 1 - tpr) / 2) for fpr, tpr in tried)
    assert roc.equal_error_rate(*scores) == pytest.approx(closest[1], abs=1e-12)


def test_of_equally_close_error_rates_the_smaller_mean_counts():
    """Accepting one by one: rates (1/4, 1/2), then (1/4, 0), both 1/4 apart."""
    assert roc.equal_error_rate([6.0, 4.0], [5.0, 3.0, 2.0, 1.0]) == 1 / 8


def test_closed_forms():
    """Two normal distributions a distance d apart: area Phi(d / sqrt 2), equal error rate Phi(-d / 2)."""
    grid = (np.arange(20000) + 0.5) / 20000
    positive, negative = norm.ppf(grid) + 1.5, norm.ppf(grid)
    assert roc.area(positive, negative) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=1e-4)
    assert roc.equal_error_rate(positive, negative) == pytest.approx(norm.cdf(-0.75), abs=1e-4)
    assert roc.true_positive_rate_at(positive, negative, 0.01) == pytest.approx(norm.sf(norm.isf(0.01) - 1.5), abs=1e-3)
    assert roc.false_positive_rate_at(positive, negative, 0.95) == pytest.approx(
        norm.sf(norm.isf(0.95) + 1.5), abs=1e-3
    )


def test_extremes():
    assert roc.area([1.0], [1.0]) == 0.5
    assert roc.equal_error_rate([1.0], [1.0]) == 0.5
    assert roc.equal_error_rate([2.0], [1.0]) == 0.0
    assert roc.equal_error_rate([1.0], [2.0]) == 1.0
    assert roc.area([np.inf], [-np.inf, 0.0]) == 1.0


@pytest.mark.parametrize(
    ("function", "arguments", "error", "text"),
    [
        (roc.area, ([], [1.0]), Unavailable, "roc: there must be positive examples, got none"),
        (roc.curve, ([1.0], []), Unavailable, "roc: there must be negative examples, got none"),
        (roc.area, ([1.0], [np.nan]), Unavailable, "the scores of negative examples must be numbers, got NaN"),
        (roc.true_positive_rate_at, ([1.0], [1.0] * 9, 0.1), Unavailable, "at least 1 / 9, .* got 0.1"),
        (roc.true_positive_rate_at, ([1.0], [1.0], 0), ValueError, r"must be in \(0, 1\], got 0"),
        (roc.false_positive_rate_at, ([1.0], [1.0], 95), ValueError, r"must be in \(0, 1\], got 95"),
    ],
)
def test_errors(function, arguments, error, text):
    with pytest.raises(error, match=text):
        function(*arguments)


def test_corners_draw_the_same_curve(rng):
    positive, negative = rng.integers(3, 40, 900).astype(float), rng.standard_normal(700) * 10 + 15
    _, far, tar = roc.curve(positive, negative)
    kept = roc.corners(far, tar)
    assert (kept[0], kept[-1]) == (0, len(far) - 1)
    assert len(kept) < len(far)
    left_out = np.setdiff1d(np.arange(len(far)), kept)
    before, after = kept[np.searchsorted(kept, left_out) - 1], kept[np.searchsorted(kept, left_out)]
    on_one_line = (far[before] == far[left_out]) & (far[left_out] == far[after])
    on_one_line |= (tar[before] == tar[left_out]) & (tar[left_out] == tar[after])
    assert on_one_line.all()


def test_too_many_corners_are_thinned_from_the_beginning_on_less():
    far = np.repeat(np.arange(5001) / 5000, 2)[1:]
    tar = np.repeat(np.arange(5001) / 5000, 2)[:-1]
    kept = roc.corners(far, tar, most=1000)
    assert 700 < len(kept) <= 1000
    assert kept[:100].tolist() == list(range(100))
    assert kept[-1] == len(far) - 1
    assert np.count_nonzero(kept < 1000) > 2 * np.count_nonzero((kept >= 4000) & (kept < 5000))
