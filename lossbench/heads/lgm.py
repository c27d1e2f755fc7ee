"""L-GM: class scores as log densities of a Gaussian mixture (large-margin Gaussian mixture loss)."""

from __future__ import annotations

import math

import numpy as np

from lossbench import ops
from lossbench._mxnet import mx
from lossbench.heads.base import Head

VARIANCES = ("identity", "isotropic", "diagonal")
# Class means that enter the common centre: enough to find a large offset, few enough to cost nothing.
CENTRE_CLASSES = 32
# Multiplier of the learning rate from which on the variance may reach its floor in a training, and upset it there.
FAST_VARIANCE = 0.1


class LGM(Head):
    r"""Large-margin Gaussian mixture loss (L-GM).

    Every class is a Gaussian with mean :math:`\mu_k` and a variance; a class score is its log density but for a
    constant.

    .. math::
        d_k = \tfrac12 \sum_i \frac{(x_i - \mu_{ki})^2}{\sigma^2_{ki}}, \quad
        h_k = \tfrac12 \sum_i \log \sigma^2_{ki}, \quad z_k = -d_k - h_k

        L = CE(z - \alpha d_y 1_y, y) + \lambda (d_y + h_y)

    with the margin :math:`\alpha` and the likelihood weight :math:`\lambda`.

    Parameters
    ----------
    num_classes, embedding_size : int
        C and D.
    margin : float, default 0.3
        alpha >= 0: the true class's distance counts 1 + alpha times. Scheduled.
    likelihood_weight : float, default 0.1
        lambda >= 0. Scheduled.
    variance : str, default "identity"
        ``identity`` (all 1), ``isotropic`` (one per class) or ``diagonal`` (C, D).
    log_variance_floor : float, default -4
        In [-50, 0). No log variance gets below it.
    variance_lr_mult : float, default 0.01
        Learning rate multiplier of the variance, >= 0.
    mean_lr_mult : float, default 1
        Learning rate multiplier of the means, >= 0 (the authors' Caffe code uses 2).
    mean_wd_mult : float, default 0
        Weight decay multiplier of the means, >= 0 (the authors' recipes decay them like the network: 1).
    natural_gradient : bool, optional
        Multiply the gradient of a class's mean by that class's variance, and the gradient of an embedding by its own
        class's, where it is below 1. Loss and logits stay the same. Default: where the variance learns faster than a
        tenth of the rate (``variance_lr_mult`` above 0.1), since training may diverge without it; see the notes.
    weight_initializer : Initializer or str, optional
        Of the means. Default MSRA, normal with standard deviation sqrt(2/D).
    label_smoothing : float, default 0
        In [0, 1).

    Notes
    -----
    Learns ``mean`` (C, D) and, unless the variance is the identity, ``raw_log_variance`` (C, 1) or (C, D), where
    ``log variance = log_variance_floor + softplus(raw_log_variance)`` starts at 0; `log_variance` and
    `set_log_variance` speak of the log variance itself. The likelihood has no lower bound as a variance shrinks, hence
    the floor, and below a hard maximum the gradient would be dead. A small variance also multiplies the gradient that
    the embedding feels, by exp(-log_variance_floor) = 55 at most: a learning rate near the limit of the identity's
    wants ``natural_gradient``, which takes this factor out again.

    The likelihood term holds the log-determinant, as in the paper and unlike the authors' code. Distances are matrix
    products of embeddings and means that are both shifted by a common centre; the true class's own distance is the
    exact sum of squares.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    W. Wan, Y. Zhong, T. Li, J. Chen. Rethinking Feature Distribution for Loss Functions in Image Classification. CVPR
    2018, arXiv 1803.02988.

    Examples
    --------
    >>> head = LGM(num_classes=3, embedding_size=2, variance="diagonal")
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.set_scheduled("margin", 0.1)
    >>> head.scheduled()
    {'margin': 0.1, 'likelihood_weight': 0.1}
    """

    config_name = "lgm"
    metric = "density"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        margin: float = 0.3,
        likelihood_weight: float = 0.1,
        variance: str = "identity",
        log_variance_floor: float = -4.0,
        variance_lr_mult: float = 0.01,
        mean_lr_mult: float = 1.0,
        mean_wd_mult: float = 0.0,
        natural_gradient: bool | None = None,
        weight_initializer=None,
        label_smoothing: float = 0.0,
        prefix=None,
        params=None,
    ):
        super().__init__(num_classes, embedding_size, label_smoothing=label_smoothing, prefix=prefix, params=params)
        ops.require(
            variance in VARIANCES,
            "LGM",
            "variance",
            f"be one of {', '.join(VARIANCES)}",
            variance,
            "Start with identity.",
        )
        good, way_out = ops.is_number(log_variance_floor, -50, 0), "The log variance starts at 0."
        ops.require(good, "LGM", "log_variance_floor", "be in [-50, 0)", log_variance_floor, way_out)
        for name, value in (
            ("variance_lr_mult", variance_lr_mult),
            ("mean_lr_mult", mean_lr_mult),
            ("mean_wd_mult", mean_wd_mult),
        ):
            ops.require(
                ops.is_number(value, 0), "LGM", name, "be at least 0", value, "It multiplies the optimizer's own value."
            )
        self.variance = variance
        if natural_gradient is None:
            natural_gradient = variance_lr_mult > FAST_VARIANCE
        self._natural_gradient = bool(natural_gradient) and variance != "identity"
        self._floor = float(log_variance_floor)
        self._scale = 1.0 if variance == "identity" else math.exp(-self._floor)
        msra = mx.init.MSRAPrelu(factor_type="in", slope=0)
        self._class_parameter("mean", weight_initializer, msra, lr_mult=mean_lr_mult, wd_mult=mean_wd_mult)
        if variance != "identity":
            shape = (self.num_classes, self.embedding_size if variance == "diagonal" else 1)
            start = mx.init.Constant(float(self._raw(0.0)))
            with self.name_scope():
                self.raw_log_variance = self.params.get(
                    "raw_log_variance", shape=shape, init=start, lr_mult=variance_lr_mult, wd_mult=0.0
                )
        self._schedule("margin", margin, 0, np.inf, "be at least 0", "It is a share of the true class's distance.")
        self._schedule(
            "likelihood_weight", likelihood_weight, 0, np.inf, "be at least 0", "0 switches the likelihood off."
        )

    def logits(self, F, embedding, mean, raw_log_variance=None):
        closeness, half_log_det = self._mixture(F, embedding, mean, raw_log_variance)
        return self._log_density(F, closeness, half_log_det)

    def loss(self, F, embedding, label, mean, margin, likelihood_weight, raw_log_variance=None):
        if self._natural_gradient:
            embedding, mean = self._damped(F, embedding, label, mean, raw_log_variance)
        closeness, half_log_det = self._mixture(F, embedding, mean, raw_log_variance)
        logits = self._log_density(F, closeness, half_log_det)
        expanded = -ops.true_class(F, closeness, label)
        # Forward the exact distance, backward the gradient of the matrix product.
        exact = self._exact_distance(F, embedding, label, mean, raw_log_variance)
        distance = expanded + F.BlockGrad(exact - expanded)
        surprise = distance
        if half_log_det is not None:
            surprise = distance + ops.flat(F, F.take(half_log_det, label))
        loss = self.cross_entropy(F, logits, label, -surprise - F.broadcast_mul(distance, margin))
        return loss + F.broadcast_mul(surprise, likelihood_weight), logits

    def _log_density(self, F, closeness, half_log_det):
        if half_log_det is None:
            return closeness
        return closeness - ops.outer(F, ops.ones_column(F, closeness), half_log_det, self.num_classes)

    def _mixture(self, F, embedding, mean, raw):
        """Return minus the distances (B, C), at most 0, and half the log-determinants (C, 1), None for the identity."""
        embedding, mean = self._centred(F, embedding, mean)
        if self.variance == "diagonal":
            half, precision = 0.5 * self._scale, self._scaled_precision(F, raw)
            scaled_mean = precision * mean
            bias = -half * ops.row_sums(F, scaled_mean * mean)
            linear = self._product(F, self._scale * embedding, scaled_mean, bias)
            square = ops.inner_product(F, -half * F.square(embedding), precision, self.num_classes)
            half_log_det = 0.5 * ops.row_sums(F, softplus(F, raw)) + 0.5 * self.embedding_size * self._floor
            return F.minimum(linear + square, 0.0), half_log_det
        product = self._product(F, embedding, mean, -0.5 * ops.row_sums(F, F.square(mean)))
        square = -0.5 * ops.row_sums(F, F.square(embedding))
        closeness = F.minimum(product + ops.outer(F, square, ops.ones_column(F, mean), self.num_classes), 0.0)
        if self.variance == "identity":
            return closeness, None
        precision = self._scale * self._scaled_precision(F, raw)
        closeness = closeness * ops.outer(F, ops.ones_column(F, embedding), precision, self.num_classes)
        return closeness, 0.5 * self.embedding_size * (softplus(F, raw) + self._floor)

    def _product(self, F, embedding, weight, bias):
        return ops.inner_product(F, embedding, weight, self.num_classes, ops.flat(F, bias))

    def _scaled_precision(self, F, raw):
        """Return ``1 / variance`` but for the factor ``self._scale``.

        exp(-floor - softplus(raw)) is exp(-floor) sigmoid(-raw), and ``exp`` has no fast kernel on a CPU.
        """
        return F.Activation(-raw, act_type="sigmoid")

    def _centred(self, F, embedding, mean):
        """Shift embeddings and means by a common centre: far from the origin the expanded square loses its digits."""
        count = min(CENTRE_CLASSES, self.num_classes)
        some = F.slice_axis(mean, axis=0, begin=0, end=count)
        # A sum times a constant: ONNX exports no mean over an axis from opset 18 on.
        centre = F.BlockGrad(F.sum(some, axis=0, keepdims=True) * (1.0 / count))
        # Added, since the gradient of a sum needs no pass over (C, D) and that of a difference does.
        shift = ops.outer(F, ops.ones_column(F, mean), F.transpose(-centre), self.embedding_size)
        return F.broadcast_sub(embedding, centre), mean + shift

    def _damped(self, F, embedding, label, mean, raw):
        """Return embeddings and means as they are, with the variance, at most 1, as a factor on their gradients."""
        precision = self._scale * self._scaled_precision(F, F.BlockGrad(raw))
        variance = F.minimum(1 / precision, 1.0)
        return damped(F, embedding, F.take(variance, label)), damped(F, mean, variance)

    def _exact_distance(self, F, embedding, label, mean, raw):
        """Return the true class's distance (B,) as a sum of squares, without gradient."""
        square = F.square(F.BlockGrad(embedding) - F.BlockGrad(F.take(mean, label)))
        if self.variance != "identity":
            square = F.broadcast_mul(square, self._scaled_precision(F, F.BlockGrad(F.take(raw, label))))
        return 0.5 * self._scale * ops.flat(F, ops.row_sums(F, square))

    def _raw(self, log_variance):
        """Return the raw log variance that stands for a log variance: the inverse of softplus, shifted by the floor."""
        above = np.asarray(log_variance, dtype=np.float64) - self._floor
        return above + np.log(-np.expm1(-above))

    def log_variance(self):
        """Return the log variance, NDArray (C, D), or (C, 1) if it is one per class (all 0 for ``identity``)."""
        if self.variance == "identity":
            return mx.nd.zeros((self.num_classes, 1), ctx=self.mean.list_ctx()[0], dtype=self._dtype)
        return softplus(mx.nd, self.raw_log_variance.list_data()[0]) + self._floor

    def set_log_variance(self, log_variance) -> None:
        """Set the log variance, (C, D) or (C, 1), on every context.

        Raises
        ------
        ValueError
            If the variance is the identity, the shape is another one, or a value is not above the floor.
        """
        way_out = "Build LGM with variance='isotropic' or 'diagonal'."
        ops.require(
            self.variance != "identity", "LGM", "variance", "be learned to set the log variance", self.variance, way_out
        )
        value = log_variance.asnumpy() if isinstance(log_variance, mx.nd.NDArray) else np.asarray(log_variance)
        shape = self.raw_log_variance.shape
        ops.require(
            value.shape == shape, "LGM", "log_variance", f"have shape {shape}", value.shape, "See log_variance()."
        )
        rule, way_out = f"be finite and above the floor {self._floor:g}", "Lower log_variance_floor."
        good = np.isfinite(value).all() and value.min() > self._floor
        ops.require(good, "LGM", "log_variance", rule, float(value.min()), way_out)
        self.raw_log_variance.set_data(mx.nd.array(self._raw(value), dtype=self._dtype))

    def prototypes(self):
        return self.mean.list_data()[0].copy()

    def _describe(self, values: dict) -> dict:
        mean, log_variance = values["mean"].astype(np.float64), self.log_variance().asnumpy()
        extra = {} if self.variance == "identity" else {"log_variance": log_variance}
        return {**extra, "score": lambda embedding: log_density(embedding, mean, log_variance.astype(np.float64))}


def damped(F, x, factor):
    """Return x (N, D); backward, its gradient times a factor (N, D) or (N, 1)."""
    fixed = F.BlockGrad(x)
    return fixed + F.broadcast_mul(x - fixed, factor)


def softplus(F, x):
    return F.Activation(x, act_type="softrelu")


def log_density(embedding, mean, log_variance):
    """Return the log densities (N, C) of embeddings (N, D), without the constant, in NumPy float64."""
    centre = mean.mean(axis=0)
    embedding, mean = np.asarray(embedding, np.float64) - centre, mean - centre
    precision = np.broadcast_to(np.exp(-log_variance), mean.shape)
    log_det = np.broadcast_to(log_variance, mean.shape).sum(axis=1)
    distance = embedding**2 @ precision.T - 2 * embedding @ (precision * mean).T + (precision * mean**2).sum(axis=1)
    return -0.5 * (np.maximum(distance, 0) + log_det)
