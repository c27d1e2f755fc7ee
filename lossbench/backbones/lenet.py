"""LeNet++: the network of the two-dimensional MNIST pictures."""

from __future__ import annotations

from lossbench._mxnet import mx
from lossbench.backbones.base import Backbone
from lossbench.backbones.layers import PReLU

nn = mx.gluon.nn


class LeNet(Backbone):
    """LeNet++, from image to embedding.

    Three blocks of two 5x5 convolutions (padding 2; 32, 64, 128 channels), each with a PReLU, every block ending in a
    2x2 max-pooling; then a linear embedding without activation.

    Parameters
    ----------
    image_shape : tuple of int, default (1, 28, 28)
        Channels, height and width of one image, 8x8 or larger; 0 channels for "take it from the first batch".
    embedding_size : int, optional
        Default 2, to be plotted as it is.

    Notes
    -----
    Inputs (B, channels, height, width), output (B, ``embedding_size``). A PReLU has one slope per channel, starting at
    0.25; as its authors advise, slopes are not decayed. Odd sizes lose their last row and column in pooling: 28x28 ends
    as 3x3.

    Raises
    ------
    ValueError
        If the image is smaller than 8x8, or ``embedding_size`` is not positive.

    References
    ----------
    Y. Wen, K. Zhang, Z. Li, Y. Qiao: A discriminative feature learning approach for deep face recognition. ECCV 2016,
    table 1.
    K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers. ICCV 2015, section 2.1 (PReLU).

    Examples
    --------
    >>> from lossbench._mxnet import mx
    >>> backbone = LeNet()
    >>> backbone.initialize()
    >>> backbone(mx.nd.zeros((4, 1, 28, 28))).shape
    (4, 2)
    """

    def __init__(self, image_shape=(1, 28, 28), embedding_size: int | None = None, **kwargs):
        super().__init__(image_shape, embedding_size, smallest=8, **kwargs)
        in_channels, height, width = self.image_shape
        self.embedding_size = embedding_size or 2
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            for channels in (32, 64, 128):
                for _ in range(2):
                    self.features.add(nn.Conv2D(channels, 5, padding=2, in_channels=in_channels), PReLU(channels))
                    in_channels = channels
                self.features.add(nn.MaxPool2D(2, 2))
            self.embedding = nn.Dense(self.embedding_size, in_units=128 * (height // 8) * (width // 8))

    def hybrid_forward(self, F, x):
        return self.embedding(self.features(x))
