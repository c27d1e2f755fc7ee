"""AdaCos: softmax on cosines with a scale that follows from the batch."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.base import CosineHead
from lossbench.options import Flag

LOWEST_SCALE = 0.01
# The median angle counts as 45 degrees at most.
SMALLEST_COSINE = math.cos(math.pi / 4)
# Stands for the true class in a sum over the other classes' exponentials.
NOTHING = -1e30


class AdaCos(CosineHead):
    r"""Softmax cross-entropy on scaled cosines, the scale chosen by the batch (AdaCos).

    .. math::
        z_j = s \cos\theta_j, \qquad L = CE(z, y)

        s \leftarrow \frac{\log \frac1B \sum_i \sum_{j \ne y_i} e^{s \cos\theta_{ij}}}
        {\cos \min(\pi/4, \operatorname{median}_i \theta_{i, y_i})}, \qquad s_0 = \sqrt2 \log(C - 1)

    Notes
    -----
    Learns ``weight`` (C, D). State: ``scale`` (1,), which moves in each training step before it is used and stands
    still in evaluation; it is at least 0.01, and starts at 1 where there are fewer than three classes. With
    ``dynamic=False`` it stays where it starts. The median of an even number of angles is the lower middle. On several
    devices each moves the scale by its part of the batch; the mean of them, weighed by the parts' sizes, goes on.

    The authors' code keeps the scale outside of what is saved, and moves it in evaluation as well.

    References
    ----------
    X. Zhang, R. Zhao, Y. Qiao, X. Wang, H. Li. AdaCos: Adaptively Scaling Cosine Logits for Effectively Learning Deep
    Face Representations. CVPR 2019, arXiv 1905.00292.

    Examples
    --------
    >>> head = AdaCos(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.describe()["scale"]
    0.980
    """

    names = ("adacos",)
    exceptions = {
        "devices": "each device fits the scale to its part of the batch",
        "wrong_labels": "the scale, and with it every row's loss, follows from all labels of the batch",
    }
    changes_one_logit = False  # the scale depends on the number of classes: drawn for ten

    options = {"dynamic": Flag(True, "let the batch move the scale")}

    def state(self):
        return {"scale": math.sqrt(2) * math.log(self.num_classes - 1) if self.num_classes > 2 else 1.0}

    def loss(self, F, embedding, label, weight, scale):
        unit = ops.unit_rows(F, embedding, self.embedding_size)
        cosine = self._nearest(F, unit, weight)
        if self.dynamic and self.num_classes > 1:
            scale = ops.moved(F, scale, self._fitting(F, F.BlockGrad(cosine), label, scale))
        logits = ops.times(F, cosine, scale)
        return self.cross_entropy(F, logits, label), logits

    def _fitting(self, F, cosine, label, scale):
        """Return the scale (1,) that fits the cosines (B, C) of a batch."""
        true_cosine = ops.true_class(F, cosine, label)
        others = ops.times(F, cosine, scale)
        others = ops.with_true_class(F, others, label, F.zeros_like(true_cosine) + NOTHING, self.num_classes)
        # Any other class gives the logarithm of the sum: its logit less its log-probability.
        another = (label + 1) % self.num_classes
        log_sum = ops.true_class(F, others - F.log_softmax(others, axis=1), another)
        largest = F.max(log_sum)
        log_mean = F.broadcast_add(largest, F.log(F.mean(F.exp(F.broadcast_sub(log_sum, largest)))))
        falling = F.sort(true_cosine, axis=0, is_ascend=False)
        last = F.max(F.contrib.arange_like(true_cosine))
        median = F.maximum(F.take(falling, F.floor(last / 2)), SMALLEST_COSINE)  # clip has bounds in float32
        return F.maximum(log_mean / median, LOWEST_SCALE)

    def shortcomings(self):
        return []  # they would advise a larger scale
