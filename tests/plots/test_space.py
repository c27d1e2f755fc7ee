import numpy as np
import pytest
from mpl_toolkits.mplot3d.art3d import Path3DCollection

from lossbench import plots
from lossbench.plots.drawing.space import MAX_POINTS, VIEWS

WEIGHTS = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def places(axes):
    """Coordinates of each 3-D scatter in the axes."""
    return [np.stack(c._offsets3d, axis=1) for c in axes.collections if isinstance(c, Path3DCollection)]


def test_points_and_directions_from_two_sides(rng):
    label = np.arange(80) % 2
    embedding = rng.standard_normal((80, 3))
    figure = plots.space(embedding, label, {"prototypes": WEIGHTS, "metric": "cosine"}, title="t")
    assert [(axes.elev, axes.azim) for axes in figure.axes] == list(VIEWS)
    for axes in figure.axes:
        points, ends = places(axes)
        np.testing.assert_allclose(points[np.lexsort(points.T)], embedding[np.lexsort(embedding.T)])
        unit = WEIGHTS / np.linalg.norm(WEIGHTS, axis=1, keepdims=True)
        np.testing.assert_allclose(ends / np.linalg.norm(ends, axis=1, keepdims=True), unit)
        assert [text.get_text() for text in axes.texts] == ["0", "1"]
        low, high = zip(axes.get_xlim(), axes.get_ylim(), axes.get_zlim())
        assert (low <= embedding.min(axis=0)).all()
        assert (embedding.max(axis=0) <= high).all()


def test_centers_stay_where_they_are_and_many_points_are_bounded(rng):
    embedding = rng.standard_normal((MAX_POINTS + 500, 3))
    description = {"prototypes": WEIGHTS, "metric": "euclidean"}
    figure = plots.space(embedding, np.arange(len(embedding)) % 2, description, title="t")
    points, centers = places(figure.axes[0])
    assert len(points) == MAX_POINTS
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["class center"]
    np.testing.assert_allclose(centers, WEIGHTS)


def test_errors():
    with pytest.raises(plots.CannotDraw, match=r"space: `embedding` must have the shape \(N, 3\), got \(4, 2\)\.$"):
        plots.space(np.zeros((4, 2)), np.zeros(4), title="t")
