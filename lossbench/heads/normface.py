"""NormFace: softmax on scaled cosines."""

from __future__ import annotations

from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.base import LEARN_SCALE, UNIT_SCALE, CosineHead


class NormFace(CosineHead):
    r"""Softmax cross-entropy on scaled cosines (NormFace, normalized softmax).

    .. math:: z_j = s \cos\theta_j, \qquad \cos\theta_j = \frac{w_j \cdot x}{|w_j| |x|}

    Notes
    -----
    Learns ``weight`` (C, D) and, where asked for, ``scale`` (1,). The loss has a lower bound that falls with the scale,
    see `lossbench.heads.bounds`.

    References
    ----------
    F. Wang, X. Xiang, J. Cheng, A. L. Yuille. NormFace: L2 Hypersphere Embedding for Face Verification. ACM MM 2017,
    arXiv 1704.06369.

    Examples
    --------
    >>> head = NormFace(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    """

    names = ("normface",)
    takes_mixtures = True
    by_ranges = True
    figure = ({"scale": 4}, {"scale": 16}, {"scale": 32})

    options = {"scale": UNIT_SCALE, "learn_scale": LEARN_SCALE}

    def loss(self, F, embedding, label, weight, scale):
        logits = self.logits(F, embedding, weight, scale)
        return self.cross_entropy(F, logits, label), logits
