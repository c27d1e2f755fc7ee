import numpy as np
import pytest

from lossbench.evaluation import Unavailable, neighbors
from tests.evaluation.reference import slow_distances

METRICS = ("euclidean", "cosine")


def slow_knn(train_embedding, train_label, embedding, k, exclude_self=False, metric="euclidean"):
    predicted = []
    for query, one in enumerate(embedding):
        distances = slow_distances(train_embedding, one, metric)
        ranked = sorted((d, i) for i, d in enumerate(distances) if not (exclude_self and i == query))[:k]
        votes, total = {}, {}
        for d, i in ranked:
            votes[train_label[i]] = votes.get(train_label[i], 0) + 1
            total[train_label[i]] = total.get(train_label[i], 0.0) + d
        predicted.append(min(votes, key=lambda c: (-votes[c], total[c], c)))
    return predicted


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize(("k", "size"), [(1, 1), (1, 8), (2, 2), (5, 3), (10, 20), (39, 4)])
def test_knn_is_the_slow_rule(rng, metric, exclude_self, k, size):
    train, label = rng.standard_normal((40, size)), rng.integers(0, 4, 40)
    query = train if exclude_self else rng.standard_normal((25, size))
    predicted = neighbors.knn(train, label, query, k, exclude_self, metric=metric)
    assert predicted.tolist() == slow_knn(train, label, query, k, exclude_self, metric)


@pytest.mark.parametrize("size", [1, 2, 17])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_knn_on_a_grid_full_of_ties(rng, size, exclude_self):
    """Few coordinates, so that equal distances, equal points and equal votes abound, also at the k-th rank."""
    train = rng.integers(0, 3, (120, size)).astype(np.float32)
    train[60:] = train[rng.integers(0, 3, 60)]
    label = rng.integers(0, 5, 120)
    query = train if exclude_self else rng.integers(0, 3, (60, size)).astype(np.float32)
    for k in (1, 2, 4, 10, 119):
        predicted = neighbors.knn(train, label, query, k, exclude_self)
        assert predicted.tolist() == slow_knn(train, label, query, k, exclude_self), k


@pytest.mark.parametrize(
    ("train", "label", "k", "expected"),
    [
        ([1.0, 2.0, -3.0, -4.0], [5, 5, 2, 2], 4, 5),  # two votes each: the smaller sum, although the higher id
        ([1.0, 3.0, -2.0, -2.0], [5, 5, 2, 2], 4, 2),  # equal votes and sums: the lower id
        ([1.0, -2.0, -3.0], [0, 1, 1], 3, 1),  # the majority, although the other is nearer
        ([2.0, -2.0], [7, 1], 1, 7),  # equally near: the earlier
    ],
)
def test_knn_ties(train, label, k, expected):
    assert neighbors.knn(np.array(train)[:, None], label, [[0.0]], k) == [expected]


def test_knn_never_counts_a_training_embedding_itself(rng):
    pairs = np.repeat(rng.standard_normal((30, 6)), 2, axis=0)
    pairs[1::2] += 1e-3
    label = np.arange(60)
    assert neighbors.knn(pairs, label, pairs, 1).tolist() == label.tolist()
    assert neighbors.knn(pairs, label, pairs, 1, exclude_self=True).tolist() == (label ^ 1).tolist()


def test_knn_of_equal_embeddings(rng):
    label, collapsed = rng.integers(0, 3, 200), np.zeros((200, 30), np.float32)
    assert neighbors.knn(collapsed, label, collapsed, 200).tolist() == [np.bincount(label).argmax()] * 200


