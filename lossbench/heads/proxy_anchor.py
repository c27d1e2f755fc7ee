"""Proxy-Anchor: each class's proxy against all images of a batch."""

from __future__ import annotations

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.base import COSINES, CosineHead
from lossbench.options import Number

# Stands for a pair that has no part in a sum of exponentials.
NOTHING = -1e30


class ProxyAnchor(CosineHead):
    r"""Each class's proxy pulls its images of the batch and pushes all others (Proxy-Anchor).

    .. math::
        L = \frac{1}{|P|} \sum_{j \in P} \log\left(1 + \sum_{i: y_i = j} e^{-\alpha (\cos\theta_{ij} - \delta)}\right)
        + \frac{1}{C} \sum_{j} \log\left(1 + \sum_{i: y_i \ne j} e^{\alpha (\cos\theta_{ij} + \delta)}\right)

    with P the classes that the batch has images of. Evaluation sees :math:`\alpha \cos\theta_{ij}`.

    Notes
    -----
    Learns ``weight`` (C, D), the proxies. This is a loss of the batch, and every image gets it: their mean is it.
    Each of several devices or processes takes its part of the batch for a whole one, and the mean of the parts' losses,
    weighed by their sizes, is trained. The same holds of accumulated batches.

    The authors train proxies a hundred times as fast as the network, at 1e-4 with AdamW, hence ``weight_lr_mult``. At a
    learning rate of 0.1 with momentum, 1 serves as well.

    References
    ----------
    S. Kim, D. Kim, M. Cho, S. Kwak. Proxy Anchor Loss for Deep Metric Learning. CVPR 2020, arXiv 2003.13911, equation
    4.

    Examples
    --------
    >>> head = ProxyAnchor(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.scheduled()
    {'alpha': 32.0, 'delta': 0.1}
    """

    names = ("proxy_anchor",)
    figure = ({"alpha": 8}, {"alpha": 16}, {"alpha": 32})
    exceptions = {
        "devices": "each device takes its part of the batch for a whole one",
        "wrong_labels": "every row's loss is that of the batch",
        "memory": "the labels of the batch are compared with one another, (B, B)",
    }
    changes_one_logit = False

    options = {
        "alpha": Number(32.0, "factor on the cosine", above=0, way_out=COSINES, scheduled=True),
        "delta": Number(
            0.1,
            "margin on the cosine, for both sums",
            at_least=0,
            below=2,
            scheduled=True,
            way_out="It is taken off a cosine; 0.1 is the paper's value.",
        ),
        "weight_lr_mult": Number(
            100.0,
            "learning rate multiplier of the proxies",
            at_least=0,
            way_out="It multiplies the optimizer's own value.",
        ),
        # There is no cross-entropy that they could change.
        "label_smoothing": None,
        "focusing": None,
    }

    def setup(self):
        super().setup()
        self.weight.lr_mult = self.weight_lr_mult

    def logits(self, F, embedding, weight, alpha):
        return super().logits(F, embedding, weight, alpha)

    def loss(self, F, embedding, label, weight, alpha, delta):
        logits = self.logits(F, embedding, weight, alpha)
        margin = alpha * delta
        positive = self._positive(F, F.broadcast_sub(margin, ops.true_class(F, logits, label)), label)
        negative = self._negative(F, ops.plus(F, logits, margin), label)
        ones = F.ones_like(ops.true_class(F, logits, label))
        return F.broadcast_mul(ones, positive + negative), logits

    def _positive(self, F, exponent, label):
        """Return the mean (1,) over the classes of the batch, from the exponent (B,) of each image's own pair."""
        same = F.broadcast_equal(F.reshape(label, shape=(-1, 1)), F.reshape(label, shape=(1, -1)))
        same = F.cast(same, dtype=self._dtype)
        pairs = F.broadcast_add((1 - same) * NOTHING, F.reshape(exponent, shape=(-1, 1)))
        share = 1 / sums(F, same)  # all images of a class together count once
        return F.reshape(F.sum(share * log_1_plus_sum(F, pairs)) / F.sum(share), shape=(1,))

    def _negative(self, F, exponent, label):
        """Return the mean (1,) over all classes, from the exponents (B, C)."""
        nothing = F.zeros_like(F.cast(label, dtype=self._dtype)) + NOTHING
        others = ops.with_true_class(F, exponent, label, nothing, self.num_classes)
        return F.reshape(F.sum(log_1_plus_sum(F, others)) / self.num_classes, shape=(1,))

    def _current_scale(self):
        return self._read(self.alpha)

    def bounds(self):
        return None  # that of a cross-entropy is none of this loss

    def shortcomings(self):
        return []


def log_1_plus_sum(F, exponent):
    """Return ``log(1 + sum exp(exponent))`` of every column of (B, N), as (1, N)."""
    fixed = F.BlockGrad(exponent)
    largest = F.relu(F.max(fixed, axis=0, keepdims=True))
    # Not by broadcast_sub, whose backward pass sums up a gradient that nobody wants.
    shifted = exponent - F.broadcast_like(largest, fixed)
    return largest + F.log1p(sums(F, F.exp(shifted)) + F.expm1(-largest))


def sums(F, x):
    """Return the sum of every column of x (B, N), as (1, N)."""
    return F.dot(F.transpose(ops.ones_column(F, x)), x)
