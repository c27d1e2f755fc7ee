import json

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

from lossbench.evaluation import Unavailable, retrieval


def slow(embedding, label, reference=None, reference_label=None, recall_at=(1, 2, 4, 8), metric="euclidean"):
    """Query by query, rank by rank."""
    own = reference is None
    if own:
        reference, reference_label = embedding, label
    if metric == "cosine":
        embedding, reference = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (embedding, reference))
    sums = {}
    count = 0
    for query, (x, y) in enumerate(zip(embedding, label)):
        ranked = sorted((((x - r) ** 2).sum(), i) for i, r in enumerate(reference) if not (own and i == query))
        hits = [reference_label[i] == y for _, i in ranked]
        relevant = sum(hits)
        if relevant == 0:
            continue
        count += 1
        average_precision = 0.0
        for i in range(1, relevant + 1):
            if hits[i - 1]:
                average_precision += sum(hits[:i]) / i
        one = {"precision_at_1": hits[0], "r_precision": sum(hits[:relevant]) / relevant}
        one["map_at_r"] = average_precision / relevant
        one.update({f"recall_at_{k}": any(hits[:k]) for k in recall_at})
        for name, value in one.items():
            sums[name] = sums.get(name, 0) + value
    return {**{name: total / count for name, total in sums.items()}, "queries": count}


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("size", [2, 20])
@pytest.mark.parametrize("own", [True, False])
def test_is_the_slow_rule(rng, metric, size, own):
    label = np.r_[rng.integers(0, 5, 70), 9]  # class 9 has one member
    embedding = rng.standard_normal((71, size)) + 0.7 * rng.standard_normal((10, size))[label]
    reference = {} if own else {"reference": rng.standard_normal((40, size)), "reference_label": rng.integers(0, 5, 40)}
    options = {f"reference_{'embedding' if n == 'reference' else 'label'}": a for n, a in reference.items()}
    found = retrieval.retrieve(embedding, label, metric=metric, **options)
    assert found == pytest.approx(slow(embedding, label, metric=metric, **reference))
    assert found["queries"] == 70
    bounded = retrieval.retrieve(embedding, label, metric=metric, max_memory_bytes=1, **options)
    assert bounded == pytest.approx(found, abs=1e-12)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("size", [4, 150])
def test_no_digit_depends_on_the_bound_of_memory(size, rng):
    embedding, label = rng.normal(size=(600, 3)), np.arange(600) // size
    found = retrieval.retrieve(embedding, label)
    for bound in (1, 5_000, 70_000):
        assert retrieval.retrieve(embedding, label, max_memory_bytes=bound) == found


def test_with_many_ties(rng):
    embedding, label = rng.integers(0, 2, (60, 3)).astype(float), rng.integers(0, 4, 60)
    assert retrieval.retrieve(embedding, label) == pytest.approx(slow(embedding, label))


@pytest.mark.parametrize(
    ("ranking", "r_precision", "map_at_r"),
    [([1, 0, 0, 1, 1], 1 / 3, 1 / 3), ([0, 1, 1, 1, 0], 2 / 3, (1 / 2 + 2 / 3) / 3), ([1, 1, 1, 0, 0], 1, 1)],
)
def test_known_rankings(ranking, r_precision, map_at_r):
    """R = 3; the first is where dividing by the hits found would give 1 instead of 1/3."""
    reference = np.arange(1.0, 6)[:, None]
    found = retrieval.retrieve(
        [[0.0]], [1], reference_embedding=reference, reference_label=ranking, recall_at=[1, 2, 5, 6]
    )
    assert found["r_precision"] == pytest.approx(r_precision)
    assert found["map_at_r"] == pytest.approx(map_at_r)
    assert found["precision_at_1"] == found["recall_at_1"] == ranking[0]
    assert found["recall_at_2"] == max(ranking[:2])
    assert found["recall_at_6"]["unavailable"] == ("retrieval: k must be at most the number of references (5), got 6.")


@pytest.mark.filterwarnings("default")  # those of PyTorch are not ours
def test_is_pytorch_metric_learnings(rng):
    torch = pytest.importorskip("torch")
    calculators = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    inference = pytest.importorskip("pytorch_metric_learning.utils.inference")
    label = np.r_[rng.integers(0, 6, 200), 8]
    embedding = (rng.standard_normal((201, 16)) + 0.8 * rng.standard_normal((9, 16))[label]).astype(np.float32)
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    search = inference.CustomKNN(distances.LpDistance(normalize_embeddings=False))
    calculator = calculators.AccuracyCalculator(include=names, k=None, knn_func=search)
    expected = calculator.get_accuracy(torch.tensor(embedding), torch.tensor(label))
    found = retrieval.retrieve(embedding, label)
    for theirs, ours in zip(names, ("precision_at_1", "r_precision", "map_at_r")):
        assert found[ours] == pytest.approx(expected[theirs], abs=1e-6)


def test_clusters_find_what_lies_apart(rng):
    label = np.repeat(np.arange(4), 30)
    embedding = 20 * rng.standard_normal((4, 6))[label] + rng.standard_normal((120, 6))
    found = retrieval.cluster(embedding, label)
    assert found["normalized_mutual_information"] == pytest.approx(1)
    assert found["adjusted_mutual_information"] == pytest.approx(1)
    assert retrieval.cluster(embedding, rng.permutation(label))["adjusted_mutual_information"] < 0.1
    assert retrieval.cluster(embedding * rng.uniform(0.1, 9, (120, 1)), label, metric="cosine")[
        "normalized_mutual_information"
    ] == pytest.approx(1)


@pytest.mark.parametrize("exponent", [-100, 60, 66, 120])
def test_clusters_are_the_same_at_any_length_of_the_embeddings(exponent, rng):
    """The squares of such numbers are no float32: NMI was 0, or that of another clustering."""
    label = np.arange(120) % 3
    embedding = (3 * np.eye(3)[label] + rng.normal(size=(120, 3))).astype(np.float32)
    assert retrieval.cluster(embedding * np.float32(2.0**exponent), label) == retrieval.cluster(embedding, label)


def test_clusters_are_repeatable_and_scored_as_scikit_learn_does(rng):
    embedding, label = rng.standard_normal((90, 3)), rng.integers(0, 3, 90)
    found = retrieval.cluster(embedding, label, seed=5)
    assert found == retrieval.cluster(embedding, label, seed=5)
    clusters = KMeans(3, n_init=3, random_state=5).fit_predict(embedding)
    assert found["normalized_mutual_information"] == pytest.approx(normalized_mutual_info_score(label, clusters))
    assert found["adjusted_mutual_information"] == pytest.approx(adjusted_mutual_info_score(label, clusters))


def test_a_collapsed_embedding_tells_nothing():
    found = retrieval.cluster(np.ones((20, 3)), np.arange(20) % 4)
    assert found["normalized_mutual_information"] == pytest.approx(0)


def test_errors():
    with pytest.raises(Unavailable, match="a query must have another image of its class, got none that has"):
        retrieval.retrieve([[0.0], [1.0]], [0, 1])
    with pytest.raises(Unavailable, match="a query must have another image of its class"):
        retrieval.retrieve([[0.0]], [7], reference_embedding=[[1.0]], reference_label=[0])
    with pytest.raises(Unavailable, match="retrieval: `embedding` must be finite"):
        retrieval.retrieve([[np.nan], [1.0]], [0, 0])
    with pytest.raises(Unavailable, match="clustering: there must be at least two classes, got 1"):
        retrieval.cluster([[0.0], [1.0]], [3, 3])
