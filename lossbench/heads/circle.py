"""Circle loss on class weights: each cosine weighs its own gradient."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.base import CosineHead, scale_of
from lossbench.options import Number


class CircleLoss(CosineHead):
    r"""Softmax cross-entropy on cosines that are weighed by how far they are from their goal (circle loss).

    .. math::
        z_y = s \operatorname{sg}[1 + m - \cos\theta_y]_+ \left(\cos\theta_y - (1 - m)\right), \qquad
        z_j = s \operatorname{sg}[\cos\theta_j + m]_+ \left(\cos\theta_j - m\right), \qquad L = CE(z, y)

    with :math:`\operatorname{sg}` for "no gradient". Evaluation sees :math:`s \cos\theta_j`.

    Notes
    -----
    Learns ``weight`` (C, D). This is the form with class weights; the paper's other one compares pairs of a batch. The
    weights in brackets carry no gradient, as in the paper: the gradient is not that of the loss's value. A cosine
    below -m of another class is left alone. The loss has a lower bound, see `bounds`.

    References
    ----------
    Y. Sun et al. Circle Loss: A Unified Perspective of Pair Similarity Optimization. CVPR 2020, arXiv 2002.10857,
    equations 6 to 8.

    Examples
    --------
    >>> head = CircleLoss(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.scheduled()
    {'scale': 256.0, 'margin': 0.25}
    """

    names = ("circle",)
    by_ranges = True
    figure = ({"scale": 64, "margin": 0.1}, {"scale": 64, "margin": 0.25}, {"scale": 64, "margin": 0.4})
    changes_one_logit = False

    options = {
        "scale": scale_of(256.0),
        "margin": Number(
            0.25,
            "the goals are cosines of 1 - margin and margin",
            at_least=0,
            below=1,
            scheduled=True,
            way_out="It is a distance between cosines; 0.25 is the paper's value.",
        ),
    }

    def loss(self, F, embedding, label, weight, scale, margin):
        logits = self.logits(F, embedding, weight, scale)
        true_cosine = F.broadcast_div(ops.true_class(F, logits, label), scale)
        far = F.BlockGrad(F.relu(F.broadcast_sub(1 + margin, true_cosine)))
        true_logit = far * F.broadcast_mul(F.broadcast_sub(true_cosine, 1 - margin), scale)
        near = F.BlockGrad(F.relu(ops.plus(F, ops.times(F, logits, 1 / scale), margin)))
        others = near * ops.plus(F, logits, -scale * margin)
        return self.cross_entropy(F, others, label, true_logit), logits

    def lowest_loss(self) -> float:
        """Return the cross-entropy where the true class's cosine is 1 and all others are 0."""
        values = self.scheduled()
        return math.log1p((self.num_classes - 1) * math.exp(-2 * values["scale"] * values["margin"] ** 2))

    def bounds(self) -> str:
        scale, margin = self.scheduled()["scale"], self.scheduled()["margin"]
        return (
            f"CircleLoss: {self.num_classes} classes with scale {scale:g} and margin {margin:g} cannot bring the "
            f"cross-entropy below {self.lowest_loss():.3g}."
        )

    def shortcomings(self):
        return []  # they compare the scale with that of NormFace
