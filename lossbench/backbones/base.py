"""What all backbones share: their arguments, and a check of the images they are called with."""

from __future__ import annotations

import numbers

from lossbench._mxnet import mx
from lossbench.errors import UserError


class Backbone(mx.gluon.HybridBlock):
    """A block from images (B, channels, height, width) to embeddings (B, ``embedding_size``).

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height and width of one image; 0 channels for "take it from the first batch".
    embedding_size : int, optional
        None for the backbone's own.
    smallest : int
        Fewest pixels that an image may be high and wide.

    Raises
    ------
    ValueError
        If an argument breaks its rule, or the block is called with images of another shape. Inside a hybridized outer
        block nobody sees a shape, and a network that ends in a mean would scale it wrongly.
    """

    def __init__(self, image_shape, embedding_size=None, *, smallest: int = 1, **kwargs):
        where = type(self).__name__
        image_shape = _checked_shape(where, image_shape, smallest)
        _check_size(where, embedding_size)
        super().__init__(**kwargs)
        self.image_shape, self.embedding_size = image_shape, embedding_size

    def forward(self, image):
        if not isinstance(image, mx.sym.Symbol):
            channels, *size = self.image_shape
            if image.ndim != 4 or list(image.shape[2:]) != size or channels not in (0, image.shape[1]):
                expected = f"(B, {channels or 'channels'}, {size[0]}, {size[1]})"
                raise UserError(
                    f"{type(self).__name__}: `image` must have the shape {expected}, got {image.shape}. "
                    "Resize the images, or build the backbone with their `image_shape`."
                )
        return super().forward(image)


def _checked_shape(where, image_shape, smallest):
    shape = tuple(image_shape) if isinstance(image_shape, (tuple, list)) else ()
    if len(shape) != 3 or not all(isinstance(n, numbers.Integral) for n in shape) or shape[0] < 0 or min(shape[1:]) < 1:
        raise UserError(
            f"{where}: `image_shape` must be (channels, height, width), got {image_shape!r}. An example is (3, 32, 32)."
        )
    if min(shape[1:]) < smallest:
        raise UserError(
            f"{where}: `image_shape` must be at least {smallest} pixels high and wide, got {shape}. "
            "Enlarge the images, or choose another backbone."
        )
    return tuple(int(n) for n in shape)


def _check_size(where, embedding_size):
    if embedding_size is None:
        return
    if isinstance(embedding_size, bool) or not isinstance(embedding_size, numbers.Integral) or embedding_size < 1:
        raise UserError(
            f"{where}: `embedding_size` must be a positive integer or None, got {embedding_size!r}. "
            "None takes the backbone's own size."
        )
