"""Combined margin: factor and margin on the angle, margin on the cosine, as insightface combines them."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads import bounds
from lossbench.heads.arcface import SINE_EPSILON, with_angle_margin
from lossbench.heads.base import CosineHead, scale_of
from lossbench.options import Number


class CombinedMargin(CosineHead):
    r"""Softmax cross-entropy on scaled cosines with three margins at once (combined margin of ArcFace's authors).

    .. math::
        z_j = s \cos\theta_j, \qquad L = CE(z \text{ with } z_y = s (\psi(\theta_y) - m_3), y)

        \psi(\theta) = \cos(m_1 \theta + m_2) \text{ up to } m_1 \theta + m_2 = \pi, \text{ then } \cos\theta - \delta

    with the angle factor :math:`m_1`, the angle margin :math:`m_2` and the cosine margin :math:`m_3`.

    Notes
    -----
    Learns ``weight`` (C, D). (1, 0, 0) is NormFace, (1, m, 0) ArcFace, (1, 0, m) AM-softmax. The guard beyond pi is
    that of ArcFace, so that the logit never rises with the angle: delta = max(e sin e, 1 - cos e), where e is the angle
    that is left between there and pi; with m1 = 1 it is m2 sin m2. insightface has no guard.

    References
    ----------
    J. Deng, J. Guo, N. Xue, S. Zafeiriou. ArcFace: Additive Angular Margin Loss for Deep Face Recognition. CVPR 2019,
    arXiv 1801.07698, equation 4.

    Examples
    --------
    >>> head = CombinedMargin(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> head.scheduled()
    {'scale': 64.0, 'angle_margin': 0.3, 'cosine_margin': 0.2}
    """

    names = ("combined_margin",)
    by_ranges = True
    figure = ({}, {"angle_margin": 0}, {"cosine_margin": 0}, {"angle_factor": 1.5})

    options = {
        "scale": scale_of(64.0),
        "angle_factor": Number(1.0, "times the true class's angle", above=0, way_out="1 leaves the angle as it is."),
        "angle_margin": Number(
            0.3, "added to the true class's angle", at_least=0, below=math.pi / 2, unit="radians", scheduled=True
        ),
        "cosine_margin": Number(
            0.2,
            "taken off the true class's cosine",
            at_least=0,
            below=2,
            scheduled=True,
            way_out="It is taken off a cosine.",
        ),
    }

    def loss(self, F, embedding, label, weight, scale, angle_margin, cosine_margin):
        logits = self.logits(F, embedding, weight, scale)
        cosine = F.broadcast_div(ops.true_class(F, logits, label), scale)
        if self.angle_factor == 1:
            with_margin = with_angle_margin(F, cosine, angle_margin)
        else:
            with_margin = self._with_angle(F, cosine, angle_margin)
        true_logit = F.broadcast_mul(F.broadcast_sub(with_margin, cosine_margin), scale)
        return self.cross_entropy(F, logits, label, true_logit), logits

    def _with_angle(self, F, cosine, margin):
        """Return psi (B,) of cosines (B,) where the angle itself is needed."""
        angle = F.broadcast_add(self.angle_factor * angle_of(F, cosine), margin)
        left = F.maximum(math.pi - (math.pi - margin) / self.angle_factor, 0)
        drop = F.maximum(left * F.sin(left), 1 - F.cos(left))
        return F.where(angle < math.pi, F.cos(angle), F.broadcast_sub(cosine, drop))

    def _bounded_margin(self):
        values = self.scheduled()
        margin = 1 - math.cos(values["angle_margin"]) + values["cosine_margin"]
        separation = bounds.separation(self.num_classes, self.embedding_size)
        return margin, margin, None if separation is None else 1 - math.cos(separation)

    def shortcomings(self):
        return super().shortcomings() if self.angle_factor >= 1 else []

    def bounds(self):
        # A factor below 1 widens the class at large angles: there the margin may be none.
        return super().bounds() if self.angle_factor >= 1 else None


def angle_of(F, cosine):
    """Return the angles in [0, pi] of cosines (B,), with a finite gradient at 1 and -1: 0, as the sine's there."""
    opposite, adjacent = (F.sqrt(F.maximum(part, SINE_EPSILON)) for part in (1 - cosine, 1 + cosine))
    return 2 * F.arctan(opposite / adjacent)
