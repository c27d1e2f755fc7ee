import json

import numpy as np
import pytest

from lossbench.evaluation import Unavailable, verification


@pytest.fixture
def scored(rng):
    same = np.arange(400) % 2 == 0
    return same + 0.6 * rng.standard_normal(400), same


@pytest.mark.parametrize("bound", [1, 3000, 10**9])
def test_similarity_of_each_pair(rng, bound):
    embedding = rng.standard_normal((30, 5)).astype(np.float32)
    first, second = rng.integers(0, 30, (2, 80))
    cosine = verification.similarity(embedding, first, second, max_memory_bytes=bound)
    distance = verification.similarity(embedding, first, second, "euclidean", max_memory_bytes=bound)
    for i, (a, b) in enumerate(zip(embedding[first].astype(float), embedding[second].astype(float))):
        assert cosine[i] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-6)
        assert distance[i] == pytest.approx(-np.sqrt(((a - b) ** 2).sum()), abs=1e-12)


def test_cosines_of_float32_rows_that_differ_in_the_ninth_digit(rng):
    """As a collapsed network gives them: unit vectors in float32 would all be equal."""
    embedding = np.array([[1, 0, 0], [1, 1e-5, 0], [1, 2e-5, 0], [1, 0, 3e-5]], np.float32) * 1000
    found = verification.similarity(embedding, [0, 0, 0], [1, 2, 3])
    np.testing.assert_allclose(1 - found, np.array([1, 4, 9]) * 1e-10 / 2, rtol=1e-4)


def slow_accuracy(score, same, folds):
    """Every threshold tried on the other folds, from the highest down; the first of the best is kept."""
    accuracies = []
    size = len(score) // folds
    for fold in range(folds):
        held = [i for i in range(len(score)) if fold * size <= i < (fold + 1) * size]
        rest = [i for i in range(len(score)) if i not in held]
        levels = sorted({score[i] for i in rest}, reverse=True)
        tried = [np.inf] + [(a + b) / 2 for a, b in zip(levels, levels[1:])] + [-np.inf]
        best, best_right = None, -1
        for threshold in tried:
            right = sum((score[i] > threshold) == same[i] for i in rest)
            if right > best_right:
                best, best_right = threshold, right
        accuracies.append(sum((score[i] > best) == same[i] for i in held) / size)
    return np.mean(accuracies), np.sqrt(np.mean((np.array(accuracies) - np.mean(accuracies)) ** 2))


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_accuracy_in_folds_is_the_slow_rule(scored, decimals):
    score, same = scored
    score = score.round(decimals)
    assert verification.accuracy_in_folds(score, same) == pytest.approx(slow_accuracy(score, same, 10))
    assert verification.accuracy_in_folds(-score, same, 4) == pytest.approx(slow_accuracy(-score, same, 4))


def test_accuracy_is_that_of_a_fine_grid_of_thresholds(rng):
    """The published form: a grid of distances, the first best one, strictly below; equal but for plateaus."""
    same = np.arange(6000) % 2 == 0
    distance = np.where(same, 0.9, 1.3) + 0.2 * rng.standard_normal(6000)
    grid = np.arange(0, 4, 0.001)
    folds = np.array_split(np.arange(6000), 10)
    accuracies = []
    for held in folds:
        rest = np.setdiff1d(np.arange(6000), held)
        right = ((distance[rest, None] < grid) == same[rest, None]).mean(axis=0)
        accuracies.append(np.mean((distance[held] < grid[right.argmax()]) == same[held]))
    mean, std = verification.accuracy_in_folds(-distance, same)
    assert mean == pytest.approx(np.mean(accuracies), abs=2e-3)
    assert std == pytest.approx(np.std(accuracies), abs=4e-3)


def test_scores_that_are_neighboring_numbers():
    """Their middle is one of the two, whichever has the even last digit."""
    numbers = [0.1, np.nextafter(0.1, 1), np.nextafter(np.nextafter(0.1, 1), 1)]
    for low, high in zip(numbers, numbers[1:]):
        assert verification.accuracy_in_folds([high, low] * 4, [True, False] * 4, 2) == (1.0, 0.0)


def test_all_metrics(scored):
    score, same = scored
    metrics = verification.verify(score, same)
    assert metrics["same_pairs"] == metrics["different_pairs"] == 200
    assert 0.8 < metrics["area_under_roc"] < 1
    assert metrics["accuracy"] == pytest.approx(1 - metrics["equal_error_rate"], abs=0.05)
    assert metrics["tar_at_far_1e-1"] > metrics["tar_at_far_1e-2"]
    assert metrics["tar_at_far_1e-3"]["unavailable"] == (
        "verification: a FAR of 1e-3 needs at least 1,000 different pairs, got 200."
    )
    reach = verification.verify(score, same, false_accept_rates=[1 / 200, 1 / 200.1, 0.3])
    assert [isinstance(value, float) for name, value in reach.items() if name.startswith("tar")] == [True, False, True]
    assert json.loads(json.dumps(metrics)) == metrics


def test_one_failing_metric_never_loses_the_others(scored):
    score, same = scored
    order = np.argsort(~same, kind="stable")
    metrics = verification.verify(score[order], same[order])
    assert "both kinds, got one kind in fold 1" in metrics["accuracy"]["unavailable"]
    assert isinstance(metrics["area_under_roc"], float)
    metrics = verification.verify(score[same], same[same])
    assert "there must be negative examples" in metrics["area_under_roc"]["unavailable"]
    metrics = verification.verify(np.where(same, np.nan, score), same)
    assert all("NaN" in metrics[name]["unavailable"] for name in ("area_under_roc", "equal_error_rate", "accuracy"))


def test_names_of_rates():
    names = verification.verify([1.0, 0.0], [True, False], false_accept_rates=[1.0, 0.1, 0.05, 1e-6], folds=2)
    assert [name for name in names if name.startswith("tar")] == [
        "tar_at_far_1e0",
        "tar_at_far_1e-1",
        "tar_at_far_5e-2",
        "tar_at_far_1e-6",
    ]


def test_errors():
    with pytest.raises(Unavailable, match="`embedding` must be finite"):
        verification.similarity([[np.nan]], [0], [0])
    with pytest.raises(ValueError, match=r"`second` must have the shape \(1,\)"):
        verification.similarity([[1.0]], [0], [0, 0])
    with pytest.raises(ValueError, match=r"`score` and `same` must be \(P,\), got \(1,\) and \(2,\)"):
        verification.verify([1.0], [True, False])
    with pytest.raises(ValueError, match="`folds` must be at least 2, got 1"):
        verification.accuracy_in_folds([1.0, 0.0], [True, False], 1)


@pytest.mark.parametrize(("same", "accepted"), [([False, True, False], "none"), ([False, True, True], "all")])
def test_a_best_threshold_that_tells_no_pairs_apart_is_none(same, accepted):
    with pytest.raises(Unavailable, match=f"must tell pairs apart, but the best accepts {accepted}."):
        verification.best_threshold([0.9, 0.5, 0.1], same)
