"""L2-constrained softmax: embeddings on a sphere, free class weights."""

from __future__ import annotations

import numpy as np

from lossbench import ops
from lossbench._mxnet import mx
from lossbench.heads.base import ScaledHead, unit_rows


class L2Softmax(ScaledHead):
    r"""Softmax cross-entropy on embeddings of one length (L2-constrained softmax).

    .. math:: z_j = s \frac{w_j \cdot x}{|x|}, \qquad L = -\log \frac{e^{z_y}}{\sum_j e^{z_j}}

    Parameters
    ----------
    num_classes, embedding_size : int
        C and D.
    scale : float, default 16
        s > 0, the length of every embedding. Scheduled, unless it is learned.
    learn_scale : bool, default False
        Learn the scale; it stays at 0.01 or above.
    weight_initializer : Initializer or str, optional
        Default Xavier.
    label_smoothing : float, default 0
        In [0, 1).

    Notes
    -----
    Learns ``weight`` (C, D) and, where asked for, ``scale`` (1,). Were the weights of length 1, C >= 3 classes would
    need a scale of log(p (C - 2) / (1 - p)) for a probability p (4.28 for C = 10, p = 0.9); they are free, so that a
    smaller one works, too.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    R. Ranjan, C. D. Castillo, R. Chellappa. L2-constrained Softmax Loss for Discriminative Face Verification. 2017,
    arXiv 1703.09507.

    Examples
    --------
    >>> head = L2Softmax(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    """

    config_name = "l2_softmax"
    metric = "cosine"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        scale: float = 16.0,
        learn_scale: bool = False,
        weight_initializer=None,
        label_smoothing: float = 0.0,
        prefix=None,
        params=None,
    ):
        super().__init__(num_classes, embedding_size, label_smoothing=label_smoothing, prefix=prefix, params=params)
        self._class_parameter("weight", weight_initializer, mx.init.Xavier())
        self._register_scale(scale, learn_scale)

    def logits(self, F, embedding, weight, scale):
        scaled = ops.unit_rows(F, embedding, self.embedding_size, self._effective_scale(F, scale))
        return ops.inner_product(F, scaled, weight, self.num_classes)

    def loss(self, F, embedding, label, weight, scale):
        logits = self.logits(F, embedding, weight, scale)
        return self.cross_entropy(F, logits, label), logits

    def prototypes(self):
        return self.weight.list_data()[0].copy()

    def _describe(self, values: dict) -> dict:
        weight, scale = values["weight"].astype(np.float64), self._current_scale()
        return {"scale": scale, "score": lambda embedding: scale * unit_rows(embedding) @ weight.T}
