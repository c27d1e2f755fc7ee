"""UniFace: cosines against one threshold for all pairs of a sample and a class."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx
from lossbench.heads.base import CosineHead, scale_of
from lossbench.options import Number

# The threshold starts where so many times the number of classes are as likely as one.
START_FACTOR = 10


class UniFace(CosineHead):
    r"""Binary cross-entropy of every class's cosine against one learned threshold (UniFace).

    .. math::
        L = \log\left(1 + e^{b - s (\cos\theta_y - m)}\right)
        + \sum_{j \ne y} \log\left(1 + e^{s \cos\theta_j - b}\right)

    Evaluation sees :math:`s \cos\theta_j`.

    Notes
    -----
    Learns ``weight`` (C, D) and ``threshold`` (1,), which starts at log(10 C) and feels no weight decay. One threshold
    serves all pairs: a sample and a class match where :math:`s \cos\theta` is above it; `describe` holds its value.

    ``label_smoothing`` e makes the targets 1 - e + e / C and e / C; ``focusing`` multiplies each term by the power of
    the probability that it counts as wrong, as the paper of the focal loss has it. The authors' code clips exponents to
    the scale, where the gradient ends. Here the logarithm is exact.

    References
    ----------
    J. Zhou, X. Jia, Q. Li, L. Shen, J. Duan. UniFace: Unified Cross-Entropy Loss for Deep Face Recognition. ICCV 2023.

    Examples
    --------
    >>> head = UniFace(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.describe()["threshold"]
    3.401
    """

    names = ("uniface",)
    figure = ({"margin": 0}, {"margin": 0.2}, {"margin": 0.4})
    changes_one_logit = False

    options = {
        "scale": scale_of(64.0),
        "margin": Number(
            0.4,
            "taken off the true class's cosine",
            at_least=0,
            below=2,
            scheduled=True,
            way_out="It is taken off a cosine; 0.4 is the paper's value.",
        ),
    }

    def setup(self):
        super().setup()
        start = mx.init.Constant(math.log(START_FACTOR * self.num_classes))
        with self.name_scope():
            self.threshold = self.params.get("threshold", shape=(1,), init=start, wd_mult=0.0)

    def loss(self, F, embedding, label, weight, threshold, scale, margin):
        logits = self.logits(F, embedding, weight, scale)
        true = F.broadcast_add(-ops.true_class(F, logits, label), threshold + scale * margin)
        excess = logits - self._everywhere(F, threshold, logits)
        # How far each pair is on the wrong side of the threshold.
        wrong = ops.with_true_class(F, excess, label, true, self.num_classes)
        loss = softplus(F, wrong)
        if self.label_smoothing:
            loss = loss - self._smoothing(F, wrong, label)
        if self.focusing:
            doubt = F.maximum(F.Activation(wrong, act_type="sigmoid"), ops.SMALLEST_DOUBT)
            loss = loss * doubt**self.focusing
        return ops.flat(F, ops.row_sums(F, loss)), logits

    def _everywhere(self, F, number, logits):
        """Return a number (1,) for each logit (B, C): a product, for the gradient of a broadcast is slow."""
        column = F.broadcast_mul(ops.ones_column(F, logits), F.reshape(number, shape=(1, 1)))
        ones = F.ones_like(F.transpose(F.slice_axis(logits, axis=0, begin=0, end=1)))
        return ops.outer(F, column, ones, self.num_classes)

    def _smoothing(self, F, wrong, label):
        """Return what smoothed targets take off the terms (B, C): the share of the opposite target."""
        share = self.label_smoothing / self.num_classes
        true = (self.label_smoothing - share) * ops.true_class(F, wrong, label)
        return ops.with_true_class(F, share * wrong, label, true, self.num_classes)

    def bounds(self):
        return None  # that of a cross-entropy is none of this loss

    def shortcomings(self):
        return []


def softplus(F, x):
    """Return log(1 + exp(x)) to the last digits.

    oneDNN's own is off by 4e-6 where it is small, but has the right gradient, at a tenth of the time.
    """
    fixed, fast = F.BlockGrad(x), F.Activation(x, act_type="softrelu")
    size = F.abs(fixed)
    exact = 0.5 * (fixed + size) - F.log1p(-F.Activation(-size, act_type="sigmoid"))
    return fast + F.BlockGrad(exact - fast)
