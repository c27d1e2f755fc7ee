import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from PIL import Image

from lossbench import plots
from lossbench.plots.drawing.animation import MAX_FRAMES

LABEL = np.arange(300) % 3


@pytest.fixture
def frames(rng):
    means = np.array([[0.0, 6.0], [5.0, -3.0], [-5.0, -3.0]])
    noise = rng.standard_normal((300, 2))
    return [
        {"embedding": t * means[LABEL] + noise, "label": LABEL, "prototypes": t * means + 0.1} for t in (0.1, 1.5, 1)
    ]


TITLES = ["epoch 1", "epoch 2", "epoch 3"]


def test_frames_hold_the_epochs_within_the_same_axes(frames):
    moving = plots.animation(frames, titles=TITLES)
    limits = set()
    for number, frame in enumerate(frames):
        (axes,) = moving.figure(number).axes
        points, centers = [np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)]
        np.testing.assert_allclose(points[np.lexsort(points.T)], frame["embedding"][np.lexsort(frame["embedding"].T)])
        np.testing.assert_allclose(centers, frame["prototypes"])
        assert axes.get_title() == TITLES[number]
        limits.add((axes.get_xlim(), axes.get_ylim()))
    assert len(limits) == 1
    ((left, right), (bottom, top)) = limits.pop()
    inside = np.concatenate([frame["embedding"] for frame in frames])
    assert ((inside > (left, bottom)) & (inside < (right, top))).all(axis=1).mean() > 0.98
    for frame in frames:
        assert ((frame["prototypes"] > (left, bottom)) & (frame["prototypes"] < (right, top))).all()


def test_directions_are_rays(frames):
    (axes,) = plots.animation(frames, titles=TITLES, directions=True).figure(2).axes
    (rays,) = [c for c in axes.collections if isinstance(c, LineCollection)]
    ends = np.array([segment[1] for segment in rays.get_segments()])
    unit = frames[2]["prototypes"] / np.linalg.norm(frames[2]["prototypes"], axis=1, keepdims=True)
    np.testing.assert_allclose(ends / np.linalg.norm(ends, axis=1, keepdims=True), unit)


def test_a_gif_of_all_frames_that_rests_at_the_end(frames, tmp_path):
    path = plots.save(plots.animation(frames, titles=TITLES), tmp_path / "a.gif")
    with Image.open(path) as image:
        assert (image.n_frames, image.info["loop"]) == (3, 0)
        times, sizes, last = [], set(), None
        for number in range(3):
            image.seek(number)
            times.append(image.info["duration"])
            sizes.add(image.size)
            pixels = np.asarray(image.convert("RGB"))
            assert last is None or (pixels != last).any()
            last = pixels
    assert times == [500, 500, 2500]
    assert sizes == {(600, 620)}


def test_long_trainings_are_thinned_out(frames):
    moving = plots.animation(frames * 100, titles=[f"epoch {n}" for n in range(300)])
    assert len(moving) == MAX_FRAMES
    assert moving.figure(0).axes[0].get_title() == "epoch 0"
    assert moving.figure(MAX_FRAMES - 1).axes[0].get_title() == "epoch 299"


def test_errors(frames):
    with pytest.raises(plots.CannotDraw, match="animation: `frames` must have at least one epoch, got none"):
        plots.animation([], titles=[])
    bad = {**frames[0], "embedding": np.full((300, 2), np.nan)}
    with pytest.raises(plots.CannotDraw, match="got NaN or infinity in 300 rows"):
        plots.animation([bad], titles=["t"])