@pytest.mark.parametrize("size", [2, 40])
def test_memory_bound_changes_nothing(rng, size):
    train = rng.integers(0, 4, (300, size)) * 0.1
    label, query = rng.integers(0, 9, 300), rng.integers(0, 4, (60, size)) * 0.1
    for bound in (1, 5_000, 200_000):
        bounded = neighbors.knn(train, label, query, 7, max_memory_bytes=bound)
        assert (bounded == neighbors.knn(train, label, query, 7)).all()
        for metric in METRICS:
            options = {"metric": metric, "max_memory_bytes": bound}
            assert (
                neighbors.class_means(train, label, query, **options)
                == neighbors.class_means(train, label, query, metric=metric)
            ).all()
        scores = neighbors.centers(query, train[:9], "density", score=lambda x: -x[:, :2], max_memory_bytes=bound)
        assert (scores == (-query[:, :2]).argmax(axis=1)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_centers_is_the_slow_rule(rng, metric):
    prototypes, embedding = rng.standard_normal((7, 5)), rng.standard_normal((60, 5))
    expected = [int(np.argmin(slow_distances(prototypes, one, metric))) for one in embedding]
    assert neighbors.centers(embedding, prototypes, metric).tolist() == expected


def test_centers_ties_go_to_the_lowest_class():
    assert neighbors.centers([[0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).tolist() == [0]
    assert neighbors.centers([[0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], "cosine").tolist() == [0]
    assert neighbors.centers([[1.0]], [[2.0], [2.0]], "density", score=lambda x: np.ones((len(x), 2))).tolist() == [0]


def test_centers_by_density_differ_from_the_nearest_mean():
    """A wide class far away is likelier than a narrow one nearby."""
    means, variance = np.array([[0.0], [10.0]]), np.array([0.01, 100.0])

    def score(x):
        return -((x - means[:, 0]) ** 2) / (2 * variance) - np.log(variance) / 2

    assert neighbors.centers([[2.0]], means).tolist() == [0]
    assert neighbors.centers([[2.0]], means, "density", score=score).tolist() == [1]


def test_cosine_ignores_length(rng):
    train, label = rng.standard_normal((50, 6)), rng.integers(0, 4, 50)
    query = rng.standard_normal((30, 6))
    for other in (query * 1e-30, query * 1e30):
        assert (
            neighbors.knn(train, label, query, 3, metric="cosine")
            == neighbors.knn(train, label, other, 3, metric="cosine")
        ).all()
        assert (neighbors.centers(query, train, "cosine") == neighbors.centers(other, train, "cosine")).all()


@pytest.mark.parametrize("metric", METRICS)
def test_class_means_is_the_slow_rule(rng, metric):
    train, label = rng.standard_normal((90, 4)) + 1, rng.choice([0, 2, 5], 90)
    query = rng.standard_normal((50, 4))
    unit = train / np.linalg.norm(train, axis=1, keepdims=True) if metric == "cosine" else train
    means = [unit[label == c].mean(axis=0) if (label == c).any() else np.full(4, 1e9) for c in range(6)]
    if metric == "cosine":  # a class without members must lose, so it points away from every query
        cosines = np.array([[q @ m / np.linalg.norm(m) if m[0] < 1e8 else -np.inf for m in means] for q in query])
        expected = cosines.argmax(axis=1)
    else:
        expected = np.array([[np.linalg.norm(q - m) for m in means] for q in query]).argmin(axis=1)
    assert neighbors.class_means(train, label, query, metric=metric).tolist() == expected.tolist()


def test_one_class_and_one_query(rng):
    train = rng.standard_normal((5, 3))
    assert neighbors.knn(train, [3] * 5, train[:1], 5).tolist() == [3]
    assert neighbors.class_means(train, [3] * 5, train[:1]).tolist() == [3]
    assert neighbors.centers(train[:2], train[:1]).tolist() == [0, 0]
    assert neighbors.knn(train, [3] * 5, train[:0], 5).tolist() == []


def test_half_precision_and_integer_embeddings(rng):
    train, label = rng.integers(-9, 9, (40, 3)), rng.integers(0, 4, 40)
    query = rng.integers(-9, 9, (20, 3))
    expected = slow_knn(train, label, query, 5)
    assert neighbors.knn(train, label, query, 5).tolist() == expected
    assert neighbors.knn(train.astype(np.float16), label, query.astype(np.float16), 5).tolist() == expected
    assert neighbors.knn(train.astype(np.float32), label.astype(np.float32), query, 5).tolist() == expected


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"k": 11}, Unavailable, r"knn: `k` must be at most the number of neighbors \(10\), got 11\."),
        ({"k": 10, "exclude_self": True}, Unavailable, r"knn: `k` must be at most the number of neighbors \(9\)"),
        ({"k": 0}, ValueError, "knn: `k` must be a whole number from 1 on, got 0"),
        ({"k": 1.5}, ValueError, "knn: `k` must be a whole number from 1 on, got 1.5"),
        ({"metric": "manhattan"}, ValueError, "`metric` must be one of euclidean, cosine, got 'manhattan'"),
        ({"train_label": np.zeros(9)}, ValueError, r"`train_label` must have the shape \(10,\), got \(9,\)"),
        ({"train_label": np.full(10, -1)}, ValueError, "`train_label` must hold class ids 0, 1, 2, ..., got -1"),
        ({"train_label": np.full(10, 0.5)}, ValueError, "`train_label` must hold class ids 0, 1, 2, ..., got 0.5"),
        ({"embedding": np.zeros((4, 3))}, ValueError, r"`embedding` must have the shape \(N, 2\), got \(4, 3\)"),
        ({"embedding": np.zeros(2)}, ValueError, r"`embedding` must have the shape \(N, 2\), got \(2,\)"),
        ({"embedding": np.zeros((4, 2)), "exclude_self": True}, ValueError, "must be the 10 training embeddings"),
        ({"embedding": np.array([[0, np.nan]] * 3)}, Unavailable, "`embedding` must be finite.*in 3 of 3 rows"),
        ({"train_embedding": np.full((10, 2), np.inf)}, Unavailable, "`train_embedding` must be finite.*10 of 10"),
    ],
)
def test_knn_errors(change, error, text):
    arguments = {"train_embedding": np.eye(10, 2), "train_label": np.arange(10), "embedding": np.eye(10, 2), "k": 3}
    with pytest.raises(error, match=text):
        neighbors.knn(**{**arguments, **change})


def test_other_errors():
    with pytest.raises(Unavailable, match="centers: `score` must be finite, got NaN or infinity in 1 of 2 rows"):
        neighbors.centers(np.zeros((2, 1)), np.zeros((2, 1)), "density", score=lambda x: [[0, 1], [0, np.nan]])
    with pytest.raises(ValueError, match="centers: `score` must be a callable"):
        neighbors.centers(np.zeros((2, 1)), np.zeros((2, 1)), "density")
    with pytest.raises(Unavailable, match="class_means: `train_embedding` must have at least one row"):
        neighbors.class_means(np.zeros((0, 1)), np.zeros(0), np.zeros((2, 1)))
