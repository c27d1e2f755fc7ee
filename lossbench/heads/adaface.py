"""AdaFace: a margin that the length of the embedding, as a sign of quality, moves between angle and cosine."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads import bounds
from lossbench.heads.arcface import rotated
from lossbench.heads.base import CosineHead, scale_of
from lossbench.options import Number

SHORTEST, LONGEST = 0.001, 100.0
DEVIATION_EPSILON = 0.001


class AdaFace(CosineHead):
    r"""Softmax cross-entropy with a margin that adapts to the length of the embedding (AdaFace).

    .. math::
        z_j = s \cos\theta_j, \qquad L = CE(z \text{ with } z_y = s (\cos(\theta_y - m k) - m - m k), y)

        k = \operatorname{clip}\left(h \frac{n - \mu}{\sigma + 0.001}, -1, 1\right), \qquad
        n = \operatorname{clip}(|x|, 0.001, 100)

    with the concentration :math:`h`; the angle :math:`\theta_y - m k` is kept in :math:`[0, \pi]`, and no gradient
    reaches the embedding through :math:`k`.

    Notes
    -----
    Learns ``weight`` (C, D). State: ``norm_mean`` (1,), which starts at 20, and ``norm_deviation`` (1,), which starts
    at 100. In each training step, before they are used, they move by ``momentum`` towards the batch's mean and standard
    deviation of n (with B - 1 in the denominator; a batch of one moves the mean alone); they stand still in evaluation.
    On several devices each moves them by its part of the batch; the means, weighed by the parts' sizes, go on.

    Long embeddings (k = 1) get a margin of 2 m on a cosine that is turned towards the class, short ones (k = -1) an
    angular margin of m, in between (k = 0) the margin is that of AM-softmax. The authors' class has a momentum of 1,
    their training 0.01.

    References
    ----------
    M. Kim, A. K. Jain, X. Liu. AdaFace: Quality Adaptive Margin for Face Recognition. CVPR 2022, arXiv 2204.00964.

    Examples
    --------
    >>> head = AdaFace(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.describe()["norm_mean"], head.describe()["norm_deviation"]
    (20.0, 100.0)
    """

    names = ("adaface",)
    by_ranges = True
    # With this concentration, lengths of 1, 20 and 100 stand for k = -1, 0 and 1.
    figure = tuple({"concentration": 6, "length": length} for length in (1, 20, 100))
    exceptions = {"devices": "each device moves the state by its part of the batch"}

    options = {
        "scale": scale_of(64.0),
        "margin": Number(
            0.4,
            "on the true class's cosine at medium length, on its angle at small length",
            at_least=0,
            below=math.pi / 2,
            scheduled=True,
            way_out="0.4 is the paper's.",
        ),
        "concentration": Number(
            0.333, "how fast the margin follows the length", at_least=0, way_out="0 leaves the length out."
        ),
        "momentum": Number(
            0.01, "share of a batch in the running mean and deviation of the length", at_least=0, at_most=1
        ),
    }

    def state(self):
        return {"norm_mean": 20.0, "norm_deviation": 100.0}

    def loss(self, F, embedding, label, weight, scale, margin, norm_mean, norm_deviation):
        logits = self.logits(F, embedding, weight, scale)
        cosine = F.broadcast_div(ops.true_class(F, logits, label), scale)
        quality = self._quality(F, F.BlockGrad(embedding), norm_mean, norm_deviation)
        shift = F.broadcast_mul(quality, margin)
        with_margin = F.broadcast_sub(turned(F, cosine, shift) - shift, margin)
        return self.cross_entropy(F, logits, label, F.broadcast_mul(with_margin, scale)), logits

    def _quality(self, F, embedding, norm_mean, norm_deviation):
        """Return k (B,) of embeddings (B, D), and move the state."""
        norm = ops.flat(F, ops.norm(F, embedding))
        norm = F.minimum(F.maximum(norm, SHORTEST), LONGEST)
        mean = F.mean(norm)
        others = F.max(F.contrib.arange_like(norm))  # B - 1
        squares = F.sum(F.square(F.broadcast_sub(norm, mean)))
        deviation = F.where(others > 0, F.sqrt(squares / F.maximum(others, 1)), norm_deviation)
        norm_mean = ops.moved(F, norm_mean, self._towards(norm_mean, mean))
        norm_deviation = ops.moved(F, norm_deviation, self._towards(norm_deviation, deviation))
        quality = F.broadcast_div(F.broadcast_sub(norm, norm_mean), norm_deviation + DEVIATION_EPSILON)
        return F.clip(self.concentration * quality, -1.0, 1.0)

    def _towards(self, old, new):
        return old + self.momentum * (new - old)

    def _bounded_margin(self):
        # The loosest margin is that of the shortest embeddings: ArcFace's.
        margin = self.scheduled()["margin"]
        return margin, 1 - math.cos(margin), bounds.separation(self.num_classes, self.embedding_size)


def turned(F, cosine, shift):
    """Return cos(theta - shift) of cosines (B,) and angles shift (B,), the difference kept in [0, pi]."""
    found, limit, one = rotated(F, cosine, -shift), F.cos(shift), F.ones_like(cosine)
    found = F.where((shift > 0) * (cosine > limit), one, found)
    return F.where((shift < 0) * (cosine < -limit), -one, found)
