"""Backbones: from an image (B, channels, height, width) to an embedding (B, D)."""

from __future__ import annotations

import functools

from lossbench import registry
from lossbench._mxnet import mx
from lossbench.backbones import bfloat16
from lossbench.backbones.convnet import ConvNet
from lossbench.backbones.iresnet import BLOCKS, IResNet
from lossbench.backbones.layers import fuse
from lossbench.backbones.lenet import LeNet
from lossbench.backbones.mobilefacenet import MobileFaceNet
from lossbench.backbones.resnet import CifarResNet
from lossbench.backbones.zoo import Zoo
from lossbench.errors import UserError
from lossbench.options import is_count

__all__ = ["BACKBONES", "bfloat16", "build", "fuse", "initializer"]

BACKBONES = {
    "lenet": LeNet,
    "resnet20": functools.partial(CifarResNet, 20),
    "resnet32": functools.partial(CifarResNet, 32),
    "resnet56": functools.partial(CifarResNet, 56),
    "resnet110": functools.partial(CifarResNet, 110),
    "convnet": ConvNet,
    **{f"iresnet{depth}": functools.partial(IResNet, depth) for depth in BLOCKS},
    "mobilefacenet": MobileFaceNet,
    "zoo": Zoo,
}


def build(config, image_shape):
    """Build the backbone that a config's ``backbone`` section describes, uninitialized.

    Parameters
    ----------
    config : the ``backbone`` section of a config
        ``name``, ``embedding_size`` and the options of that backbone; ``initializer`` is the caller's to apply. One
        that a plugin brings is a callable ``(image_shape=..., embedding_size=..., **options)`` that returns a
        HybridBlock with an ``embedding_size``.
    image_shape : tuple of int
        Channels, height and width of one image.

    Raises
    ------
    ValueError
        If the name is unknown, the backbone refuses its options, or what a plugin returns is none.
    """
    options = {key: value for key, value in config.model_dump().items() if key not in ("name", "initializer")}
    backbone = registry.BACKBONES.get(config.name)(image_shape=tuple(image_shape), **options)
    if not isinstance(backbone, mx.gluon.HybridBlock) or not is_count(getattr(backbone, "embedding_size", None)):
        raise UserError(
            f"backbone {config.name}: must be a HybridBlock whose attribute `embedding_size` is the length of an "
            f"embedding, got {type(backbone).__name__} without one. Set it before the block is returned."
        )
    return backbone


def initializer(name: str):
    """Return the initializer of a backbone's weights by its config name.

    ``xavier`` is uniform with variance ``2 / (fan in + fan out)`` (Glorot and Bengio 2010), ``msra`` normal with
    variance ``2 / fan in`` (He et al. 2015). Biases start at 0, batch normalization at the identity, PReLU slopes at
    0.25, whatever is chosen.
    """
    table = {
        "xavier": lambda: mx.init.Xavier(rnd_type="uniform", factor_type="avg", magnitude=3),
        "msra": lambda: mx.init.MSRAPrelu(factor_type="in", slope=0),
    }
    if name not in table:
        raise UserError(f"backbones: `initializer` must be one of {', '.join(sorted(table))}, got {name!r}.")
    return table[name]()
