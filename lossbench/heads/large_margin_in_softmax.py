"""Large margin in softmax: cross-entropy that also spreads the other classes evenly."""

from __future__ import annotations

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.base import BiasedHead
from lossbench.options import Number, require

# Stands for the true class in a softmax over the others.
NOTHING = -1e30
FEWEST_CLASSES = 3


class LargeMarginInSoftmax(BiasedHead):
    r"""Softmax cross-entropy, and a penalty on uneven scores of the other classes (large margin in softmax).

    .. math::
        z_j = w_j \cdot x + b_j, \qquad
        L = CE(z, y) + \frac{\lambda}{2} \sum_{j \ne y} \left(q_j - \frac{1}{C - 1}\right) \log q_j

    with q the softmax over :math:`j \ne y`.

    Notes
    -----
    Learns ``weight`` (C, D) and, where asked for, ``bias`` (C,). The penalty is at least 0. It is 0 where the other
    classes' logits are equal, as they are in the picture. There must be three classes: with two, no score is uneven.

    The authors' code moves the true class's logit down by 1e6 to leave it out, which a larger logit gets past.

    References
    ----------
    T. Kobayashi. Large Margin In Softmax Cross-Entropy Loss. BMVC 2019.

    Examples
    --------
    >>> head = LargeMarginInSoftmax(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.scheduled()
    {'penalty_weight': 0.3}
    """

    names = ("large_margin_in_softmax",)
    figure = ({"length": 1}, {"length": 4}, {"length": 10})
    exceptions = {"small": "it needs three classes"}
    changes_one_logit = False
    needs_all_classes = "it evens out the scores of all other classes"

    options = {
        "penalty_weight": Number(
            0.3, "factor on the penalty", at_least=0, scheduled=True, way_out="0 switches the penalty off."
        ),
    }

    def setup(self):
        where, rule, way_out = type(self).__name__, f"be at least {FEWEST_CLASSES}", "Softmax takes any number."
        require(self.num_classes >= FEWEST_CLASSES, where, "num_classes", rule, self.num_classes, way_out)
        super().setup()

    def loss(self, F, embedding, label, weight, penalty_weight, bias=None):
        logits = self.logits(F, embedding, weight, bias)
        penalty = F.broadcast_mul(self._unevenness(F, logits, label), penalty_weight)
        return self.cross_entropy(F, logits, label) + penalty, logits

    def _unevenness(self, F, logits, label):
        """Return the penalty (B,) of logits (B, C)."""
        nothing = F.zeros_like(F.cast(label, dtype=self._dtype))
        others = ops.with_true_class(F, logits, label, nothing + NOTHING, self.num_classes)
        log_q = ops.with_true_class(F, F.log_softmax(others, axis=1), label, nothing, self.num_classes)
        excess = F.softmax(others, axis=1) - 1 / (self.num_classes - 1)
        return 0.5 * ops.flat(F, ops.row_sums(F, excess * log_q))
