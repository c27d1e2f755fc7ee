"""A-Softmax, also called SphereFace: the true class's angle times an integer, class weights of length 1."""

from __future__ import annotations

import numpy as np

from lossbench import ops
from lossbench._mxnet import mx
from lossbench.heads.base import unit_rows
from lossbench.heads.l_softmax import AngleMultiplier


class ASoftmax(AngleMultiplier):
    r"""Softmax cross-entropy on ``|x| cos``, the true class's angle multiplied by an integer (A-Softmax, SphereFace).

    .. math::
        z_j = |x| \cos\theta_j, \qquad
        L = CE\left(z \text{ with } z_y = |x| \frac{\beta \cos\theta_y + \psi(\theta_y)}{1 + \beta}, y\right)

    with :math:`\psi` as in `LSoftmax`.

    Parameters
    ----------
    num_classes, embedding_size : int
        C and D.
    margin : int, default 4
        m >= 1; 1 is softmax with normalised weights.
    beta : float, default 0
        Weight >= 0 of the plain logit beside the one with margin. Scheduled: training starts at a large one that falls
        (the authors stop at 5).
    weight_initializer : Initializer or str, optional
        Default Xavier.
    label_smoothing : float, default 0
        In [0, 1).

    Notes
    -----
    Learns ``weight`` (C, D), of which only the directions matter.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    W. Liu, Y. Wen, Z. Yu, M. Li, B. Raj, L. Song. SphereFace: Deep Hypersphere Embedding for Face Recognition. CVPR
    2017, arXiv 1704.08063.

    Examples
    --------
    >>> head = ASoftmax(num_classes=3, embedding_size=2, beta=5)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    """

    config_name = "a_softmax"
    metric = "cosine"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        margin: int = 4,
        beta: float = 0.0,
        weight_initializer=None,
        label_smoothing: float = 0.0,
        prefix=None,
        params=None,
    ):
        super().__init__(num_classes, embedding_size, label_smoothing=label_smoothing, prefix=prefix, params=params)
        self._register(margin, beta, weight_initializer)

    def logits(self, F, embedding, weight):
        return ops.product_with_unit_rows(F, embedding, weight, self.num_classes)

    def loss(self, F, embedding, label, weight, beta):
        logits = self.logits(F, embedding, weight)
        length = ops.flat(F, ops.norm(F, embedding))
        true_logit = self._blended(F, ops.true_class(F, logits, label), length, beta)
        return self.cross_entropy(F, logits, label, true_logit), logits

    def prototypes(self):
        return ops.unit_rows(mx.nd, self.weight.list_data()[0], self.embedding_size)

    def _describe(self, values: dict) -> dict:
        weight = unit_rows(values["weight"])
        return {"score": lambda embedding: np.asarray(embedding, np.float64) @ weight.T}


SphereFace = ASoftmax
