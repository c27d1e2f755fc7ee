"""The arithmetic that heads and regularizers share: labels, products, norms, the true class, the cross-entropy.

Functions that take ``F`` work on NDArrays and Symbols alike; ``F`` is what Gluon hands to ``hybrid_forward``.
"""

from __future__ import annotations

import functools
import json

import numpy as np

from lossbench import _gluon
from lossbench._mxnet import mx
from lossbench.errors import UserError

# Added to a squared norm under the root: the norm of a zero vector is then 1e-6 and its gradient finite.
NORM_EPSILON = 1e-12
# The focal loss raises 1 - p to a power whose gradient has no bound at 0.
SMALLEST_DOUBT = 1e-12


def check_labels(where: str, label, num_classes: int) -> None:
    """Raise a ValueError that names the first label that is no class id in [0, ``num_classes``)."""
    values = np.asarray(label.asnumpy() if isinstance(label, mx.nd.NDArray) else label)
    if values.dtype.kind in "OSU":
        raise UserError(
            f"{where}: `label` must be a whole number in [0, {num_classes}), got type {values.dtype.name}. "
            "Number the classes: numpy.unique(label, return_inverse=True)[1]."
        )
    wrong = ~((values >= 0) & (values < num_classes) & (values == np.floor(values)))
    if wrong.any():
        first = int(np.flatnonzero(wrong.ravel())[0])
        got = f"{values.ravel()[first]} at position {first} ({int(wrong.sum())} of {values.size} labels are outside)"
        raise UserError(
            f"{where}: `label` must be a whole number in [0, {num_classes}), got {got}. "
            "Renumber the classes or raise num_classes."
        )


def class_ids(F, label, num_classes: int):
    """Return labels (B,) of any type as int64, and 1 for each that is a class id in [0, ``num_classes``), else 0.

    Any other becomes class 0: ``pick`` and ``take`` clip an index, so that label 7 of 3 classes would train class 2. A
    float32 label would train the class beside its own from 2**24 classes on.
    """
    exact = F.cast(label, dtype="float64")
    known = (exact >= 0) * (exact <= num_classes - 1) * F.broadcast_equal(exact, F.floor(exact))
    number = F.cast(F.where(known, exact, F.zeros_like(exact)), dtype="int64")
    return number, F.cast(known, dtype="float32")  # AMP would widen the loss to a float64 condition's type


def nan_unless(F, known, loss):
    """Replace the loss (B,) of rows that are not ``known`` by NaN, with no gradient."""
    return F.where(known, loss, F.zeros_like(loss) / 0)


def inner_product(F, x, weight, num_rows: int, bias=None):
    """Return ``x weight' + bias`` for x (N, D), weight (num_rows, D) and bias (num_rows,), as (N, num_rows).

    oneDNN's inner product, which AMP leaves in the type of x. `row_sums` and `outer` are made of it as well: on a CPU
    MXNet's own reductions, and the backward passes of its broadcasts, take 5 to 20 times as long.
    """
    product = _gluon.without_amp(F.FullyConnected)
    if bias is None:
        return product(x, weight, no_bias=True, num_hidden=num_rows, flatten=False)
    return product(x, weight, bias, num_hidden=num_rows, flatten=False)


def row_sums(F, x):
    """Return the sum of every row of x (N, D), as (N, 1)."""
    return inner_product(F, x, F.ones_like(F.slice_axis(x, axis=0, begin=0, end=1)), 1)


def ones_column(F, x):
    """Return ones (N, 1) for x (N, D), with its type and context."""
    return F.ones_like(F.slice_axis(x, axis=1, begin=0, end=1))


def outer(F, left, right, num_rows: int):
    """Return ``left right'`` for left (N, 1) and right (num_rows, 1), as (N, num_rows); with ones, a broadcast."""
    return inner_product(F, left, right, num_rows)


def flat(F, x):
    """Turn a column (N, 1), or any other array, into a vector."""
    return F.reshape(x, shape=(-1,))


def squared_norm(F, x):
    """Return ``|x|^2 + NORM_EPSILON`` of every row of x (N, D), as (N, 1): roots of it have a gradient at 0, too."""
    return row_sums(F, F.square(x)) + NORM_EPSILON


def norm(F, x):
    """Return ``|x|`` of every row of x (N, D), as (N, 1); 1e-6, with gradient 0, for a zero row."""
    return F.sqrt(squared_norm(F, x))


def unit_rows(F, x, size: int, factor=None):
    """Scale every row of x (N, ``size``) to length 1, or to the length ``factor`` (1,); zero rows stay zero."""
    inverse = 1 / norm(F, x)  # ONNX exports no rsqrt
    if factor is not None:
        inverse = F.broadcast_mul(inverse, F.reshape(factor, shape=(1, 1)))
    ones = F.ones_like(F.transpose(F.slice_axis(x, axis=0, begin=0, end=1)))
    return x * outer(F, inverse, ones, size)


def product_with_unit_rows(F, x, weight, num_rows: int):
    """Return ``x_i.w_j / |w_j|`` for x (N, D) and weight (num_rows, D), as (N, num_rows).

    The columns of the product are scaled, not the rows of the weight, which are the longer ones where that matters.
    """
    inverse = 1 / norm(F, weight)
    return inner_product(F, x, weight, num_rows) * outer(F, ones_column(F, x), inverse, num_rows)


