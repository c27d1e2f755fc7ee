import numpy as np
import pytest

from lossbench.evaluation import Unavailable, calibration


def slow(logits, label, bins):
    error = 0.0
    probability = np.array([np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in logits])
    for b in range(bins):
        inside = [i for i, p in enumerate(probability.max(axis=1)) if b / bins < p <= (b + 1) / bins]
        if inside:
            hit = np.mean([probability[i].argmax() == label[i] for i in inside])
            error += len(inside) / len(label) * abs(hit - np.mean([probability[i].max() for i in inside]))
    return error


@pytest.mark.parametrize("bins", [1, 15])
@pytest.mark.parametrize("scale", [0.1, 1, 1000])
@pytest.mark.parametrize("bound", [1, 10**9])
def test_is_the_slow_rule(rng, bins, scale, bound):
    logits, label = scale * rng.standard_normal((500, 4)), rng.integers(0, 4, 500)
    predicted, confidence = calibration.decide(logits, max_memory_bytes=bound)
    found = calibration.reliability(confidence, predicted == label, bins)
    assert found["expected_calibration_error"] == pytest.approx(slow(logits, label, bins), abs=1e-12)
    assert sum(found["members"]) == 500
    assert len(found["accuracy"]) == len(found["confidence"]) == bins


def test_closed_forms():
    """Sure and always right: 0. Sure and never: 1. One class of two by a coin: 1/2."""
    for right, error in ([True] * 4, 0), ([False] * 4, 1), ([True, False] * 2, 0.5):
        assert calibration.reliability([1.0] * 4, right)["expected_calibration_error"] == pytest.approx(error)
    assert calibration.reliability([1.0], [True])["members"][-1] == 1


def test_edges_belong_to_the_lower_bin():
    found = calibration.reliability([0.5, 0.5, 0.0], [True, False, False], bins=2)
    assert found["members"] == [3, 0]
    assert found["accuracy"] == [1 / 3, None]


def test_errors():
    with pytest.raises(Unavailable, match="calibration: `logits` must be finite"):
        calibration.decide([[np.inf, 0.0]])
    with pytest.raises(Unavailable, match="calibration: `logits` must have at least one row"):
        calibration.decide(np.zeros((0, 2)))
    with pytest.raises(Unavailable, match="calibration: `confidence` must have at least one row"):
        calibration.reliability([], [])
    for confidence, right in ([1.2], [True]), ([np.nan], [True]), ([0.5], [True, False]):
        with pytest.raises(ValueError, match=r"`confidence` must be \(N,\) numbers in \[0, 1\]"):
            calibration.reliability(confidence, right)
