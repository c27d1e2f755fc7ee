import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Ellipse

from lossbench import plots
from lossbench.plots.drawing import style

MEANS = np.array([[0.0, 4.0], [3.0, -2.0], [-4.0, -1.0]])


@pytest.fixture
def split(rng):
    label = np.repeat(np.arange(3), 40)
    return MEANS[label] + rng.standard_normal((120, 2)), label


def texts(axes):
    return {text.get_text(): np.array(text.xy) for text in axes.texts}


def drawn_points(axes):
    return [c for c in axes.collections if isinstance(c, PathCollection)]


def test_every_point_in_its_class_color(split):
    embedding, label = split
    (axes,) = plots.scatter(embedding, label, title="train").axes
    (points,) = drawn_points(axes)
    offsets, colors = np.asarray(points.get_offsets()), points.get_facecolors()[:, :3]
    order, expected = np.lexsort(offsets.T), np.lexsort(embedding.T)
    np.testing.assert_allclose(offsets[order], embedding[expected])
    np.testing.assert_allclose(colors[order], [to_rgb(style.color(c)) for c in label[expected]])
    assert axes.get_title() == "train"
    assert axes.get_xlabel() == "embedding dimension 1"
    for c in range(3):
        np.testing.assert_allclose(texts(axes)[str(c)], np.median(embedding[label == c], axis=0))


@pytest.mark.parametrize(
    ("extra", "deviation"),
    [
        ({}, np.ones((3, 2))),
        ({"log_variance": np.log([[4.0], [1.0], [0.25]])}, np.array([[2.0, 2.0], [1.0, 1.0], [0.5, 0.5]])),
        ({"log_variance": np.log([[4.0, 1.0]] * 3)}, np.array([[2.0, 1.0]] * 3)),
    ],
)
def test_a_density_has_ellipses_of_one_and_two_standard_deviations(split, extra, deviation):
    description = {"prototypes": MEANS, "metric": "density", **extra}
    (axes,) = plots.scatter(*split, description, title="t").axes
    ellipses = [patch for patch in axes.patches if isinstance(patch, Ellipse)]
    spread = np.broadcast_to(deviation[:, :, None] ** 2 * np.eye(2), (3, 2, 2))
    assert_same_ellipses(ellipses, [(m, count**2 * s) for m, s in zip(MEANS, spread) for count in (1, 2)])
    for ellipse in ellipses:  # nothing is cut off
        box = ellipse.get_extents().transformed(axes.transData.inverted())
        assert axes.get_xlim()[0] <= box.x0 < box.x1 <= axes.get_xlim()[1]
        assert axes.get_ylim()[0] <= box.y0 < box.y1 <= axes.get_ylim()[1]
    assert legend_texts(axes.figure) == ["1 standard deviation", "2 standard deviations", "class mean"]


def assert_same_ellipses(ellipses, expected):
    """Each of them, center and covariance, in order."""
    assert len(ellipses) == len(expected)
    for ellipse, (center, covariance) in zip(ellipses, expected):
        turn = np.radians(ellipse.angle)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        half = np.diag([ellipse.width / 2, ellipse.height / 2])
        np.testing.assert_allclose(ellipse.center, center)
        np.testing.assert_allclose(rotation @ half**2 @ rotation.T, covariance, atol=1e-9)


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_turned_ellipse(split):
    covariance = np.array([[[2.0, 0.8], [0.8, 1.0]]] * 3)
    description = {"prototypes": MEANS, "metric": "density", "covariance": covariance}
    (axes,) = plots.scatter(*split, description, title="t").axes
    assert_same_ellipses(axes.patches, [(m, n**2 * s) for m, s in zip(MEANS, covariance) for n in (1, 2)])


def test_centers_are_points_and_cosine_prototypes_rays(split):
    (axes,) = plots.scatter(*split, {"prototypes": MEANS, "metric": "euclidean"}, title="t").axes
    np.testing.assert_allclose(drawn_points(axes)[-1].get_offsets(), MEANS)
    assert legend_texts(axes.figure) == ["class center"]
    for description, options in (
        ({"prototypes": 9 * MEANS, "metric": "cosine"}, {}),
        ({"prototypes": 9 * MEANS, "metric": "euclidean"}, {"directions": True}),
    ):
        (axes,) = plots.scatter(*split, description, title="t", **options).axes
        (lines,) = [c for c in axes.collections if isinstance(c, LineCollection)]
        assert all((segment[0] == 0).all() for segment in lines.get_segments())
        ends = np.array([segment[1] for segment in lines.get_segments()])
        unit = ends / np.linalg.norm(ends, axis=1, keepdims=True)
        np.testing.assert_allclose(unit, MEANS / np.linalg.norm(MEANS, axis=1, keepdims=True))
        assert np.ptp(np.linalg.norm(ends, axis=1)) < 1e-9
        assert len(drawn_points(axes)) == 1
        assert legend_texts(axes.figure) == ["class weight (direction)"]


