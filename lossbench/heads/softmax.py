"""Softmax cross-entropy on a linear layer, with or without normalized class weights."""

from __future__ import annotations

from lossbench import ops
from lossbench._mxnet import mx
from lossbench.heads.base import BiasedHead
from lossbench.options import Flag, require


class Softmax(BiasedHead):
    r"""Softmax cross-entropy on a linear layer.

    .. math:: z_j = w_j \cdot x + b_j, \qquad L = -\log \frac{e^{z_y}}{\sum_j e^{z_j}}

    With ``normalize_weight`` the weight of a class is :math:`w_j / |w_j|` and there is no bias.

    Notes
    -----
    Learns ``weight`` (C, D) and, where asked for, ``bias`` (C,).

    Examples
    --------
    >>> head = Softmax(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    """

    names = ("softmax",)
    takes_mixtures = True
    by_ranges = True
    figure = ({"length": 1}, {"length": 4}, {"length": 10})

    options = {
        "use_bias": BiasedHead.options["use_bias"],
        "normalize_weight": Flag(False, "divide each class's weight by its norm", "excludes use_bias"),
    }

    @classmethod
    def agree(cls, values):
        way_out = "A bias has no meaning between directions: drop one of the two."
        good, rule = not (values["use_bias"] and values["normalize_weight"]), "be False with normalize_weight"
        require(good, cls.__name__, "use_bias", rule, values["use_bias"], way_out)

    def setup(self):
        super().setup()
        self.metric = "cosine" if self.normalize_weight else "euclidean"

    def logits(self, F, embedding, weight, bias=None):
        if self.normalize_weight:
            return ops.product_with_unit_rows(F, embedding, weight, self.num_classes)
        return super().logits(F, embedding, weight, bias)

    def loss(self, F, embedding, label, weight, bias=None):
        logits = self.logits(F, embedding, weight, bias)
        return self.cross_entropy(F, logits, label), logits

    def prototypes(self):
        weight = super().prototypes()
        return ops.unit_rows(mx.nd, weight, self.embedding_size) if self.normalize_weight else weight
