import numpy as np
import pytest

from lossbench import plots


def test_the_plane_is_that_of_the_largest_variance(rng):
    embedding = rng.standard_normal((300, 12)) * np.r_[9, 5, np.ones(10)] + 50
    projection = plots.Projection(embedding)
    centred = embedding - embedding.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(centred.T))
    expected = centred @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(projection(embedding)), np.abs(expected), atol=1e-8)
    share = values[::-1] / values.sum()
    assert projection.axis_labels[0] == f"principal component 1 ({100 * share[0]:.0f} % of the variance)"


def test_equal_embeddings_and_errors():
    with np.errstate(invalid="ignore"):
        assert np.abs(plots.Projection(np.ones((5, 3)))(np.ones((2, 3)))).max() == 0
    with pytest.raises(ValueError, match=r"`embedding` must be \(N, D\) with N, D >= 2, got \(5, 1\)"):
        plots.Projection(np.ones((5, 1)))
    with pytest.raises(ValueError, match="tsne: `embedding` must have at least 4 rows, got 3"):
        plots.tsne(np.ones((3, 9)))


def test_tsne_keeps_clusters_apart(rng):
    label = np.repeat([0, 1], 30)
    rows, place = plots.tsne(100 * label[:, None] + rng.standard_normal((60, 8)))
    assert rows.tolist() == list(range(60))
    between = np.linalg.norm(place[label == 0].mean(axis=0) - place[label == 1].mean(axis=0))
    assert between > 3 * max(place[label == c].std(axis=0).max() for c in (0, 1))