def largest_of_each(F, x, num_groups: int, size: int):
    """Return the largest entry of each ``size`` neighbors in the rows of x (N, num_groups size), as (N, num_groups).

    The gradient goes to one of them alone.
    """
    if size == 1:
        return x
    members = F.split(F.reshape(x, shape=(-1, num_groups, size)), num_outputs=size, axis=2, squeeze_axis=True)
    return functools.reduce(F.maximum, members)


def true_class(F, values, label):
    """Return the entry of every row of ``values`` (B, C) that belongs to its label, as (B,)."""
    return F.pick(values, label, axis=1)


def with_true_class(F, logits, label, value, num_classes: int):
    """Return the logits (B, C) with every row's entry of its label replaced by ``value`` (B,).

    A scatter into the flattened array, whose backward pass is as cheap; labels must be known ones.
    """
    label = F.cast(label, dtype="int64")
    index = label + num_classes * F.contrib.arange_like(label)
    replaced = F.contrib.index_copy(flat(F, logits), index, value)
    return F.reshape(replaced, shape=(-1, num_classes))


def above(F, logits, threshold):
    """Return 1 where logits (B, C) exceed their row's threshold (B,), else 0: a factor, for ``where`` is slow."""
    return F.BlockGrad(F.broadcast_greater(logits, F.reshape(threshold, shape=(-1, 1))))


def times(F, x, number):
    """Return x (B, C) times a number (1,) that gets no gradient: to compute that of a broadcast is slow."""
    return x * _everywhere(F, number, x)


def plus(F, x, number):
    """Return x (B, C) plus a number (1,) that gets no gradient."""
    return x + _everywhere(F, number, x)


def _everywhere(F, number, x):
    return F.BlockGrad(F.broadcast_like(F.reshape(number, shape=(1, 1)), x))


def cross_entropy(F, logits, label, num_classes: int, smoothing: float = 0.0, focusing: float = 0.0):
    r"""Return the cross-entropy (B,) of logits (B, C) with labels (B,).

    .. math::
        L = (1 - p_y)^\gamma \left(\log \sum_j e^{z_j} - (1 - \epsilon) z_y - \frac{\epsilon}{C} \sum_j z_j\right)

    with the label smoothing :math:`\epsilon` in [0, 1), the focusing :math:`\gamma \ge 0` of the focal loss, and the
    probability :math:`p_y` of the true class.
    """
    log_probability = F.log_softmax(logits, axis=1)
    true = true_class(F, log_probability, label)
    loss = -true
    if smoothing:
        loss = (1 - smoothing) * loss - (smoothing / num_classes) * flat(F, row_sums(F, log_probability))
    if focusing:
        loss = loss * F.maximum(-F.expm1(true), SMALLEST_DOUBT) ** focusing
    return loss


def while_training(F, value):
    """Return ``value`` (N,) while training, zeros in evaluation.

    Dropout alone tells one from the other inside a graph: of ones it makes 0 or 2 while training.
    """
    training = F.abs(F.Dropout(F.ones_like(value), p=0.5) - 1)
    return F.where(training, value, F.zeros_like(value))


def spread(F, number, like, deviation: float):
    """Return a number (1,) for each sample, as (N,) like ``like``; while training drawn around it, normally.

    The draws are those of MXNet's generator.
    """
    drawn = F.random.normal_like(F.zeros_like(like), loc=0, scale=deviation)
    return F.broadcast_add(F.BlockGrad(while_training(F, drawn)), number)


def moved(F, state, value):
    """Move a running statistic (1,) to ``value`` (1,) while training, and return it as it then is.

    In evaluation it stands still and is returned as it stands. The step writes it in the graph itself, eager and
    hybridized, without waiting: no operator of MXNet does just that, but the momentum of an update of a weight that is
    0 is what is wanted. Nothing else in the graph may read ``state`` after this.
    """
    step = F.BlockGrad(while_training(F, value - state))
    weight = F.zeros_like(state)
    if F is mx.nd:
        return F.BlockGrad(mx.nd.sgd_mom_update(weight, step, state, **_MOMENTUM))
    return F.BlockGrad(mx.sym.load_json(_UPDATE)(weight=weight, grad=step, mom=state))


# The graph of sgd_mom_update(weight, grad, mom) with mom <- mom + grad and the result weight + mom: mx.sym's own
# function does not accept an input that is written to.
_MOMENTUM = {"lr": -1, "momentum": 1, "wd": 0}
_NODES = [{"op": "null", "name": name, "inputs": []} for name in ("weight", "grad", "mom")]
_NODES.append(
    {
        "op": "sgd_mom_update",
        "name": "update",
        "attrs": {name: str(value) for name, value in _MOMENTUM.items()},
        "inputs": [[0, 0, 0], [1, 0, 0], [2, 0, 0]],
    }
)
_UPDATE = json.dumps(
    {"nodes": _NODES, "arg_nodes": [0, 1, 2], "heads": [[3, 0, 0]], "attrs": {"mxnet_version": ["int", 10901]}}
)
