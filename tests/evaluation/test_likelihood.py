import json

import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import multivariate_normal
from sklearn import metrics

from lossbench.evaluation import Unavailable, likelihood


def test_log_density_is_that_of_the_nearest_gaussian(rng):
    means, embedding = rng.standard_normal((4, 3)), rng.standard_normal((50, 3))
    logits = -((embedding[:, None] - means) ** 2).sum(axis=2) / 2
    expected = np.max([multivariate_normal(m).logpdf(embedding) for m in means], axis=0)
    np.testing.assert_allclose(likelihood.max_log_density(logits) - 1.5 * np.log(2 * np.pi), expected)


def test_probability_is_softmax(rng):
    logits = 5 * rng.standard_normal((60, 7))
    np.testing.assert_allclose(expit(likelihood.log_odds(logits)), softmax(logits, axis=1).max(axis=1))


def test_probabilities_that_round_to_one_are_still_ordered():
    logits = np.array([[60.0, 0.0], [90.0, 0.0], [5000.0, 0.0], [40.0, 0.0], [800.0, 0.0], [900.0, 0.0]])
    assert np.argsort(likelihood.log_odds(logits)).tolist() == [3, 0, 1, 4, 5, 2]
    assert likelihood.log_odds([[7.0], [8.0]]).tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("bound", [1, 10**9])
def test_closeness_is_the_slow_rule(rng, metric, bound):
    train, label, embedding = rng.standard_normal((40, 3)) + 1, rng.choice([1, 3], 40), rng.standard_normal((20, 3))
    found = likelihood.closeness_to_class_means(embedding, train, label, metric=metric, max_memory_bytes=bound)

    def unit(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True) if metric == "cosine" else x

    means = [unit(unit(train[label == c]).mean(axis=0)) for c in (1, 3)]
    expected = [-min(np.linalg.norm(unit(x) - m) for m in means) for x in embedding]
    np.testing.assert_allclose(found, expected)


def test_closeness_to_learned_centers(rng):
    centers, embedding = rng.standard_normal((4, 3)), rng.standard_normal((20, 3))
    expected = [-min(np.linalg.norm(x - c) for c in centers) for x in embedding]
    for bound in (1, 10**9):
        found = likelihood.closeness_to_centers(embedding, centers, max_memory_bytes=bound)
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_model_offers_the_scores_it_has(rng, metric):
    outputs = {"embedding": rng.standard_normal((20, 3)), "logits": rng.standard_normal((20, 4))}
    train = {"embedding": rng.standard_normal((40, 3)), "label": rng.integers(0, 4, 40)}
    centers = rng.standard_normal((4, 3))
    plain = likelihood.scores(outputs, train, metric=metric)
    assert list(plain) == ["softmax", "class_means"]
    every = likelihood.scores(outputs, train, metric=metric, is_density=True, centers=centers)
    assert list(every) == ["log_density", "softmax", "class_means", "centers"]
    expected = {
        "log_density": likelihood.max_log_density(outputs["logits"]),
        "softmax": likelihood.log_odds(outputs["logits"]),
        "class_means": likelihood.closeness_to_class_means(outputs["embedding"], *train.values(), metric=metric),
        "centers": likelihood.closeness_to_centers(outputs["embedding"], centers),
    }
    for name, score in expected.items():
        np.testing.assert_array_equal(every[name], score)


def test_detection_is_scikit_learns(rng):
    known, foreign = (rng.standard_normal(400) + 1.5).round(2), rng.standard_normal(300).round(2)
    found = likelihood.detect(known, foreign)
    label, score = np.repeat([1, 0], [400, 300]), np.concatenate([known, foreign])
    assert found["area_under_roc"] == pytest.approx(metrics.roc_auc_score(label, score))
    false_positive, true_positive, _ = metrics.roc_curve(label, score, drop_intermediate=False)
    assert found["false_positive_rate_at_95_tpr"] == pytest.approx(false_positive[true_positive >= 0.95].min())
    assert (found["known"], found["foreign"]) == (400, 300)
    assert json.loads(json.dumps(found)) == found


def test_extremes():
    assert likelihood.detect([2.0, 3.0], [0.0, 1.0])["area_under_roc"] == 1
    assert likelihood.detect([2.0, 3.0], [0.0, 1.0])["false_positive_rate_at_95_tpr"] == 0
    assert likelihood.detect([0.0], [1.0])["false_positive_rate_at_95_tpr"] == 1
    found = likelihood.detect([1.0, 2.0], [])
    assert "there must be negative examples" in found["area_under_roc"]["unavailable"]
    assert "there must be negative examples" in found["false_positive_rate_at_95_tpr"]["unavailable"]
    with pytest.raises(Unavailable, match="likelihood: `logits` must be finite"):
        likelihood.max_log_density([[np.nan]])
    with pytest.raises(Unavailable, match="likelihood: `train_embedding` must have at least one row"):
        likelihood.closeness_to_class_means([[1.0]], np.zeros((0, 1)), [])
