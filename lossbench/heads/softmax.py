"""Softmax cross-entropy on a linear layer, with or without normalised class weights."""

from __future__ import annotations

import numpy as np

from lossbench import ops
from lossbench._mxnet import mx
from lossbench.heads.base import Head, unit_rows


class Softmax(Head):
    r"""Softmax cross-entropy on a linear layer.

    .. math:: z_j = w_j \cdot x + b_j, \qquad L = -\log \frac{e^{z_y}}{\sum_j e^{z_j}}

    With ``normalize_weight`` the weight of a class is :math:`w_j / |w_j|` and there is no bias.

    Parameters
    ----------
    num_classes, embedding_size : int
        C and D.
    use_bias : bool, default False
        Add the learned bias b (C,), started at 0.
    normalize_weight : bool, default False
        Use class weights of length 1.
    weight_initializer : Initializer or str, optional
        Default Xavier.
    label_smoothing : float, default 0
        In [0, 1).

    Notes
    -----
    Learns ``weight`` (C, D) and, where asked for, ``bias`` (C,).

    Raises
    ------
    ValueError
        If an argument is outside its range, or ``normalize_weight`` comes with ``use_bias``.

    Examples
    --------
    >>> head = Softmax(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    """

    config_name = "softmax"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        use_bias: bool = False,
        normalize_weight: bool = False,
        weight_initializer=None,
        label_smoothing: float = 0.0,
        prefix=None,
        params=None,
    ):
        super().__init__(num_classes, embedding_size, label_smoothing=label_smoothing, prefix=prefix, params=params)
        way_out = "A bias has no meaning between directions: drop one of the two."
        ops.require(
            not (use_bias and normalize_weight),
            "Softmax",
            "use_bias",
            "be False with normalize_weight",
            use_bias,
            way_out,
        )
        self._normalize_weight = bool(normalize_weight)
        self.metric = "cosine" if normalize_weight else "euclidean"
        self._class_parameter("weight", weight_initializer, mx.init.Xavier())
        if use_bias:
            with self.name_scope():
                self.bias = self.params.get("bias", shape=(self.num_classes,), init=mx.init.Zero())

    def logits(self, F, embedding, weight, bias=None):
        if self._normalize_weight:
            return ops.product_with_unit_rows(F, embedding, weight, self.num_classes)
        return ops.inner_product(F, embedding, weight, self.num_classes, bias)

    def loss(self, F, embedding, label, weight, bias=None):
        logits = self.logits(F, embedding, weight, bias)
        return self.cross_entropy(F, logits, label), logits

    def prototypes(self):
        weight = self.weight.list_data()[0]
        return ops.unit_rows(mx.nd, weight, self.embedding_size) if self._normalize_weight else weight.copy()

    def _describe(self, values: dict) -> dict:
        weight = unit_rows(values["weight"]) if self._normalize_weight else values["weight"].astype(np.float64)
        bias = values.get("bias", np.zeros(self.num_classes))
        extra = {"bias": bias} if "bias" in values else {}
        return {**extra, "score": lambda embedding: np.asarray(embedding, np.float64) @ weight.T + bias}
