"""L2-constrained softmax: embeddings on a sphere, free class weights."""

from __future__ import annotations

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.base import LEARN_SCALE, UNIT_SCALE, ScaledHead


class L2Softmax(ScaledHead):
    r"""Softmax cross-entropy on embeddings of one length (L2-constrained softmax).

    .. math:: z_j = s \frac{w_j \cdot x}{|x|}, \qquad L = -\log \frac{e^{z_y}}{\sum_j e^{z_j}}

    Notes
    -----
    Learns ``weight`` (C, D) and, where asked for, ``scale`` (1,). Were the weights of length 1, C >= 3 classes would
    need a scale of log(p (C - 2) / (1 - p)) for a probability p (4.28 for C = 10, p = 0.9); they are free, so that a
    smaller one works, too.

    References
    ----------
    R. Ranjan, C. D. Castillo, R. Chellappa. L2-constrained Softmax Loss for Discriminative Face Verification. 2017,
    arXiv 1703.09507.

    Examples
    --------
    >>> head = L2Softmax(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    """

    names = ("l2_softmax",)
    takes_mixtures = True
    by_ranges = True
    metric = "cosine"
    figure = ({"scale": 4}, {"scale": 16}, {"scale": 32})

    options = {"scale": UNIT_SCALE, "learn_scale": LEARN_SCALE}

    def logits(self, F, embedding, weight, scale):
        scaled = ops.unit_rows(F, embedding, self.embedding_size, self._effective_scale(F, scale))
        return ops.inner_product(F, scaled, weight, self.num_classes)

    def loss(self, F, embedding, label, weight, scale):
        logits = self.logits(F, embedding, weight, scale)
        return self.cross_entropy(F, logits, label), logits
