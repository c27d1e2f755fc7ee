"""Pictures as data URIs: a page that carries them needs no other file."""

from __future__ import annotations

import base64
import io
import warnings

from PIL import Image, ImageSequence

from lossbench import paths
from lossbench.errors import UserError

MAX_WIDTH = 960
MOST_HIGH = 16_383  # pixels of a WebP
MOST_BYTES = 1 << 26
MOST_PIXELS = 1 << 26
"""Of all frames of a picture together."""


def embedded(path, max_width: int = MAX_WIDTH) -> dict:
    """Return a picture, no wider than `max_width` pixels, for an `<img>`.

    Parameters
    ----------
    path : Path
        A .png, or a .gif, which stays an animation.
    max_width : int

    Returns
    -------
    dict
        `src` (a data URI), `width` and `height`; of an animation also `still`, its last frame.

    Raises
    ------
    ValueError
        If the file is no picture.
    """
    try:
        with paths.open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound here is lower
            content = file.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
            with Image.open(io.BytesIO(content), formats=("PNG", "GIF")) as image:
                return _embedded(image, content, max_width)
    except Exception as error:  # of damaged bytes, decoders raise whatever they stumble over
        raise UserError(f"{path.name} cannot be read as a picture: {error}") from error


def _embedded(image, content, max_width):
    frames = getattr(image, "n_frames", 1)
    if image.width * image.height * frames > MOST_PIXELS:
        raise ValueError(f"{frames} x {image.width} x {image.height} pixels are more than {MOST_PIXELS:,}")
    size = _fitting(image.size, max_width)
    found = {"width": size[0], "height": size[1]}
    if frames == 1:
        return {**found, "src": _still(image, size)}
    frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    return {**found, "src": _animation(content, image, frames, size), "still": _still(frames[-1], size)}


def _fitting(size, max_width):
    scale = min(1.0, max_width / size[0], MOST_HIGH / size[1])
    return tuple(max(1, round(side * scale)) for side in size)


def _animation(content, image, frames, size):
    if image.size == size:
        return _uri("gif", content)
    times = [frame.info.get("duration", 100) for frame in ImageSequence.Iterator(image)]
    small = [frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]
    smaller = io.BytesIO()
    loop = image.info.get("loop")
    looping = {} if loop is None else {"loop": loop}
    small[0].save(smaller, "GIF", save_all=True, append_images=small[1:], duration=times, **looping)
    return _uri("gif", smaller.getvalue())


def _still(image, size):
    """As lossless WebP, half the size of a PNG."""
    is_transparent = "A" in image.getbands() or "transparency" in image.info
    image = image.convert("RGBA" if is_transparent else "RGB")
    content = io.BytesIO()
    (image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)).save(content, "WEBP", lossless=True)
    return _uri("webp", content.getvalue())


def _uri(kind, content):
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
