import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection

from lossbench import plots
from lossbench.plots.drawing import circle

WEIGHTS = np.array([[3.0, 0.0], [0.0, 0.5], [-2.0, -2.0]])


def test_directions_and_weights_on_the_circle(rng):
    label = np.repeat(np.arange(3), 50)
    embedding = 7 * WEIGHTS[label] + 0.3 * rng.standard_normal((150, 2))
    (axes,) = plots.unit_circle(embedding, label, WEIGHTS, title="t").axes
    points = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)])
    expected = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    np.testing.assert_allclose(points[np.lexsort(points.T)], expected[np.lexsort(expected.T)])
    (rays,) = [c for c in axes.collections if isinstance(c, LineCollection)]
    ends = np.array([segment[1] for segment in rays.get_segments()])
    np.testing.assert_allclose(ends, WEIGHTS / np.linalg.norm(WEIGHTS, axis=1, keepdims=True))
    assert len(axes.patches) == 3
    for text in axes.texts:  # a name lies outside its class's bump
        c = int(text.get_text())
        np.testing.assert_allclose(np.linalg.norm(text.xy), 1 + circle.HEIGHT + 0.12)
        assert np.dot(text.xy, WEIGHTS[c]) / np.linalg.norm(text.xy) / np.linalg.norm(WEIGHTS[c]) > 0.97
    for axis in (axes.get_xlim(), axes.get_ylim()):
        assert axis == (-1 - circle.HEIGHT - 0.25, 1 + circle.HEIGHT + 0.25)


def test_the_spread_is_a_smoothed_histogram_of_the_turn(rng):
    angle = rng.uniform(-180, 180, 4000)
    angle[:1000] = rng.normal(178, 3, 1000)  # across the seam
    height = circle.spread(angle)
    away = np.abs(np.arange(360)[:, None] + 0.5 - (np.floor(angle % 360) + 0.5))
    away = np.minimum(away, 360 - away)
    slow = np.exp(-0.5 * (away / circle.SMOOTHING_DEGREES) ** 2).sum(axis=1)
    np.testing.assert_allclose(height, slow / slow.max(), atol=1e-6)


def test_zero_embeddings_are_left_out_and_all_zero_is_said():
    (axes,) = plots.unit_circle([[0, 0], [0, 2.0]], [0, 1], title="t").axes
    assert sum(len(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)) == 1
    with pytest.raises(plots.CannotDraw, match="unit_circle: an embedding must have a direction, but all are zero"):
        plots.unit_circle(np.zeros((3, 2)), [0, 1, 2], title="t")


def test_a_thousand_classes(rng):
    label = np.arange(3000) % 1000
    figure = plots.unit_circle(rng.standard_normal((3000, 2)), label, rng.standard_normal((1000, 2)), title="t")
    assert len(figure.axes[0].texts) == len(figure.axes[0].patches) == 0
