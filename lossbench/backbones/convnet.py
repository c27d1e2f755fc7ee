"""The small convolutional network of a public comparison of margin losses in two dimensions."""

from __future__ import annotations

from lossbench._mxnet import mx
from lossbench.backbones.base import Backbone
from lossbench.backbones.layers import GlobalMean

nn = mx.gluon.nn


class ConvNet(Backbone):
    """Four convolutions, a mean over what is left of the image, and a linear embedding.

    7x7 with 64 channels and stride 2, without activation; 5x5 with 128, ReLU; 2x2 max-pooling; 3x3 with 256 and stride
    2, ReLU; 3x3 with 512, ReLU; the mean over height and width (4x4 for MNIST); linear, without activation.

    Parameters
    ----------
    image_shape : tuple of int, default (1, 28, 28)
        Channels, height and width of one image, 3x3 or larger; 0 channels for "take it from the first batch".
    embedding_size : int, optional
        Default 2, to be plotted as it is.

    Notes
    -----
    Inputs (B, channels, height, width), output (B, ``embedding_size``). There is no batch normalization, as in the
    original; its weights started uniform with variance ``1 / (3 fan in)``, biases too (PyTorch's default), here they
    start as the config's ``initializer`` says, biases at 0.

    Raises
    ------
    ValueError
        If the image is smaller than 3x3, or ``embedding_size`` is not positive.

    References
    ----------
    dwy927: Softmax-based loss study, ``src/common.py`` (MNIST and Fashion-MNIST in two dimensions).

    Examples
    --------
    >>> from lossbench._mxnet import mx
    >>> backbone = ConvNet()
    >>> backbone.initialize()
    >>> backbone(mx.nd.zeros((4, 1, 28, 28))).shape
    (4, 2)
    """

    def __init__(self, image_shape=(1, 28, 28), embedding_size: int | None = None, **kwargs):
        super().__init__(image_shape, embedding_size, smallest=3, **kwargs)
        in_channels, height, width = self.image_shape
        self.embedding_size = embedding_size or 2
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(
                nn.Conv2D(64, 7, 2, 3, in_channels=in_channels),
                nn.Conv2D(128, 5, 1, 2, in_channels=64, activation="relu"),
                nn.MaxPool2D(2, 2),
                nn.Conv2D(256, 3, 2, 1, in_channels=128, activation="relu"),
                nn.Conv2D(512, 3, 1, 1, in_channels=256, activation="relu"),
                GlobalMean(*((((size + 1) // 2) // 2 + 1) // 2 for size in (height, width))),
            )
            self.embedding = nn.Dense(self.embedding_size, in_units=512)

    def hybrid_forward(self, F, x):
        return self.embedding(self.features(x))
