"""Random views, colors and holes of images: what `Augmentation` draws for each image of a batch, and does to it."""

from __future__ import annotations

import numpy as np

GRAY = np.array([0.299, 0.587, 0.114], np.float32)
"""Share of red, green and blue in the gray level of a pixel."""

_ASPECT = 3 / 4, 4 / 3  # of a crop, width over height
_HOLE_AREA, _HOLE_ASPECT = (0.02, 1 / 3), (0.3, 3.3)  # of the paper


def draw_rectangles(rng, size, height_and_width, area, aspect):
    """Rectangles (top, left, height, width), real numbers: a share of the area, an aspect, and a place inside.

    The share is uniform, the logarithm of the aspect (width over height) too; a side is at most that of the image.
    """
    height, width = height_and_width
    share = rng.uniform(*area, size=size) * height * width
    ratio = np.exp(rng.uniform(*np.log(aspect), size=size))
    high, wide = np.minimum(np.sqrt(share / ratio), height), np.minimum(np.sqrt(share * ratio), width)
    top, left = (rng.uniform(size=(2, size))) * (height - high, width - wide)
    return np.stack([top, left, high, wide], axis=1)


def draw_views(rng, size, height_and_width, smallest, rotation):
    """Affine maps (size, 6) from a pixel of the new image to one of the old: a rotation of what a random crop shows.

    Parameters
    ----------
    smallest : float
        Least share of the area that a crop shows; 1 for no crop.
    rotation : float
        Largest angle, in degrees, either way.
    """
    height, width = height_and_width
    box = np.tile([0.0, 0.0, height, width], (size, 1))
    if smallest < 1:
        box = draw_rectangles(rng, size, height_and_width, (smallest, 1), _ASPECT)
    angle = np.radians(rng.uniform(-rotation, rotation, size=size)) if rotation else np.zeros(size)
    top, left, high, wide = box.T
    sine, cosine, across, down = np.sin(angle), np.cos(angle), wide / width, high / height
    middle_x, middle_y = left + wide / 2, top + high / 2
    maps = [cosine * across, sine * down, None, -sine * across, cosine * down, None]
    maps[2] = middle_x - maps[0] * width / 2 - maps[1] * height / 2
    maps[5] = middle_y - maps[3] * width / 2 - maps[4] * height / 2
    return np.stack(maps, axis=1)


def view(images, maps, fill):
    """Images through their affine maps, bilinear; what lies outside of an image takes the fill."""
    from PIL import Image

    channels, height, width = images.shape[1:]
    out = np.empty_like(images)
    fill = tuple(np.broadcast_to(np.asarray(fill, np.uint8), (channels,)).tolist())
    for target, image, one in zip(out, images, maps.tolist()):
        pixels = np.ascontiguousarray(image.transpose(1, 2, 0)) if channels == 3 else image[0]
        seen = Image.fromarray(pixels).transform(
            (width, height), Image.AFFINE, one, Image.BILINEAR, fillcolor=fill if channels == 3 else fill[0]
        )
        target[...] = np.asarray(seen).reshape(height, width, channels).transpose(2, 0, 1)
    return out


def draw_color(rng, size, brightness, contrast, saturation, grayscale):
    """Factors (size, 4): of brightness, contrast and saturation, each around 1, and 0 where color is to go, else 1."""
    factors = [rng.uniform(1 - one, 1 + one, size=size) if one else np.ones(size) for one in (brightness, contrast)]
    factors.append(rng.uniform(1 - saturation, 1 + saturation, size=size) if saturation else np.ones(size))
    factors.append((rng.uniform(size=size) >= grayscale).astype(float) if grayscale else np.ones(size))
    return np.stack(factors, axis=1)


def color(images, factors):
    """Brightness, contrast, saturation, in this order, then gray levels; clipped after each, rounded once."""
    factors = factors.astype(np.float32)[:, :, None, None, None]
    pixels = np.minimum(images * factors[:, 0], np.float32(255))
    if np.any(factors[:, 1] != 1):
        mean = _gray(pixels).mean(axis=(2, 3), keepdims=True)
        pixels = np.clip(mean + factors[:, 1] * (pixels - mean), 0, 255)
    for factor in (factors[:, 2], factors[:, 3]):
        if images.shape[1] == 3 and np.any(factor != 1):
            gray = _gray(pixels)
            pixels = np.clip(gray + factor * (pixels - gray), 0, 255)
    return np.rint(pixels).astype(np.uint8)


def _gray(pixels):
    """(B, 1, H, W) of (B, 1 or 3, H, W)."""
    if pixels.shape[1] == 1:
        return pixels
    return np.tensordot(pixels, GRAY, axes=(1, 0))[:, None]


def draw_holes(rng, size, height_and_width, probability):
    """Rectangles as of random erasing, whole pixels; those that are not to be are 0 high."""
    holes = np.rint(draw_rectangles(rng, size, height_and_width, _HOLE_AREA, _HOLE_ASPECT)).astype(int)
    holes[rng.uniform(size=size) >= probability, 2] = 0
    return holes


def erase(images, holes, fill):
    """Images with their rectangles filled."""
    out = images.copy()
    fill = np.broadcast_to(np.asarray(fill, np.uint8), (images.shape[1],)).reshape(-1, 1, 1)
    for image, (top, left, high, wide) in zip(out, holes.tolist()):
        image[:, top : top + high, left : left + wide] = fill
    return out
