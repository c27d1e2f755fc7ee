"""What heads and regularizers share: scheduled values, argument checks, and the arithmetic of a class score.

Functions that take ``F`` work on NDArrays and Symbols alike; ``F`` is what Gluon hands to ``hybrid_forward``.
"""

from __future__ import annotations

import math

import numpy as np

from lossbench import _gluon
from lossbench._mxnet import mx
from lossbench.errors import UserError

# Added to a squared norm under the root: the norm of a zero vector is then 1e-6 and its gradient finite.
NORM_EPSILON = 1e-12


def require(condition: bool, where: str, name: str, rule: str, value, way_out: str) -> None:
    """Raise the ValueError of a bad argument, ``<where>: `<name>` must <rule>, got <value>. <way out>``."""
    if not condition:
        raise UserError(f"{where}: `{name}` must {rule}, got {value!r}. {way_out}")


def is_number(value, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether ``value`` is a finite number in [low, high)."""
    return (
        isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low <= value < high
    )


def is_count(value, low: int = 1) -> bool:
    """Whether ``value`` is an integer of at least ``low``."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= low


def check_sizes(where: str, num_classes, embedding_size) -> tuple[int, int]:
    """Return the two sizes of a class parameter, or raise the ValueError of a bad one."""
    rule = "be an integer of at least 1"
    require(is_count(num_classes), where, "num_classes", rule, num_classes, "Count the classes.")
    require(
        is_count(embedding_size), where, "embedding_size", rule, embedding_size, "It is the backbone's output size."
    )
    return int(num_classes), int(embedding_size)


def initializer(where: str, chosen, default):
    """Return an initialiser: ``default``, or the one chosen by name or as an object."""
    if chosen is None:
        return default
    try:
        return mx.init.create(chosen)
    except (AssertionError, ValueError):
        rule, way_out = (
            "be an MXNet initializer or the name of one",
            "xavier, msraprelu, normal, uniform and zeros are.",
        )
        require(False, where, "weight_initializer", rule, chosen, way_out)


class LossBlock(mx.gluon.HybridBlock):
    """A block with a loss in it: scheduled values, arithmetic in float32 or wider, and checked labels.

    A scheduled value is a parameter of shape (1,) without gradient, so that a schedule can move it after the graph was
    traced and a saved file holds it.
    """

    config_name = ""

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self._dtype = "float32"
        self._rules = {}

    def _schedule(self, name: str, value: float, low: float, high: float, rule: str, way_out: str) -> None:
        """Make ``value`` a scheduled value that stays in [low, high)."""
        self._rules[name] = (low, high, rule, way_out)
        self._check_scheduled(name, value)
        with self.name_scope():
            parameter = self.params.get(
                name, shape=(1,), init=mx.init.Constant(float(value)), lr_mult=0.0, wd_mult=0.0, differentiable=False
            )
        setattr(self, name, parameter)

    def _check_scheduled(self, name: str, value: float) -> None:
        low, high, rule, way_out = self._rules[name]
        require(is_number(value, low, high), type(self).__name__, name, rule, value, way_out)

    def scheduled(self) -> dict:
        """Return the values that a schedule may move, by name."""
        return {name: self._read(getattr(self, name)) for name in self._rules}

    @staticmethod
    def _read(parameter) -> float:
        if not _gluon.is_initialized(parameter):
            return float(parameter.init.value)
        # By way of its shortest decimal form: a float32 0.35 reads as 0.35, not as 0.3499999940.
        return float(str(parameter.list_data()[0].asnumpy()[0]))

    def set_scheduled(self, name: str, value: float) -> None:
        """Set a scheduled value; it takes effect at the next call, hybridised or not, on every context.

        Raises
        ------
        ValueError
            If this block has no such scheduled value, or the value is outside its range.
        """
        where = type(self).__name__
        known = ", ".join(self._rules) or "none"
        require(
            name in self._rules,
            where,
            "name",
            f"be a scheduled value of this block ({known})",
            name,
            "See scheduled().",
        )
        self._check_scheduled(name, value)
        parameter = getattr(self, name)
        if not _gluon.is_initialized(parameter):
            parameter.init = mx.init.Constant(float(value))
            return
        with mx.autograd.pause():
            for array in parameter.list_data():
                array[:] = float(value)

    def cast(self, dtype) -> None:
        """Change the type of parameters and arithmetic.

        ``float64`` changes everything; ``float16`` leaves both float32, because float16 embeddings are accepted anyway
        and cast inside.
        """
        name = np.dtype(dtype).name
        way_out = "Integer networks have no loss."
        require(
            name in ("float16", "float32", "float64"), type(self).__name__, "dtype", "be a float type", name, way_out
        )
        self._dtype = "float32" if name == "float16" else name
        scheduled = self.scheduled()
        super().cast(self._dtype)
        for key, value in scheduled.items():
            self.set_scheduled(key, value)

    def _check_inputs(self, embedding, label, embedding_size: int | None) -> None:
        where = type(self).__name__
        good = len(embedding.shape) == 2 and embedding_size in (None, embedding.shape[1])
        rule = f"have shape (batch size, {embedding_size or 'embedding size'})"
        require(good, where, "embedding", rule, embedding.shape, "Flatten or project the backbone's output.")
        if label is not None:
            rule = f"have shape ({embedding.shape[0]},), one class id per embedding"
            require(
                label.shape == embedding.shape[:1],
                where,
                "label",
                rule,
                label.shape,
                "Pass class ids, not one-hot rows.",
            )


def check_labels(where: str, label, num_classes: int) -> None:
    """Raise a ValueError that names the first label that is no class id in [0, ``num_classes``)."""
    values = np.asarray(label.asnumpy() if isinstance(label, mx.nd.NDArray) else label)
    wrong = ~((values >= 0) & (values < num_classes) & (values == np.floor(values)))
    if wrong.any():
        first = int(np.flatnonzero(wrong.ravel())[0])
        got = f"{values.ravel()[first]} at position {first} ({int(wrong.sum())} of {values.size} labels are outside)"
        raise UserError(
            f"{where}: `label` must be a whole number in [0, {num_classes}), got {got}. "
            "Renumber the classes or raise num_classes."
        )


def label_index(F, label):
    """Return labels of any type as float32, the index type that every operator takes: exact up to 2**24 classes."""
    return F.cast(label, dtype="float32")


def known_labels(F, label, num_classes: int):
    """Return 1 for every label (B,) that is a class id in [0, ``num_classes``), else 0.

    ``pick`` and ``take`` clip an index, so that label 7 of 3 classes would train class 2.
    """
    return (label >= 0) * (label <= num_classes - 1) * F.broadcast_equal(label, F.floor(label))


def nan_unless(F, known, loss):
    """Replace the loss (B,) of rows that are not ``known`` by NaN, with no gradient."""
    return F.where(known, loss, F.zeros_like(loss) / 0)


def inner_product(F, x, weight, num_rows: int, bias=None):
    """Return ``x weight' + bias`` for x (N, D), weight (num_rows, D) and bias (num_rows,), as (N, num_rows).

    oneDNN's inner product. `row_sums` and `outer` are made of it as well: on a CPU MXNet's own reductions, and the
    backward passes of its broadcasts, take 5 to 20 times as long.
    """
    if bias is None:
        return F.FullyConnected(x, weight, no_bias=True, num_hidden=num_rows, flatten=False)
    return F.FullyConnected(x, weight, bias, num_hidden=num_rows, flatten=False)


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


def true_class(F, values, label):
    """Return the entry of every row of ``values`` (B, C) that belongs to its label, as (B,)."""
    return F.pick(values, label, axis=1)


def with_true_class(F, logits, label, value, num_classes: int):
    """Return the logits (B, C) with every row's entry of its label replaced by ``value`` (B,).

    A scatter into the flattened array, whose backward pass is as cheap; labels must be known ones. The index is
    float64, in which B C is exact.
    """
    label = F.cast(label, dtype="float64")
    index = label + num_classes * F.contrib.arange_like(label)
    replaced = F.contrib.index_copy(flat(F, logits), index, value)
    return F.reshape(replaced, shape=(-1, num_classes))


def cross_entropy(F, logits, label, num_classes: int, smoothing: float = 0.0):
    r"""Return the cross-entropy (B,) of logits (B, C) with labels (B,) as float32.

    .. math:: L = \log \sum_j e^{z_j} - (1 - \epsilon) z_y - \frac{\epsilon}{C} \sum_j z_j

    with the label smoothing :math:`\epsilon` in [0, 1).
    """
    log_probability = F.log_softmax(logits, axis=1)
    loss = -true_class(F, log_probability, label)
    if smoothing:
        loss = (1 - smoothing) * loss - (smoothing / num_classes) * flat(F, row_sums(F, log_probability))
    return loss
