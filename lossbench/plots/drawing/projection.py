"""Embeddings of more than two dimensions brought to the plane."""

from __future__ import annotations

import numpy as np

from lossbench.plots.checks import CannotDraw

# t-SNE of more rows takes minutes.
MAX_TSNE_ROWS = 3_000

MAX_COVARIANCE = 2_048  # of more dimensions, the matrix takes longer than a random search for the plane


class Projection:
    """The plane of largest variance of some embeddings, principal component analysis.

    Parameters
    ----------
    embedding : (N, D) array
        The embeddings that fix the plane, usually those of the training split; D >= 2.

    Attributes
    ----------
    axis_labels : pair of str
        For the figures: which component, and its share of the variance.

    Examples
    --------
    >>> projection = Projection(np.array([[0.0, 0.0, 5.0], [4.0, 0.0, 5.0], [0.0, 2.0, 5.0], [4.0, 2.0, 5.0]]))
    >>> projection.axis_labels
    ('principal component 1 (80 % of the variance)', 'principal component 2 (20 % of the variance)')
    >>> np.abs(projection(np.array([[2.0, 1.0, 9.0]]))).round(6)
    array([[0., 0.]])
    """

    def __init__(self, embedding):
        embedding = np.asarray(embedding, np.float64)
        if embedding.ndim != 2 or min(embedding.shape) < 2:
            raise CannotDraw(f"Projection: `embedding` must be (N, D) with N, D >= 2, got {embedding.shape}.")
        if not np.isfinite(embedding).all():
            raise CannotDraw("Projection: `embedding` must be finite, got NaN or infinity.")
        self._mean, self._axes, share = _plane(embedding)
        share = 100 * np.nan_to_num(share)
        self.axis_labels = tuple(f"principal component {i + 1} ({share[i]:.0f} % of the variance)" for i in range(2))

    def __call__(self, embedding):
        """Return embeddings, or prototypes, of D dimensions in the plane: (N, 2) float64."""
        return (np.asarray(embedding, np.float64) - self._mean) @ self._axes.T

    def of_density(self, description: dict) -> dict:
        """Return what `scatter` needs of a Gaussian density over D dimensions: its projection, a density, too.

        The means become `prototypes` (C, 2); from the variances, 1 where there is no `log_variance`, comes
        `covariance` (C, 2, 2).

        Examples
        --------
        >>> projection = Projection(np.array([[0.0, 0.0, 5.0], [4.0, 0.0, 5.0], [0.0, 2.0, 5.0], [4.0, 2.0, 5.0]]))
        >>> density = {"prototypes": np.array([[2.0, 1.0, 5.0]]), "log_variance": np.log([[9.0, 4.0, 1.0]])}
        >>> projection.of_density(density)["covariance"].round(6).tolist()
        [[[9.0, 0.0], [0.0, 4.0]]]
        """
        means = np.asarray(description["prototypes"], np.float64)
        log_variance = np.asarray(description.get("log_variance", 0.0), np.float64)
        variance, axes = np.broadcast_to(np.exp(log_variance), means.shape), self._axes
        covariance = np.einsum("id,cd,jd->cij", axes, variance, axes, optimize=True)
        return {"prototypes": self(means), "metric": "density", "covariance": covariance}


def _plane(embedding):
    """Return the mean (D,), the two axes of largest variance (2, D) and their shares of it (2,)."""
    if embedding.shape[1] > MAX_COVARIANCE:
        from sklearn.decomposition import PCA

        pca = PCA(2, svd_solver="randomized", random_state=0).fit(embedding)
        return pca.mean_, pca.components_, pca.explained_variance_ratio_
    # Importing scikit-learn, which has this too, takes longer than a short training.
    variance, axes = np.linalg.eigh(np.cov(embedding.T))
    variance, axes = variance.clip(0), axes[:, :-3:-1].T
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1)
    with np.errstate(invalid="ignore"):  # equal rows
        return embedding.mean(axis=0), axes * np.sign(largest), variance[:-3:-1] / variance.sum()


def tsne(embedding, beside=None, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which rows were chosen (at most 3,000) and their places in the plane by t-SNE.

    Distances between far apart points mean nothing in such a picture, and points that were not chosen cannot be added.

    Parameters
    ----------
    embedding : (N, D) array
    beside : (C, D) array, optional
        Rows placed along with the chosen ones, such as class means.
    seed : int
        Of the choice of rows and of the start.

    Returns
    -------
    rows : (M,) int64 array, ascending
    place : (M, 2) float32 array
    place_beside : (C, 2) float32 array
    """
    embedding = np.asarray(embedding, np.float32)
    if len(embedding) < 4:
        raise CannotDraw(f"tsne: `embedding` must have at least 4 rows, got {len(embedding)}.")
    rows = np.sort(np.random.default_rng(seed).permutation(len(embedding))[:MAX_TSNE_ROWS])
    beside = embedding[:0] if beside is None else np.asarray(beside, np.float32)
    together = np.concatenate([embedding[rows], beside])
    perplexity = min(30.0, (len(together) - 1) / 3)
    from sklearn.manifold import TSNE

    place = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(together)
    return rows, place[: len(rows)], place[len(rows) :]
