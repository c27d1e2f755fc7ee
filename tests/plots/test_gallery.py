import matplotlib.colors
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from lossbench import plots
from lossbench.plots import Tile


def test_images_frames_and_texts(rng):
    color, gray = rng.integers(0, 256, (3, 6, 8), dtype=np.uint8), rng.integers(0, 256, (1, 6, 8), dtype=np.uint8)
    rows = [
        [Tile(gray, "$cat$", "taken for dog"), Tile(color, "dog", "0.5", False), Tile(gray, "$cat$", "0.7", True)],
        [Tile(color, "a name that is longer than its image and longer")],
    ]
    axes = plots.gallery(rows, title="t", note="n").axes[0]
    shown = [np.asarray(image.get_array()) for image in axes.images]
    assert [image.shape for image in shown] == [(6, 8), (6, 8, 3), (6, 8), (6, 8, 3)]
    assert np.array_equal(shown[1], color.transpose(1, 2, 0))
    places = [image.get_extent() for image in axes.images]
    assert all(abs((right - left) / (top - bottom) - 8 / 6) < 1e-9 for left, right, bottom, top in places)
    assert places[0][1] < places[1][0] < places[1][1] < places[2][0]
    assert places[3][3] < places[0][2]
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    same, other = frames[2], frames[1]
    assert same.get_linestyle() != other.get_linestyle()
    assert matplotlib.colors.to_hex(same.get_edgecolor()) != matplotlib.colors.to_hex(other.get_edgecolor())
    texts = [text.get_text() for text in axes.texts]
    assert texts[:6] == [r"\$cat\$", "taken for dog", "\u2260 dog", "0.5", r"= \$cat\$", "0.7"]
    assert texts[6] == "a name that is\u2026ge and longer"


def test_frames_are_explained_where_there_are_any():
    tile = Tile(np.zeros((1, 4, 4), np.uint8), "a")
    words = [
        plots.gallery([[tile, tile._replace(same=same)]], title="t", note="n")._supxlabel.get_text()
        for same in (None, True)
    ]
    assert words[0] == "n"
    assert words[1].startswith("n\nSolid frame and =: of the first one's class.")


def test_no_row_is_no_picture():
    with pytest.raises(plots.CannotDraw, match="must have at least one row"):
        plots.gallery([], title="t")
