"""MobileFaceNet: a million parameters for aligned faces of 112x112."""

from __future__ import annotations

from lossbench._mxnet import mx
from lossbench.backbones.base import Backbone
from lossbench.backbones.layers import PReLU, WideNorm

HybridBlock, nn = mx.gluon.HybridBlock, mx.gluon.nn

# Table 1 of the paper: expansion, channels, blocks, stride of the first of them.
_BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
_HALVINGS, _LAST = 16, 512


def _convolution(out, channels, in_channels, kernel=1, stride=1, padding=0, groups=1, is_linear=False):
    """Add a convolution, batch normalization and, unless it is linear, a PReLU."""
    out.add(
        nn.Conv2D(channels, kernel, stride, padding, groups=groups, use_bias=False, in_channels=in_channels),
        nn.BatchNorm(in_channels=channels),
    )
    if not is_linear:
        out.add(PReLU(channels))


class Bottleneck(HybridBlock):
    """A 1x1 convolution that expands, a 3x3 one of single channels, a linear 1x1 one; a shortcut where shapes agree."""

    def __init__(self, expansion: int, channels: int, stride: int, in_channels: int, **kwargs):
        super().__init__(**kwargs)
        wide = expansion * in_channels
        self._has_shortcut = stride == 1 and channels == in_channels
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            _convolution(self.body, wide, in_channels)
            _convolution(self.body, wide, wide, 3, stride, 1, groups=wide)
            _convolution(self.body, channels, wide, is_linear=True)

    def hybrid_forward(self, F, x):
        return self.body(x) + x if self._has_shortcut else self.body(x)


class MobileFaceNet(Backbone):
    """MobileFaceNet, from image to embedding.

    Convolutions of 3x3 with 64 channels, the second of single channels; fifteen bottlenecks; a 1x1 convolution with 512
    channels; a convolution of single channels as large as what is left of the image, which weighs each place by itself;
    a linear layer and batch normalization. A PReLU follows each convolution that is not linear.

    Parameters
    ----------
    image_shape : tuple of int, default (3, 112, 112)
        Channels, height and width of one image; 0 channels for "take it from the first batch".
    embedding_size : int, optional
        Default 128.

    Notes
    -----
    Inputs (B, channels, height, width), output (B, ``embedding_size``). The network of insightface's
    ``arcface_torch`` of that name has twice the channels in most layers, and 512 dimensions.

    Raises
    ------
    ValueError
        If ``image_shape`` is no shape, or ``embedding_size`` is not positive.

    References
    ----------
    S. Chen, Y. Liu, X. Gao, Z. Han: MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile
    Devices. CCBR 2018, table 1.

    Examples
    --------
    >>> from lossbench._mxnet import mx
    >>> backbone = MobileFaceNet((3, 32, 32))
    >>> backbone.initialize()
    >>> backbone(mx.nd.zeros((2, 3, 32, 32))).shape
    (2, 128)
    """

    def __init__(self, image_shape=(3, 112, 112), embedding_size: int | None = None, **kwargs):
        super().__init__(image_shape, embedding_size, **kwargs)
        self.embedding_size = embedding_size or 128
        in_channels, height, width = self.image_shape
        rest = -(-height // _HALVINGS), -(-width // _HALVINGS)
        channels = 64
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            _convolution(self.features, channels, in_channels, 3, 2, 1)
            _convolution(self.features, channels, channels, 3, 1, 1, groups=channels)
            for expansion, wide, count, stride in _BOTTLENECKS:
                for k in range(count):
                    self.features.add(Bottleneck(expansion, wide, 1 if k else stride, channels))
                    channels = wide
            _convolution(self.features, _LAST, channels)
            _convolution(self.features, _LAST, _LAST, rest, groups=_LAST, is_linear=True)
            self.embedding = nn.HybridSequential(prefix="")
            self.embedding.add(
                nn.Flatten(),
                nn.Dense(self.embedding_size, in_units=_LAST, use_bias=False),
                WideNorm(in_channels=self.embedding_size),
            )

    def hybrid_forward(self, F, x):
        return self.embedding(self.features(x))
