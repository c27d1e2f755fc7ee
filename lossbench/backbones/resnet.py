"""CIFAR ResNets: small residual networks for 32x32 images."""

from __future__ import annotations

from lossbench._mxnet import mx
from lossbench.backbones.base import Backbone
from lossbench.backbones.layers import GlobalMean, NormReLU, Nothing
from lossbench.errors import UserError

HybridBlock, nn = mx.gluon.HybridBlock, mx.gluon.nn


def conv3x3(channels: int, stride: int, in_channels: int) -> HybridBlock:
    return nn.Conv2D(channels, 3, stride, 1, use_bias=False, in_channels=in_channels)


class BasicBlock(HybridBlock):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, stride: int, in_channels: int, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(
                conv3x3(channels, stride, in_channels),
                NormReLU(in_channels=channels),
                Nothing(),  # gluoncv's activation
                conv3x3(channels, 1, channels),
                nn.BatchNorm(in_channels=channels),
            )
            self.downsample = None
            if channels != in_channels:
                self.downsample = nn.HybridSequential(prefix="")
                self.downsample.add(
                    nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels),
                    nn.BatchNorm(in_channels=channels),
                )

    def hybrid_forward(self, F, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.Activation(self.body(x) + shortcut, act_type="relu")  # the body first: its memory holds the sum


class CifarResNet(Backbone):
    """CIFAR ResNet of ``depth = 6 n + 2`` layers, from image to embedding.

    One 3x3 convolution with 16 channels, then three stages of n basic blocks with 16, 32 and 64 channels; the second
    and third halve height and width.

    Parameters
    ----------
    depth : int
        20, 32, 56, 110, or any other ``6 n + 2``.
    image_shape : tuple of int, default (3, 32, 32)
        Channels, height and width of one image; 0 channels for "take it from the first batch".
    embedding_size : int, optional
        None: the embedding is the 64 pooled features. A number: a linear layer of that size follows them.

    Notes
    -----
    Inputs (B, channels, height, width), output (B, ``embedding_size``).

    Layout and parameter names are those of gluoncv's ``cifar_resnet<depth>_v1``, so that
    ``load_parameters(file, ignore_extra=True)`` reads its files (the extra is their output layer) and gives the same
    features. Like there, and unlike the paper, the first batch normalization has no activation after it, and a shortcut
    that changes the shape is a 1x1 convolution with batch normalization (the paper's option B), not zero padding (its
    option A).

    Raises
    ------
    ValueError
        If ``depth`` is not ``6 n + 2``, ``image_shape`` is no shape, or ``embedding_size`` is not positive.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition. CVPR 2016, section 4.2.

    Examples
    --------
    >>> from lossbench._mxnet import mx
    >>> backbone = CifarResNet(20)
    >>> backbone.initialize()
    >>> backbone(mx.nd.zeros((2, 3, 32, 32))).shape
    (2, 64)
    """

    def __init__(self, depth: int, image_shape=(3, 32, 32), embedding_size: int | None = None, **kwargs):
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 8 or (depth - 2) % 6:
            raise UserError(f"CifarResNet: `depth` must be 6 n + 2, got {depth!r}. Usual are 20, 32, 56 and 110.")
        super().__init__(image_shape, embedding_size, **kwargs)
        in_channels, height, width = self.image_shape
        self.embedding_size = embedding_size or 64
        channels = 16
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(conv3x3(channels, 1, in_channels), nn.BatchNorm(in_channels=channels))
            for i in range(3):
                stage = nn.HybridSequential(prefix=f"stage{i + 1}_")
                with stage.name_scope():
                    for j in range((depth - 2) // 6):
                        stage.add(BasicBlock(16 << i, 2 if i > 0 and j == 0 else 1, channels, prefix=""))
                        channels = 16 << i
                self.features.add(stage)
            self.features.add(GlobalMean(-(-height // 4), -(-width // 4)))
            self.embedding = None if embedding_size is None else nn.Dense(embedding_size, in_units=channels)

    def hybrid_forward(self, F, x):
        x = self.features(x)
        return x if self.embedding is None else self.embedding(x)
