"""ArcFace: a margin on the angle."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads import bounds
from lossbench.heads.base import CosineHead, scale_of
from lossbench.options import Flag, Number

# The squared sine is kept above this: its root then has a gradient, which is 0 where the cosine is 1 or -1.
SINE_EPSILON = 1e-30


class ArcFace(CosineHead):
    r"""Softmax cross-entropy on scaled cosines with a margin on the true class's angle (ArcFace).

    .. math::
        z_j = s \cos\theta_j, \qquad L = CE(z \text{ with } z_y = s \psi(\theta_y), y)

        \psi(\theta) = \cos(\theta + m) \text{ up to } \theta = \pi - m, \text{ then } \cos\theta - m \sin m

    Notes
    -----
    Learns ``weight`` (C, D). The gradient is that of the formula (some implementations hold the margin constant).
    Beyond pi - m, cos(theta + m) would rise again, so that the straight line takes over; the logit drops there by
    s (cos m + m sin m - 1).

    References
    ----------
    J. Deng, J. Guo, N. Xue, S. Zafeiriou. ArcFace: Additive Angular Margin Loss for Deep Face Recognition. CVPR 2019,
    arXiv 1801.07698. J. Deng, J. Guo, T. Liu, M. Gong, S. Zafeiriou. Sub-center ArcFace. ECCV 2020 (``sub_centers``).
    F. Boutros, N. Damer, F. Kirchbuchner, A. Kuijper. ElasticFace. CVPR Workshops 2022, arXiv 2109.09416
    (``margin_std``).

    Examples
    --------
    >>> head = ArcFace(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> ArcFace(num_classes=3, embedding_size=2, margin=28.6)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lossbench.options.BadOption: ArcFace: `margin` must be in [0, pi/2) radians, got 28.6. If that is degrees, ...
    """

    names = ("arcface",)
    by_ranges = True
    figure = ({"margin": 0}, {"margin": 0.2}, {"margin": 0.5}, {"margin": 1.0}, {"easy_margin": True})

    options = {
        "scale": scale_of(64.0),
        "margin": Number(
            0.5, "added to the true class's angle", at_least=0, below=math.pi / 2, unit="radians", scheduled=True
        ),
        "easy_margin": Flag(False, "apply the margin only where the cosine is above 0"),
        "margin_std": Number(
            0.0,
            "standard deviation of each sample's margin, drawn in training (ElasticFace)",
            at_least=0,
            way_out="0 leaves the margin fixed, ElasticFace uses 0.0175.",
        ),
    }

    def loss(self, F, embedding, label, weight, scale, margin):
        logits = self.logits(F, embedding, weight, scale)
        cosine = F.broadcast_div(ops.true_class(F, logits, label), scale)
        if self.margin_std:
            margin = ops.spread(F, margin, cosine, self.margin_std)
        true_logit = F.broadcast_mul(self._with_margin(F, cosine, margin), scale)
        return self.cross_entropy(F, logits, label, true_logit), logits

    def _with_margin(self, F, cosine, margin):
        """Return psi (B,) of cosines (B,) that rounding may have carried out of [-1, 1]."""
        if self.easy_margin:
            return F.where(cosine > 0, rotated(F, cosine, margin), cosine)
        return with_angle_margin(F, cosine, margin)

    def _bounded_margin(self):
        margin = self.scheduled()["margin"]
        return margin, 1 - math.cos(margin), bounds.separation(self.num_classes, self.embedding_size)


def with_angle_margin(F, cosine, margin):
    """Return cos(theta + margin) of cosines (B,), and from pi - margin on the line that goes on downwards."""
    beyond = F.broadcast_sub(cosine, margin * F.sin(margin))
    return F.where(F.broadcast_greater(cosine, -F.cos(margin)), rotated(F, cosine, margin), beyond)


def rotated(F, cosine, angle):
    """Return cos(theta + angle) of cosines (B,), which rounding may have carried out of [-1, 1]."""
    return F.broadcast_mul(cosine, F.cos(angle)) - F.broadcast_mul(sine(F, cosine), F.sin(angle))


def sine(F, cosine):
    """Return the sine of angles in [0, pi] from their cosines (B,)."""
    return F.sqrt(F.clip((1 - cosine) * (1 + cosine), SINE_EPSILON, 1.0))
