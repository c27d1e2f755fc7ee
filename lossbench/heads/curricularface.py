"""CurricularFace: a margin on the angle, and wrong classes that count more as training goes on."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.arcface import with_angle_margin
from lossbench.heads.base import CosineHead, scale_of
from lossbench.options import Number

MOMENTUM = 0.01


class CurricularFace(CosineHead):
    r"""Softmax cross-entropy with an angular margin and an adaptive weight of hard classes (CurricularFace).

    .. math::
        z_j = s \cos\theta_j, \qquad L = CE(z', y), \qquad z'_y = s \psi(\theta_y)

        z'_j = s \cos\theta_j (t + \cos\theta_j) \text{ where } \cos\theta_j > \psi(\theta_y), \text{ else } z_j

        t \leftarrow 0.99 t + 0.01 \frac1B \sum_i \cos\theta_{i, y_i}

    with :math:`\psi` as in `ArcFace`.

    Notes
    -----
    Learns ``weight`` (C, D). State: ``mean_cosine`` (1,), the t of the formula, which starts at 0, moves in each
    training step before it is used, and stands still in evaluation. The gradient reaches a hard class through both of
    its cosines. On several devices each moves the state by its part of the batch; the mean of them, weighed by the
    parts' sizes, goes on. A hard class whose cosine lies between 0 and 1 - t counts less than in ArcFace, so that
    ArcFace's lower bound of the loss does not hold.

    References
    ----------
    Y. Huang, Y. Wang, Y. Tai, X. Liu, P. Shen, S. Li, J. Li, F. Huang. CurricularFace: Adaptive Curriculum Learning
    Loss for Deep Face Recognition. CVPR 2020, arXiv 2004.00288.

    Examples
    --------
    >>> head = CurricularFace(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.describe()["mean_cosine"]
    0.0
    """

    names = ("curricularface",)
    figure = ({"margin": 0}, {"margin": 0.2}, {"margin": 0.5})
    changes_one_logit = False
    exceptions = {
        "devices": "each device moves the state by its part of the batch",
        "wrong_labels": "the state, and with it every row's loss, follows from all labels of the batch",
    }

    options = {
        "scale": scale_of(64.0),
        "margin": Number(
            0.5, "added to the true class's angle", at_least=0, below=math.pi / 2, unit="radians", scheduled=True
        ),
    }

    def state(self):
        return {"mean_cosine": 0.0}

    def loss(self, F, embedding, label, weight, scale, margin, mean_cosine):
        logits = self.logits(F, embedding, weight, scale)
        true_cosine = F.broadcast_div(ops.true_class(F, logits, label), scale)
        true_logit = F.broadcast_mul(with_angle_margin(F, true_cosine, margin), scale)
        now = F.mean(F.BlockGrad(true_cosine))
        level = ops.moved(F, mean_cosine, MOMENTUM * now + (1 - MOMENTUM) * mean_cosine)
        hard = ops.above(F, logits, true_logit)
        # z + hard (z (t + z / s) - z), so arranged that the logits alone have a gradient to compute.
        changed = logits * (1 + ops.times(F, hard, level - 1)) + F.square(logits) * ops.times(F, hard, 1 / scale)
        return self.cross_entropy(F, changed, label, true_logit), logits

    def shortcomings(self):
        return []

    def bounds(self):
        return None