def test_points_are_pixels_in_a_vector_file(split, tmp_path):
    figure = plots.scatter(*split, {"prototypes": MEANS, "metric": "density"}, title="t")
    assert drawn_points(figure.axes[0])[0].get_rasterized()
    text = plots.save(figure, tmp_path / "a.svg").read_text()
    assert text.count("<image") == 1


def test_class_names_do_not_cover_each_other():
    embedding = np.zeros((6, 2)) + [[1e-3 * c, 0] for c in range(6)]
    figure = plots.scatter(embedding, np.arange(6), title="t", class_names=["automobile"] * 6)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for i, box in enumerate(boxes):
        assert not any(box.shrunk(0.98, 0.98).overlaps(other) for other in boxes[i + 1 :])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_class_names_stay_below_the_title_and_above_each_other(metric, rng):
    """Prototypes in a heap at the upper edge, which push their names upwards."""
    embedding = rng.standard_normal((200, 2))
    prototypes = np.array([[0.1 * c, 3.0 + 0.02 * (c % 3)] for c in range(10)])
    description = {"prototypes": prototypes, "metric": metric}
    names = [f"automobile {c}" for c in range(10)]
    figure = plots.scatter(embedding, np.arange(200) % 10, description, title="a title", class_names=names)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 10
    assert max(box.y1 for box in boxes) <= axes.title.get_window_extent().y0
    for i, box in enumerate(boxes):
        assert not any(box.shrunk(0.98, 0.9).overlaps(other) for other in boxes[i + 1 :])


def test_a_long_class_name_at_the_side_stays_in_the_frame():
    figure = plots.scatter(np.eye(3)[:, :2] * 9, np.arange(3), title="t", class_names=["a long name of one class"] * 3)
    figure.draw_without_rendering()
    frame = figure.axes[0].get_window_extent()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert min(box.x0 for box in boxes) >= frame.x0 - 1
    assert max(box.x1 for box in boxes) <= frame.x1 + 1


def test_many_classes_and_a_class_without_members(rng):
    embedding, label = rng.standard_normal((500, 2)), rng.permutation(500) % 100
    (axes,) = plots.scatter(embedding, label, title="t").axes
    assert len(drawn_points(axes)) == 10  # markers
    class_at = {tuple(point): c for point, c in zip(embedding, label)}
    drawn = [(class_at[tuple(p)], c) for s in drawn_points(axes) for p, c in zip(s.get_offsets(), s.get_facecolors())]
    assert len(drawn) == 500
    np.testing.assert_allclose([c[:3] for _, c in drawn], [to_rgb(style.color(number)) for number, _ in drawn])
    assert len(axes.texts) == 0
    (axes,) = plots.scatter(embedding, np.where(label > 50, 4, 1), title="t").axes
    assert set(texts(axes)) == {"1", "4"}


def test_decision_regions(split):
    embedding, label = split
    figure = plots.decision_regions(lambda x: x @ MEANS.T, embedding, label, title="t", resolution=80)
    (axes,) = figure.axes
    regions = axes.images[0]
    left, right, bottom, top = regions.get_extent()
    assert left <= embedding[:, 0].min() < embedding[:, 0].max() <= right
    assert bottom <= embedding[:, 1].min() < embedding[:, 1].max() <= top
    pixels = np.asarray(regions.get_array())
    assert regions.origin == "lower"
    for point in [(0.0, 3.5), (3.0, -2.0), (-4.0, -1.0)]:
        column = round((point[0] - left) / (right - left) * 79)
        row = round((point[1] - bottom) / (top - bottom) * 79)
        winner = int((np.array(point) @ MEANS.T).argmax())
        np.testing.assert_allclose(pixels[row, column], style.mixed(winner, "white", 0.65))


@pytest.mark.parametrize(
    ("embedding", "label", "text"),
    [
        (np.zeros((4, 3)), np.zeros(4), r"`embedding` must have the shape \(N, 2\), got \(4, 3\).*Project"),
        (np.zeros((4, 2)), np.zeros(3), r"`label` must have the shape \(4,\), got \(3,\)"),
        (np.full((4, 2), np.nan), np.zeros(4), "`embedding` must have rows, all finite, got NaN or infinity in 4 rows"),
        (np.zeros((0, 2)), np.zeros(0), "`embedding` must have rows, all finite, got none"),
    ],
)
def test_errors(embedding, label, text):
    with pytest.raises(ValueError, match=text):
        plots.scatter(embedding, label, title="t")
    with pytest.raises(ValueError, match=text):
        plots.decision_regions(lambda x: x, embedding, label, title="t")


def test_equal_embeddings_are_drawn():
    plots.scatter(np.ones((5, 2)), np.zeros(5), {"prototypes": np.zeros((1, 2)), "metric": "cosine"}, title="t")
    plots.decision_regions(lambda x: x, np.ones((5, 2)), np.zeros(5), title="t", resolution=5)
