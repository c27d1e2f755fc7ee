import tracemalloc

import numpy as np
import pytest
import sklearn.neighbors  # noqa: F401  (its own memory is not the search's)

from lossbench.evaluation import geometry, neighbors, retrieval, search, verification
from tests.evaluation.reference import slow_distances


def whole_nearest(*arguments, **options):
    """Index and distance of all queries."""
    parts, index, distance = zip(*search.nearest(*arguments, **options))
    assert np.concatenate([np.arange(p.start, p.stop) for p in parts]).tolist() == list(range(len(arguments[1])))
    return np.concatenate(index), np.concatenate(distance)


@pytest.fixture(params=["few pairs", "many pairs"])
def pairs(request, monkeypatch):
    """Proposals as for few pairs of rows and as for many."""
    monkeypatch.setattr(search, "_FEW_PAIRS", 0 if request.param == "many pairs" else search._FEW_PAIRS)


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize(("k", "size"), [(1, 1), (4, 3), (39, 2), (5, 30)])
def test_is_the_slow_order(rng, exclude_self, k, size):
    reference = rng.integers(0, 4, (40, size)) + 0.25 * rng.integers(0, 2, (40, size))
    query = reference if exclude_self else rng.integers(0, 4, (20, size)).astype(float)
    index, distance = whole_nearest(reference, query, k, exclude_self)
    for row, one in enumerate(query):
        ranked = sorted((d, i) for i, d in enumerate(slow_distances(reference, one, "euclidean")))
        ranked = [(d, i) for d, i in ranked if not (exclude_self and i == row)][:k]
        assert index[row].tolist() == [i for _, i in ranked]
        np.testing.assert_allclose(distance[row], [d for d, _ in ranked], rtol=1e-14)


@pytest.mark.usefixtures("pairs")
def test_equal_rows_are_taken_in_order():
    collapsed = np.zeros((200, 30), np.float32)
    index, distance = whole_nearest(collapsed, collapsed, 4, exclude_self=True)
    assert index.tolist() == [[j for j in range(6) if j != i][:4] for i in range(200)]
    assert (distance == 0).all()


@pytest.mark.usefixtures("pairs")
def test_a_row_among_many_equally_far_ones_leaves_out_itself():
    reference = np.concatenate([np.eye(20), np.zeros((1, 20)), -np.eye(20)])
    index, distance = whole_nearest(reference, reference, 4, exclude_self=True)
    assert index[20].tolist() == [0, 1, 2, 3]
    assert distance[20].tolist() == [1, 1, 1, 1]
    assert index[5].tolist() == [20, 0, 1, 2]


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize("size", [2, 40])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_memory_bound_changes_nothing(rng, size, exclude_self):
    reference = rng.integers(0, 4, (80, size)) * 0.1
    query = reference if exclude_self else rng.integers(0, 4, (60, size)) * 0.1
    whole = whole_nearest(reference, query, 7, exclude_self)
    for bound in (1, 5_000, 200_000):
        part = whole_nearest(reference, query, 7, exclude_self, max_memory_bytes=bound)
        assert (part[0] == whole[0]).all()
        assert (part[1] == whole[1]).all()


@pytest.mark.parametrize(
    "metric",
    [
        lambda x, y, bound: neighbors.knn(x, y, x, 10, True, max_memory_bytes=bound),
        lambda x, y, bound: list(search.nearest(x[:, :2], x[:, :2], 1, max_memory_bytes=bound)),
        lambda x, y, bound: list(search.nearest(np.tile(x, (2, 1)), x, 10, max_memory_bytes=bound)),
        lambda x, y, bound: retrieval.retrieve(x, y, max_memory_bytes=bound),
        lambda x, y, bound: geometry.describe(x, 0 * y, max_memory_bytes=bound),
        lambda x, y, bound: verification.similarity(x, *np.repeat([np.arange(len(x))], 2, axis=0), "euclidean", bound),
    ],
    ids=["knn", "few pairs", "many pairs", "retrieve", "geometry", "similarity"],
)
def test_memory_stays_within_its_bound(rng, metric):
    """The copies of the embeddings themselves and one number a row come on top."""
    embedding, label = rng.standard_normal((3000, 100)), rng.integers(0, 60, 3000)
    own = 3 * embedding.nbytes + 3000 * 100
    for bound in (2_000_000, 20_000_000):
        tracemalloc.start()
        metric(embedding, label, bound)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < own + bound


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize(("size", "offset"), [(2, 1e3), (64, 1e3), (64, 1e5)])
def test_float32_rows_far_from_the_origin(rng, size, offset):
    """Distances that a float32 matrix product would lose: squared norms of 1e12 beside squared distances of 1."""
    train = (offset + rng.standard_normal((500, size))).astype(np.float32)
    query = (offset + rng.standard_normal((40, size))).astype(np.float32)
    index, distance = whole_nearest(train, query, 12)
    for row, one in enumerate(query):
        exact = np.array(slow_distances(train, one, "euclidean"))
        assert index[row].tolist() == np.argsort(exact, kind="stable")[:12].tolist()
        np.testing.assert_allclose(distance[row], np.sort(exact)[:12], rtol=1e-12)


@pytest.mark.usefixtures("pairs")
def test_proposals_that_leave_out_a_nearer_neighbor_are_noticed(rng):
    """Where the matrix products' rounding exceeds the differences, every query goes through all distances."""
    train = 1e9 + rng.integers(0, 5, (200, 20)).astype(np.float64)
    query = train[:20] + 0.5
    index, _ = whole_nearest(train, query, 3)
    for row, one in enumerate(query):
        exact = ((train - one) ** 2).sum(axis=1)
        assert index[row].tolist() == np.argsort(exact, kind="stable")[:3].tolist()


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("kind", ["scattered", "many equal", "far away"])
def test_ordering_by_all_distances_is_the_same(rng, exclude_self, kind):
    reference = {
        "scattered": rng.standard_normal((50, 3)),
        "many equal": rng.integers(0, 3, (50, 2)).astype(float),
        "far away": (1e5 + rng.standard_normal((50, 3))).astype(np.float32),
    }[kind]
    query = reference if exclude_self else np.concatenate([reference[:10], reference[:10] + 0.5])
    for k in (1, 7, 49, 50 - exclude_self):
        expected, _ = whole_nearest(reference, query, k, exclude_self)
        for bound in (1, 3000, 10**9):
            parts, index = zip(*search.order(reference, query, k, exclude_self, bound))
            assert [part.start for part in parts] == list(range(0, len(query), parts[0].stop))
            assert np.concatenate(index).tolist() == expected.tolist()


def test_ordering_by_all_distances_stays_within_its_bound(rng):
    reference = rng.standard_normal((3000, 20))
    for bound in (2_000_000, 20_000_000):
        tracemalloc.start()
        for _ in search.order(reference, reference[:500], 1000, max_memory_bytes=bound):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < bound + 4 * reference.nbytes


def test_a_bar_counts_the_queries_where_it_is_asked_for(monkeypatch):
    made = []
    monkeypatch.setattr(search, "tqdm", lambda **options: made.append(Bar(options)) or made[-1])
    assert len(list(search.parts(5, 2, progress=True))) == 3
    assert (made[0].total, made[0].done, made[0].disable) == (5, 5, False)
    list(search.parts(5, 2))
    assert made[1].disable


class Bar:
    def __init__(self, options):
        self.total, self.disable, self.done = options["total"], options["disable"], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, count):
        self.done += count
