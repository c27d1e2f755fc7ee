"""Face ResNets: the residual networks of insightface, for aligned faces of 112x112."""

from __future__ import annotations

from lossbench._mxnet import mx
from lossbench.backbones.base import Backbone
from lossbench.backbones.layers import PReLU, WideNorm
from lossbench.backbones.resnet import conv3x3

HybridBlock, nn = mx.gluon.HybridBlock, mx.gluon.nn

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
"""Depth -> blocks of each stage."""

_STAGES = (64, 128, 256, 512)


class ImprovedBlock(HybridBlock):
    """Batch normalization before and after each of two 3x3 convolutions, a PReLU between them, none after the sum."""

    def __init__(self, channels: int, stride: int, in_channels: int, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(
                nn.BatchNorm(in_channels=in_channels),
                conv3x3(channels, 1, in_channels),
                nn.BatchNorm(in_channels=channels),
                PReLU(channels),
                conv3x3(channels, stride, channels),
                nn.BatchNorm(in_channels=channels),
            )
            self.downsample = None
            if stride > 1:
                self.downsample = nn.HybridSequential(prefix="")
                self.downsample.add(
                    nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels),
                    nn.BatchNorm(in_channels=channels),
                )

    def hybrid_forward(self, F, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.body(x) + shortcut


class IResNet(Backbone):
    """Face ResNet (iresnet18, iresnet50, iresnet100), from image to embedding.

    A 3x3 convolution with 64 channels, batch normalization and a PReLU; four stages of `ImprovedBlock`s with 64, 128,
    256 and 512 channels, each of which halves height and width; then batch normalization, dropout, a linear layer, and
    batch normalization with a fixed scale of 1. Nothing is rectified at the end, so that embeddings point anywhere.

    Parameters
    ----------
    depth : int
        18, 50 or 100.
    image_shape : tuple of int, default (3, 112, 112)
        Channels, height and width of one image; 0 channels for "take it from the first batch".
    embedding_size : int, optional
        Default 512.
    dropout : float, default 0
        Share of the features that is dropped before the linear layer, in [0, 1).
    blocks : tuple of int, optional
        Blocks of each stage, in place of those of the depth.

    Notes
    -----
    Inputs (B, channels, height, width), output (B, ``embedding_size``). Layers are those of insightface's
    ``arcface_torch/backbones/iresnet.py``; weights start as ``backbone.initializer`` says, not with a deviation of 0.1.
    The paper's network for MXNet (LResNet-E-IR) is the same but for a first batch normalization of the image.

    Raises
    ------
    ValueError
        If ``image_shape`` is no shape, or ``embedding_size`` is not positive.

    References
    ----------
    J. Deng, J. Guo, N. Xue, S. Zafeiriou: ArcFace: Additive Angular Margin Loss for Deep Face Recognition. CVPR 2019,
    section 3.1.
    D. Han, J. Kim, J. Kim: Deep Pyramidal Residual Networks. CVPR 2017, figure 6 (the block).

    Examples
    --------
    >>> from lossbench._mxnet import mx
    >>> backbone = IResNet(18, (3, 32, 32))
    >>> backbone.initialize()
    >>> backbone(mx.nd.zeros((2, 3, 32, 32))).shape
    (2, 512)
    """

    def __init__(
        self,
        depth: int,
        image_shape=(3, 112, 112),
        embedding_size: int | None = None,
        dropout: float = 0.0,
        blocks=None,
        **kwargs,
    ):
        super().__init__(image_shape, embedding_size, **kwargs)
        self.embedding_size = embedding_size or 512
        in_channels, height, width = self.image_shape
        halvings = 2 ** len(_STAGES)
        features = _STAGES[-1] * -(-height // halvings) * -(-width // halvings)
        channels = _STAGES[0]
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(conv3x3(channels, 1, in_channels), nn.BatchNorm(in_channels=channels), PReLU(channels))
            for number, (wide, count) in enumerate(zip(_STAGES, blocks or BLOCKS[depth]), 1):
                stage = nn.HybridSequential(prefix=f"stage{number}_")
                with stage.name_scope():
                    for k in range(count):
                        stage.add(ImprovedBlock(wide, 1 if k else 2, channels, prefix=""))
                        channels = wide
                self.features.add(stage)
            self.features.add(nn.BatchNorm(in_channels=channels), nn.Flatten())
            if dropout:
                self.features.add(nn.Dropout(dropout))
            self.embedding = nn.HybridSequential(prefix="")
            self.embedding.add(
                nn.Dense(self.embedding_size, in_units=features),
                WideNorm(in_channels=self.embedding_size, scale=False),
            )

    def hybrid_forward(self, F, x):
        return self.embedding(self.features(x))
