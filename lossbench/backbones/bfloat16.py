"""Training in bfloat16 beside float32, on processors that multiply it twice as fast."""

from __future__ import annotations

import functools

from lossbench import _gluon, _mxnet
from lossbench._gluon import BFLOAT16
from lossbench._mxnet import mx
from lossbench.backbones.layers import GlobalMean, PReLU, WideNorm
from lossbench.errors import UserError

nn = mx.gluon.nn

# A convolution that reads fewer channels, such as those of an image, has no fast bfloat16 kernel; nor has AMX one for
# the gradients of 16, and the layout that another takes does not go with batch normalization and ReLU in one kernel.
FEWEST_CHANNELS = 16
FEWEST_CHANNELS_OF_AMX = 32


def narrow(block) -> None:
    """Let the convolutions of a block, and what lies between them, compute in bfloat16.

    bfloat16 has the range of float32 and 8 bits of precision. Parameters, their gradients and updates, and the sums
    inside a kernel stay float32, and so do the first convolution with the batch normalization after it, grouped
    convolutions, the mean over what is left of the image, linear layers, and the block's output. Call it once, before
    the block is traced, and only to train on a CPU with such instructions: elsewhere there may be no kernel.

    Raises
    ------
    ValueError
        If an operator of the block takes no bfloat16.

    Examples
    --------
    >>> from lossbench.backbones import LeNet
    >>> backbone = LeNet()
    >>> backbone.initialize()
    >>> narrow(backbone)
    """
    block.apply(_narrow_layer)
    block.hybrid_forward = functools.partial(_widen_output, block.hybrid_forward)
    try:
        block(mx.sym.var("image")).infer_type(image="float32")
    except (mx.MXNetError, TypeError) as error:
        reason = " ".join(str(error).split())[-200:]
        raise UserError(
            f"backbones: `block` must be made of operators that take bfloat16, got {type(block).__name__} ({reason}). "
            "Train it in float32."
        ) from error


def _narrow_layer(layer) -> None:
    if isinstance(layer, (nn.Dense, GlobalMean, WideNorm)) or _stays_wide(layer):
        change = _widen_input
    elif isinstance(layer, (nn.Conv2D, PReLU)):
        change = _narrow_all
    elif isinstance(layer, nn.BatchNorm):
        change = _narrow_output
    else:
        return
    layer.hybrid_forward = functools.partial(change, layer.hybrid_forward)


def _stays_wide(layer) -> bool:
    """Whether it is a convolution that is slow in bfloat16, or grouped, which oneDNN cannot arrange its weights for."""
    if not isinstance(layer, nn.Conv2D):
        return False
    fewest = FEWEST_CHANNELS_OF_AMX if _mxnet.has_amx else FEWEST_CHANNELS
    return _gluon.layer_options(layer)["num_group"] > 1 or layer.weight.shape[1] < fewest


def _narrow_all(forward, F, x, **parameters):
    narrowed = {name: F.amp_cast(parameter, dtype=BFLOAT16) for name, parameter in parameters.items()}
    return forward(F, F.amp_cast(x, dtype=BFLOAT16), **narrowed)


def _narrow_output(forward, F, x, **parameters):
    return F.amp_cast(forward(F, x, **parameters), dtype=BFLOAT16)


def _widen_input(forward, F, x, **parameters):
    return forward(F, F.amp_cast(x, dtype="float32"), **parameters)


def _widen_output(forward, F, x, **parameters):
    return F.amp_cast(forward(F, x, **parameters), dtype="float32")
