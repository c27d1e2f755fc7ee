import numpy as np
import pytest
from sklearn.decomposition import PCA

from lossbench import plots


def test_the_plane_is_that_of_the_largest_variance(rng):
    embedding = rng.standard_normal((300, 12)) * np.r_[9, 5, np.ones(10)] + 50
    projection = plots.Projection(embedding)
    centered = embedding - embedding.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(centered.T))
    expected = centered @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(projection(embedding)), np.abs(expected), atol=1e-8)
    share = values[::-1] / values.sum()
    assert projection.axis_labels[0] == f"principal component 1 ({100 * share[0]:.0f} % of the variance)"


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (50, 16), (300, 400), (100, 2_100)])
def test_the_plane_is_scikit_learns(rng, shape):
    """In the same direction, too."""
    embedding = rng.standard_normal(shape) * np.r_[9, 5, np.ones(shape[1] - 2)]
    projection, pca = plots.Projection(embedding), PCA(2, random_state=0).fit(embedding)
    np.testing.assert_allclose(projection(embedding), pca.transform(embedding), atol=1e-8)
    shares = [f"({100 * share:.0f} % of the variance)" for share in pca.explained_variance_ratio_]
    assert [label.partition("(")[1] + label.partition("(")[2] for label in projection.axis_labels] == shares


def test_equal_embeddings_and_errors():
    with np.errstate(invalid="ignore"):
        assert np.abs(plots.Projection(np.ones((5, 3)))(np.ones((2, 3)))).max() == 0
    with pytest.raises(ValueError, match=r"`embedding` must be \(N, D\) with N, D >= 2, got \(5, 1\)"):
        plots.Projection(np.ones((5, 1)))
    with pytest.raises(ValueError, match="tsne: `embedding` must have at least 4 rows, got 3"):
        plots.tsne(np.ones((3, 9)))


def test_a_density_is_projected(rng):
    embedding = rng.standard_normal((200, 5)) * [5, 4, 1, 1, 1]
    projection = plots.Projection(embedding)
    means, log_variance = rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
    projected = projection.of_density({"prototypes": means, "log_variance": log_variance})
    np.testing.assert_allclose(projected["prototypes"], projection(means))
    for c in range(3):  # what a sample of that Gaussian has, projected
        sample = means[c] + rng.standard_normal((200_000, 5)) * np.exp(log_variance[c] / 2)
        np.testing.assert_allclose(np.cov(projection(sample).T), projected["covariance"][c], rtol=0.05, atol=0.02)
    unit = projection.of_density({"prototypes": means})
    np.testing.assert_allclose(unit["covariance"], [np.eye(2)] * 3, atol=1e-12)


def test_tsne_keeps_clusters_apart(rng, monkeypatch):
    label = np.repeat([0, 1], 30)
    embedding = 100 * label[:, None] + rng.standard_normal((60, 8))
    means = np.array([embedding[label == c].mean(axis=0) for c in (0, 1)])
    rows, place, beside = plots.tsne(embedding, means)
    assert rows.tolist() == list(range(60))
    between = np.linalg.norm(place[label == 0].mean(axis=0) - place[label == 1].mean(axis=0))
    assert between > 3 * max(place[label == c].std(axis=0).max() for c in (0, 1))
    for c in (0, 1):
        distance = np.linalg.norm(place[label == c] - beside[c], axis=1)
        assert distance.max() < between / 2
    monkeypatch.setattr("lossbench.plots.drawing.projection.MAX_TSNE_ROWS", 20)
    rows, place, beside = plots.tsne(embedding)
    assert (len(rows), place.shape, beside.shape) == (20, (20, 2), (0, 2))
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(plots.tsne(embedding)[1], place)  # the same each time


def test_embeddings_that_are_not_finite():
    with pytest.raises(plots.CannotDraw, match="Projection: `embedding` must be finite, got NaN or infinity"):
        plots.Projection(np.full((4, 3), np.nan))
