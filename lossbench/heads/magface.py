"""MagFace: an angular margin that grows with the length of the embedding."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads import bounds
from lossbench.heads.arcface import with_angle_margin
from lossbench.heads.base import CosineHead, scale_of
from lossbench.options import Number, require


class MagFace(CosineHead):
    r"""Softmax cross-entropy on scaled cosines, the angle's margin set by the embedding's length (MagFace).

    .. math::
        z_j = s \cos\theta_j, \qquad L = CE(z \text{ with } z_y = s \psi(\theta_y; m(a)), y)
        + \lambda \left(\frac{a}{u_a^2} + \frac{1}{a}\right)

        a = \min(\max(|x|, l_a), u_a), \qquad m(a) = l_m + (u_m - l_m) \frac{a - l_a}{u_a - l_a}

    with :math:`\psi` as in `ArcFace`, norms in :math:`[l_a, u_a]`, margins in :math:`[l_m, u_m]` and the norm's weight
    :math:`\lambda`.

    Notes
    -----
    Learns ``weight`` (C, D). The gradient reaches the embedding's length through the margin, which draws it down, and
    through the norm's own term, which draws it up towards the upper norm. Both are constant outside of the norms'
    bounds, so that an embedding stays there which begins there: choose bounds that the backbone's embeddings keep. The
    authors' 10 and 110 are those of a face network.

    Beyond pi - m the straight line of `ArcFace` takes over, with the margin of the sample. The authors' code has that,
    too, but trains with an easy margin, one that ends where the cosine is no longer above 0; the paper has none.

    References
    ----------
    Q. Meng, S. Zhao, Z. Huang, F. Zhou. MagFace: A Universal Representation for Face Recognition and Quality
    Assessment. CVPR 2021, arXiv 2103.06627.

    Examples
    --------
    >>> head = MagFace(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.scheduled()
    {'scale': 64.0, 'lower_margin': 0.45, 'upper_margin': 0.8, 'norm_weight': 35.0}
    """

    names = ("magface",)
    by_ranges = True
    figure = ({"length": 10}, {"length": 60}, {"length": 110})
    changes_one_logit = False

    options = {
        "scale": scale_of(64.0),
        "lower_norm": Number(10.0, "length of an embedding up to which the margin is the lower one", above=0),
        "upper_norm": Number(110.0, "length from which on it is the upper one", above=0),
        "lower_margin": Number(
            0.45, "added to the angle at the lower norm", at_least=0, below=math.pi / 2, unit="radians", scheduled=True
        ),
        "upper_margin": Number(
            0.8, "added to the angle at the upper norm", at_least=0, below=math.pi / 2, unit="radians", scheduled=True
        ),
        "norm_weight": Number(
            35.0,
            "factor on the norm's term",
            at_least=0,
            scheduled=True,
            way_out="0 switches the norm's term off.",
        ),
    }

    @classmethod
    def agree(cls, values):
        super().agree(values)
        where, norm, margin = cls.__name__, values["lower_norm"], values["lower_margin"]
        rule, way_out = f"be above lower_norm ({norm:g})", "The norms are the two ends of a range."
        require(values["upper_norm"] > norm, where, "upper_norm", rule, values["upper_norm"], way_out)
        rule, way_out = f"be at least lower_margin ({margin:g})", "Long embeddings get the larger margin."
        require(values["upper_margin"] >= margin, where, "upper_margin", rule, values["upper_margin"], way_out)

    def loss(self, F, embedding, label, weight, scale, lower_margin, upper_margin, norm_weight):
        logits = self.logits(F, embedding, weight, scale)
        length = ops.flat(F, ops.norm(F, embedding))
        length = F.minimum(F.maximum(length, self.lower_norm), self.upper_norm)  # clip has bounds in float32
        share = (length - self.lower_norm) / (self.upper_norm - self.lower_norm)
        margin = F.broadcast_add(F.broadcast_mul(share, upper_margin - lower_margin), lower_margin)
        cosine = F.broadcast_div(ops.true_class(F, logits, label), scale)
        true_logit = F.broadcast_mul(with_angle_margin(F, cosine, margin), scale)
        pull = F.broadcast_mul(length / self.upper_norm**2 + 1 / length, norm_weight)
        return self.cross_entropy(F, logits, label, true_logit) + pull, logits

    def _bounded_margin(self):
        margin = self.scheduled()["lower_margin"]
        return margin, 1 - math.cos(margin), bounds.separation(self.num_classes, self.embedding_size)
