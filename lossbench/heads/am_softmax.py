"""AM-Softmax, also called CosFace: a margin on the cosine."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads import bounds
from lossbench.heads.base import CosineHead, scale_of
from lossbench.options import Number


class AMSoftmax(CosineHead):
    r"""Softmax cross-entropy on scaled cosines with a margin on the true class's (AM-Softmax, CosFace).

    .. math:: z_j = s \cos\theta_j, \qquad L = CE(z - s m 1_y, y)

    Notes
    -----
    Learns ``weight`` (C, D).

    References
    ----------
    F. Wang, W. Liu, H. Liu, J. Cheng. Additive Margin Softmax for Face Verification. IEEE Signal Processing Letters
    2018, arXiv 1801.05599. H. Wang et al. CosFace: Large Margin Cosine Loss for Deep Face Recognition. CVPR 2018,
    arXiv 1801.09414. F. Boutros, N. Damer, F. Kirchbuchner, A. Kuijper. ElasticFace. CVPR Workshops 2022, arXiv
    2109.09416 (``margin_std``).

    Examples
    --------
    >>> head = AMSoftmax(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> head.set_scheduled("margin", 0.2)
    >>> head.scheduled()
    {'scale': 30.0, 'margin': 0.2}
    """

    names = ("am_softmax", "cosface")
    by_ranges = True
    figure = ({"margin": 0}, {"margin": 0.1}, {"margin": 0.35}, {"margin": 0.5})

    options = {
        "scale": scale_of(30.0),
        "margin": Number(
            0.35,
            "taken off the true class's cosine",
            at_least=0,
            below=2,
            scheduled=True,
            way_out="It is taken off a cosine; 0.35 is the papers' value.",
        ),
        "margin_std": Number(
            0.0,
            "standard deviation of each sample's margin, drawn in training (ElasticFace)",
            at_least=0,
            way_out="0 leaves the margin fixed, ElasticFace uses 0.02.",
        ),
    }

    def loss(self, F, embedding, label, weight, scale, margin):
        logits = self.logits(F, embedding, weight, scale)
        true_logit = ops.true_class(F, logits, label)
        if self.margin_std:
            margin = ops.spread(F, margin, true_logit, self.margin_std)
        true_logit = F.broadcast_sub(true_logit, F.broadcast_mul(margin, scale))
        return self.cross_entropy(F, logits, label, true_logit), logits

    def _bounded_margin(self):
        margin = self.scheduled()["margin"]
        separation = bounds.separation(self.num_classes, self.embedding_size)
        return margin, margin, None if separation is None else 1 - math.cos(separation)


CosFace = AMSoftmax
