"""Files of image pairs as insightface's tools write them (`lfw.bin`): a pickle of encoded images and truth values."""

from __future__ import annotations

import numpy as np

from lossbench.data import files, images, plain_pickle
from lossbench.data.dataset import Split
from lossbench.data.streamed import Streamed
from lossbench.errors import UserError

SUFFIX = ".bin"
_FORM = "hold a list of images, two for each pair, and a list of truth values, one for each pair"
_WAY_OUT = "It is written as pickle.dump(([jpeg, jpeg, ...], [True, ...]), file)."


def read(path, image_shape, background=images.WHITE):
    """The images of a file of pairs, and whether each pair is of one class.

    An image is encoded bytes, or a NumPy array of them as OpenCV's encoder returns it. Nothing that the pickle asks for
    is run: see `plain_pickle`.

    Parameters
    ----------
    path : path
    image_shape : tuple of int
        (channels, height, width) that images are brought to: scaled until they cover it, the middle is kept.
    background : int, default 255
        Gray level, 0 to 255, that shows through transparent pixels.

    Returns
    -------
    split : Split
        Streamed; rows 2 k and 2 k + 1 are pair k. Its labels are all 0.
    same : ndarray of bool, (pairs,)

    Raises
    ------
    ValueError
        If the file is absent, damaged, or of another form; later, if an image cannot be decoded.
    """
    value = plain_pickle.read(path)
    is_pair = isinstance(value, list) and len(value) == 2 and all(isinstance(part, list) for part in value)
    if not is_pair:
        raise files.invalid(path, _FORM, "something else", _WAY_OUT)
    encoded, same = value
    if len(encoded) != 2 * len(same) or not same:
        raise files.invalid(path, _FORM, f"{len(encoded):,} images and {len(same):,} truth values", _WAY_OUT)
    for kinds, values, what in (((bytes, np.ndarray), encoded, "image"), (int, same, "truth value")):
        wrong = next((k for k, one in enumerate(values) if not isinstance(one, kinds)), None)
        if wrong is not None:
            raise files.invalid(path, _FORM, f"{type(values[wrong]).__name__} as {what} {wrong}", _WAY_OUT)
    if not {*same} <= {0, 1}:
        raise files.invalid(path, _FORM, f"truth values from {min(same)} to {max(same)}", _WAY_OUT)

    def decoded(row):
        content = encoded[row]
        try:
            return images.decoded(content if isinstance(content, bytes) else content.tobytes(), image_shape, background)
        except UserError as error:
            raise files.invalid(path, "have images that Pillow decodes", f"{error} as image {row}", _WAY_OUT) from error

    pixels = Streamed(decoded, image_shape, np.arange(len(encoded)))
    return Split(pixels, np.zeros(len(encoded), np.int32)), np.array(same, bool)
