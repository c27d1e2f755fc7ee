"""Layers that several backbones share."""

from __future__ import annotations

from lossbench import _gluon
from lossbench._mxnet import mx

HybridBlock, nn = mx.gluon.HybridBlock, mx.gluon.nn


@_gluon.named_as("batchnorm")
class NormReLU(nn.BatchNorm):
    """Batch normalization and the rectifier after it; `fuse` makes one kernel of both."""

    fused = False

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        if self.fused:
            statistics = running_mean, running_var
            return F.contrib.BatchNormWithReLU(x, gamma, beta, *statistics, name="fwd", **_gluon.layer_options(self))
        normalized = super().hybrid_forward(F, x, gamma, beta, running_mean, running_var)
        return F.Activation(normalized, act_type="relu")


@_gluon.named_as("batchnorm")
class WideNorm(nn.BatchNorm):
    """Batch normalization of an embedding (B, D), which stays float32 where a network trains in bfloat16.

    It sees one place of an image (B, D, 1, 1): in two dimensions MXNet may crash on what a linear layer hands on.
    """

    def hybrid_forward(self, F, x, *args, **parameters):
        image = F.expand_dims(F.expand_dims(x, axis=2), axis=3)
        return F.sum(super().hybrid_forward(F, image, *args, **parameters), axis=(2, 3))


class Nothing(HybridBlock):
    """Holds the place of a layer, so that the numbers of those after it stay."""

    def hybrid_forward(self, F, x):
        return x


def fuse(block) -> None:
    """Let every `NormReLU` in a block compute in one oneDNN kernel: the same bits, a twentieth less of a training step.

    Only for a block that is trained on a CPU in float32: neither GPUs nor ONNX know that operator.
    """
    block.apply(lambda child: setattr(child, "fused", True) if isinstance(child, NormReLU) else None)


class GlobalMean(HybridBlock):
    """Mean over height and width, (B, channels, height, width) to (B, channels), without a pooling layer.

    A pooling layer makes oneDNN choose a layout for its gradient that the batch normalization before it has no fast
    kernel for. A sum times a constant is used instead of ``mean``, which does not export to current ONNX. No operator
    here would notice another height or width (MXNet's ``reshape`` does not count either): `Backbone` looks at images.

    Parameters
    ----------
    height, width : int
        Size of the inputs.
    """

    def __init__(self, height: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self._factor = 1.0 / (height * width)

    def hybrid_forward(self, F, x):
        return F.sum(x, axis=(2, 3)) * self._factor


class PReLU(HybridBlock):
    """Parametric rectifier with one slope per channel, in operators that oneDNN is fast at.

    .. math:: y = a x + (1 - a) \\max(x, 0)

    which is x where x > 0 and :math:`a x` elsewhere. MXNet's own PReLU would take more than half of a training step of
    LeNet++. Here both products with a slope are 1x1 convolutions of single channels, so that nothing leaves the layout
    of the convolutions around.

    Parameters
    ----------
    channels : int
        Number of channels, each with a slope :math:`a` that starts at 0.25 and is not decayed (``wd_mult`` 0).
    """

    def __init__(self, channels: int, **kwargs):
        super().__init__(**kwargs)
        self._each_channel = {"kernel": (1, 1), "num_filter": channels, "num_group": channels, "no_bias": True}
        with self.name_scope():
            self.slope = self.params.get("slope", shape=(channels, 1, 1, 1), init=mx.init.Constant(0.25), wd_mult=0.0)

    def hybrid_forward(self, F, x, slope):
        positive = F.Activation(x, act_type="relu")
        rest = -slope + 1  # MXNet's ONNX exporter makes `slope - 1` of `1 - slope`
        return F.Convolution(x, slope, **self._each_channel) + F.Convolution(positive, rest, **self._each_channel)
