"""L-GM: class scores as log densities of a Gaussian mixture (large-margin Gaussian mixture loss)."""

from __future__ import annotations

import math

import numpy as np

from lossbench import _gluon, ops
from lossbench._mxnet import mx
from lossbench.heads.base import Head
from lossbench.options import Choice, Flag, Number, require

MULTIPLIER = "It multiplies the optimizer's own value."
# Class means that enter the common center: enough to find a large offset, few enough to cost nothing.
CENTER_CLASSES = 32
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

    Notes
    -----
    Learns ``mean`` (C, D) and, unless the variance is the identity, ``raw_log_variance`` (C, 1) or (C, D), where
    ``log variance = log_variance_floor + softplus(raw_log_variance)`` starts at 0; `log_variance` and
    `set_log_variance` speak of the log variance itself. The likelihood has no lower bound as a variance shrinks, hence
    the floor, and below a hard maximum the gradient would be dead. A small variance also multiplies the gradient that
    the embedding feels, by exp(-log_variance_floor) = 55 at most: a learning rate near the limit of the identity's
    wants ``natural_gradient``, which takes this factor out again.

    The likelihood term holds the log-determinant, as in the paper and unlike the authors' code. Distances are matrix
    products of embeddings and means that are both shifted by a common center; the true class's own distance is the
    exact sum of squares.

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

    names = ("lgm",)
    by_ranges = True
    metric = "density"
    figure = ({"margin": 0}, {"margin": 0.1}, {"margin": 0.3}, {"margin": 1})

    options = {
        "margin": Number(
            0.3,
            "times the true class's distance, taken off its logit",
            at_least=0,
            scheduled=True,
            way_out="It is a share of the true class's distance.",
        ),
        "likelihood_weight": Number(
            0.1, "factor on the likelihood term", at_least=0, scheduled=True, way_out="0 switches the likelihood off."
        ),
        "variance": Choice(
            "identity",
            "all 1; one learned per class; or one learned per class and dimension",
            choices=("identity", "isotropic", "diagonal"),
            way_out="Start with identity.",
        ),
        "log_variance_floor": Number(
            -4.0,
            "no learned log variance gets below it",
            at_least=-50,
            below=0,
            way_out="The log variance starts at 0.",
        ),
        "variance_lr_mult": Number(
            0.01, "learning rate multiplier of the log variance", at_least=0, way_out=MULTIPLIER
        ),
        "mean_lr_mult": Number(
            1.0, "learning rate multiplier of the means", "the Caffe authors use 2", at_least=0, way_out=MULTIPLIER
        ),
        "mean_wd_mult": Number(
            0.0, "weight decay multiplier of the means", "the authors use 1", at_least=0, way_out=MULTIPLIER
        ),
        "natural_gradient": Flag(
            None,
            "gradients of means and embeddings times the variance where that is below 1",
            "null: where variance_lr_mult is above 0.1",
        ),
    }

    def setup(self):
        chosen = self.natural_gradient
        fast = self.variance_lr_mult > FAST_VARIANCE if chosen is None else chosen
        self._natural_gradient = fast and self.variance != "identity"
        self.by_ranges = not self._natural_gradient  # an embedding's gradient depends on its class's variance
        self._floor = self.log_variance_floor
        self._scale = 1.0 if self.variance == "identity" else math.exp(-self._floor)
        msra = mx.init.MSRAPrelu(factor_type="in", slope=0)
        self._class_parameter("mean", msra, lr_mult=self.mean_lr_mult, wd_mult=self.mean_wd_mult)
        if self.variance == "identity":
            return
        size = self.embedding_size if self.variance == "diagonal" else 1
        start = mx.init.Constant(float(self._raw(0.0)))
        options = {"init": start, "lr_mult": self.variance_lr_mult, "wd_mult": 0.0}
        self._register_rows("raw_log_variance", 1, (size,), **options)

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
        embedding, mean = self._centered(F, embedding, mean)
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

    def _centered(self, F, embedding, mean):
        """Shift embeddings and means by a common center: far from the origin the expanded square loses its digits."""
        count = min(CENTER_CLASSES, self.num_classes)
        some = F.slice_axis(mean, axis=0, begin=0, end=count)
        # A sum times a constant: ONNX exports no mean over an axis from opset 18 on.
        center = F.BlockGrad(F.sum(some, axis=0, keepdims=True) * (1.0 / count))
        # Added, since the gradient of a sum needs no pass over (C, D) and that of a difference does.
        shift = ops.outer(F, ops.ones_column(F, mean), F.transpose(-center), self.embedding_size)
        return F.broadcast_sub(embedding, center), mean + shift

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
        return softplus(mx.nd, _gluon.value(self.raw_log_variance)) + self._floor

    def set_log_variance(self, log_variance) -> None:
        """Set the log variance, (C, D) or (C, 1), on every context.

        Raises
        ------
        ValueError
            If the variance is the identity, the shape is another one, or a value is not above the floor.
        """
        way_out = "Build LGM with variance='isotropic' or 'diagonal'."
        require(
            self.variance != "identity", "LGM", "variance", "be learned to set the log variance", self.variance, way_out
        )
        value = log_variance.asnumpy() if isinstance(log_variance, mx.nd.NDArray) else np.asarray(log_variance)
        shape = self.raw_log_variance.shape
        require(value.shape == shape, "LGM", "log_variance", f"have shape {shape}", value.shape, "See log_variance().")
        rule, way_out = f"be finite and above the floor {self._floor:g}", "Lower log_variance_floor."
        good = bool(np.isfinite(value).all() and value.min() > self._floor)
        require(good, "LGM", "log_variance", rule, float(value.min()), way_out)
        _gluon.set_value(self.raw_log_variance, mx.nd.array(self._raw(value), dtype=self._dtype))

    def prototypes(self):
        return _gluon.value(self.mean).copy()

    def describe(self):
        learned = {} if self.variance == "identity" else {"log_variance": self.log_variance().asnumpy()}
        return {**super().describe(), **learned}


def damped(F, x, factor):
    """Return x (N, D); backward, its gradient times a factor (N, D) or (N, 1)."""
    fixed = F.BlockGrad(x)
    return fixed + F.broadcast_mul(x - fixed, factor)


def softplus(F, x):
    return F.Activation(x, act_type="softrelu")
