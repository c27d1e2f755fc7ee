"""Views, colors and holes against slow formulas, pixel by pixel; what is drawn, and how often."""

import numpy as np
import pytest

from lossbench.data import distortions
from lossbench.data.transforms import Augmentation

GRAY = (0.299, 0.587, 0.114)
JITTERS = [(0.4, 0, 0, 0), (0, 0.6, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0.5), (0.3, 0.3, 0.3, 0.5)]


def slow_view(image, one, fill):
    """Each pixel's middle through the map, then between the middles of the four pixels around it."""
    channels, height, width = image.shape
    out = np.empty(image.shape)
    a, b, c, d, e, f = one
    for y in range(height):
        for x in range(width):
            from_x, from_y = a * (x + 0.5) + b * (y + 0.5) + c, d * (x + 0.5) + e * (y + 0.5) + f
            if not (0 <= from_x < width and 0 <= from_y < height):
                out[:, y, x] = fill
                continue
            left, top = int(np.floor(from_x - 0.5)), int(np.floor(from_y - 0.5))
            across, down = from_x - 0.5 - left, from_y - 0.5 - top
            columns, rows = np.clip([left, left + 1], 0, width - 1), np.clip([top, top + 1], 0, height - 1)
            square = image[:, rows][:, :, columns].astype(float)
            line = square[:, 0] * (1 - down) + square[:, 1] * down
            out[:, y, x] = line[:, 0] * (1 - across) + line[:, 1] * across
    return out


@pytest.mark.parametrize("shape", [(6, 3, 9, 12), (6, 1, 11, 7)])
@pytest.mark.parametrize(("crop", "rotation"), [(0.3, 0), (1, 30), (0.5, 180)])
def test_a_view_is_the_slow_one(rng, shape, crop, rotation):
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    maps, fill = distortions.draw_views(rng, len(images), shape[2:], crop, rotation), (9, 20, 250)[: shape[1]]
    found = distortions.view(images, maps, fill)
    want = [slow_view(image, one, fill) for image, one in zip(images, maps)]
    assert np.mean(np.abs(found - np.array(want)) > 1) < 0.01  # a pixel on the edge may fall to either side


def test_a_turn_about_the_middle_and_a_crop_of_a_corner():
    image = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
    half = distortions.view(image, np.array([[-1.0, 0, 4, 0, -1, 4]]), 0)
    np.testing.assert_array_equal(half, image[:, :, ::-1, ::-1])
    maps = distortions.draw_views(np.random.default_rng(0), 500, (40, 60), 0.25, 0)
    share = maps[:, 0] * maps[:, 4]
    assert 0.25 <= share.min() < 0.28
    assert 0.9 < share.max() <= 1
    corners = np.stack([maps[:, 2], maps[:, 5], maps[:, 2] + 60 * maps[:, 0], maps[:, 5] + 40 * maps[:, 4]])
    assert corners[:2].min() >= -1e-9
    assert (corners[2].max(), corners[3].max()) <= (60 + 1e-9, 40 + 1e-9)
    turned = distortions.draw_views(np.random.default_rng(0), 500, (30, 50), 1, 20)
    angles = np.degrees(np.arctan2(turned[:, 1], turned[:, 0]))
    assert 19 < angles.max() <= 20
    assert -20 <= angles.min() < -19
    middle = turned[:, [0, 3]] * 25 + turned[:, [1, 4]] * 15 + turned[:, [2, 5]]
    np.testing.assert_allclose(middle, np.tile([25, 15], (500, 1)))


def slow_color(image, brightness, contrast, saturation, keeps_color):
    pixels = np.clip(image.astype(float) * brightness, 0, 255)

    def gray():
        return pixels[0] if len(pixels) == 1 else sum(share * plane for share, plane in zip(GRAY, pixels))

    mean = gray().mean()
    pixels = np.clip(contrast * pixels + (1 - contrast) * mean, 0, 255)
    if len(pixels) == 3:
        pixels = np.clip(saturation * pixels + (1 - saturation) * gray(), 0, 255)
        pixels = pixels if keeps_color else np.stack([gray()] * 3)
    return pixels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "options", [(0.4, 0, 0, 0), (0, 0.6, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0.5), (0.3, 0.3, 0.3, 0.5)]
)
def test_color_is_the_slow_one(rng, channels, options):
    images = rng.integers(0, 256, (20, channels, 5, 4), dtype=np.uint8)
    factors = distortions.draw_color(rng, 20, *options)
    found = distortions.color(images, factors)
    want = [slow_color(image, *one) for image, one in zip(images, factors)]
    assert np.abs(found - np.array(want)).max() <= 0.51
    for option, factor in zip(options[:3], factors.T):
        assert 1 - option <= factor.min() <= factor.max() <= 1 + option
    assert (0 < factors[:, 3].mean() < 1) == (options[3] == 0.5)


def test_holes_have_the_probability_and_the_sizes_of_the_paper(rng):
    holes = distortions.draw_holes(rng, 4000, (60, 90), 0.25)
    area = (holes[:, 2] * holes[:, 3] / 5400)[holes[:, 2] > 0]
    assert abs(len(area) / 4000 - 0.25) < 0.03
    assert 0.018 < area.min() < 0.03
    assert 0.3 < area.max() < 0.345
    assert (holes[:, 0] + holes[:, 2]).max() <= 61
    images = rng.integers(0, 255, (40, 3, 60, 90), dtype=np.uint8)
    erased = distortions.erase(images, holes[:40], (255, 255, 255))
    for before, after, (top, left, high, wide) in zip(images, erased, holes):
        inside = np.zeros((60, 90), bool)
        inside[top : top + high, left : left + wide] = True
        assert np.all(after[:, inside] == 255)
        np.testing.assert_array_equal(after[:, ~inside], before[:, ~inside])


def test_what_is_new_leaves_the_draws_of_what_was_there(rng):
    images = rng.integers(0, 256, (8, 3, 16, 16), dtype=np.uint8)
    old = Augmentation(pad=2, flip=True, cutout=3)
    new = Augmentation(pad=2, flip=True, cutout=3, crop=0.5, rotation=9, brightness=0.1, grayscale=0.3, erasing=0.5)
    first, second = (one.draw(np.random.default_rng(1), 8, (16, 16)) for one in (old, new))
    assert list(second) == [*first, "view", "color", "hole"]
    for name, rows in first.items():
        np.testing.assert_array_equal(rows, second[name])
    part = {name: rows[2:5] for name, rows in second.items()}
    np.testing.assert_array_equal(new.apply(images[2:5], part), new.apply(images, second)[2:5])
