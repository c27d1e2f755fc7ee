"""AM-Softmax, also called CosFace: a margin on the cosine."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads import bounds
from lossbench.heads.base import CosineHead


class AMSoftmax(CosineHead):
    r"""Softmax cross-entropy on scaled cosines with a margin on the true class's (AM-Softmax, CosFace).

    .. math:: z_j = s \cos\theta_j, \qquad L = CE(z - s m 1_y, y)

    Parameters
    ----------
    num_classes, embedding_size : int
        C and D.
    scale : float, default 30
        s > 0. Scheduled.
    margin : float, default 0.35
        m in [0, 2), in units of the cosine. Scheduled. In two dimensions the loss cannot come near 0 once m exceeds
        1 - cos(2 pi / C), which is 0.191 for 10 classes: `lossbench.heads.bounds`.
    weight_initializer : Initializer or str, optional
        Default Xavier.
    label_smoothing : float, default 0
        In [0, 1).

    Notes
    -----
    Learns ``weight`` (C, D).

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    F. Wang, W. Liu, H. Liu, J. Cheng. Additive Margin Softmax for Face Verification. IEEE Signal Processing Letters
    2018, arXiv 1801.05599. H. Wang et al. CosFace: Large Margin Cosine Loss for Deep Face Recognition. CVPR 2018,
    arXiv 1801.09414.

    Examples
    --------
    >>> head = AMSoftmax(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> head.set_scheduled("margin", 0.2)
    >>> head.scheduled()
    {'scale': 30.0, 'margin': 0.2}
    """

    config_name = "am_softmax"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        scale: float = 30.0,
        margin: float = 0.35,
        weight_initializer=None,
        label_smoothing: float = 0.0,
        prefix=None,
        params=None,
    ):
        super().__init__(num_classes, embedding_size, label_smoothing=label_smoothing, prefix=prefix, params=params)
        self._register(scale, weight_initializer)
        way_out = "It is taken off a cosine; 0.35 is the papers' value."
        self._schedule("margin", margin, 0, 2, "be in [0, 2)", way_out)
        self._warn_of_bounds()

    def loss(self, F, embedding, label, weight, scale, margin):
        logits = self.logits(F, embedding, weight, scale)
        true_logit = F.broadcast_sub(ops.true_class(F, logits, label), scale * margin)
        return self.cross_entropy(F, logits, label, true_logit), logits

    def _bounded_margin(self):
        margin = self.scheduled()["margin"]
        separation = bounds.separation(self.num_classes, self.embedding_size)
        return margin, margin, None if separation is None else 1 - math.cos(separation)


CosFace = AMSoftmax
