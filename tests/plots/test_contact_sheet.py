"""Small images on one sheet, each pixel seen and each image with its text."""

import numpy as np
import pytest

from lossbench.plots.contact_sheet import contact_sheet


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_is_where_it_belongs(rng, channels):
    images = rng.integers(0, 256, (5, channels, 8, 6), dtype=np.uint8)
    sheet = np.asarray(contact_sheet(images, ["a"] * 5, columns=3))
    for number, image in enumerate(images):
        left, top = 6 + number % 3 * 78, 6 + number // 3 * (72 + 20)
        tile = sheet[top : top + 72 : 9, left : left + 54 : 9]
        assert np.array_equal(tile, np.broadcast_to(image.transpose(1, 2, 0), (8, 6, 3)))


def test_texts_are_drawn_and_cut():
    blank = np.full((1, 1, 8, 8), 255, np.uint8)
    empty, short, long, longer = (
        np.asarray(contact_sheet(blank, [text])).astype(int) for text in ("", "$1 \u732b", "m" * 40, "m" * 4000)
    )
    assert (short != empty).any()
    assert np.array_equal(long, longer)


def test_large_images_are_made_small():
    assert contact_sheet(np.zeros((1, 3, 500, 300), np.uint8), ["a"], columns=1).size == (84, 98)
