"""MV-Softmax: a margin, and a larger one against the classes that are taken for the true one."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads import bounds
from lossbench.heads.arcface import with_angle_margin
from lossbench.heads.base import CosineHead, scale_of
from lossbench.options import Choice, Number


class MVSoftmax(CosineHead):
    r"""Softmax cross-entropy with a margin that misclassified samples feel more (MV-Softmax, support vector softmax).

    .. math::
        z_j = s \cos\theta_j, \qquad L = CE(z', y), \qquad z'_y = s g

        z'_j = s ((1 + t) \cos\theta_j + t) \text{ where } \cos\theta_j > g, \text{ else } z_j

    with the hard weight :math:`t \ge 0`, and :math:`g = \cos\theta_y - m` or, for the kind ``angle``,
    :math:`g = \psi(\theta_y)` of `ArcFace`.

    Notes
    -----
    Learns ``weight`` (C, D). With t = 0 it is AM-softmax or ArcFace. A class that exceeds g gets a logit that is larger
    by s t (cos + 1): it jumps where it passes g.

    References
    ----------
    X. Wang, S. Zhang, S. Wang, T. Fu, H. Shi, T. Mei. Mis-classified Vector Guided Softmax Loss for Face Recognition.
    AAAI 2020, arXiv 1912.00833.

    Examples
    --------
    >>> head = MVSoftmax(num_classes=3, embedding_size=2, kind="angle")
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> head.scheduled()
    {'scale': 32.0, 'margin': 0.35, 'hard_weight': 0.2}
    """

    names = ("mv_softmax",)
    figure = ({"hard_weight": 0}, {"hard_weight": 0.2}, {"hard_weight": 0.5})
    changes_one_logit = False

    options = {
        "scale": scale_of(32.0),
        "margin": Number(
            0.35,
            "taken off the true class's cosine, or added to its angle in radians",
            at_least=0,
            below=math.pi / 2,
            scheduled=True,
            way_out="0.35 is the paper's cosine margin, 0.5 a usual angle.",
        ),
        "hard_weight": Number(
            0.2, "how much more a class counts that exceeds the true one", at_least=0, scheduled=True
        ),
        "kind": Choice("cosine", "what the margin is of", choices=("cosine", "angle")),
    }

    def loss(self, F, embedding, label, weight, scale, margin, hard_weight):
        logits = self.logits(F, embedding, weight, scale)
        true_logit = ops.true_class(F, logits, label)
        if self.kind == "cosine":
            true_logit = F.broadcast_sub(true_logit, scale * margin)
        else:
            cosine = F.broadcast_div(true_logit, scale)
            true_logit = F.broadcast_mul(with_angle_margin(F, cosine, margin), scale)
        # Of the products below, only that with the logits has a gradient to compute.
        hard = ops.times(F, ops.above(F, logits, true_logit), hard_weight)
        changed = logits * (1 + hard) + ops.times(F, hard, scale)
        return self.cross_entropy(F, changed, label, true_logit), logits

    def _bounded_margin(self):
        margin = self.scheduled()["margin"]
        separation = bounds.separation(self.num_classes, self.embedding_size)
        if self.kind == "angle":
            return margin, 1 - math.cos(margin), separation
        return margin, margin, None if separation is None else 1 - math.cos(separation)
