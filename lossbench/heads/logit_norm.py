"""LogitNorm: softmax on logits whose vector has one length."""

from __future__ import annotations

import math
from dataclasses import replace

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.base import BiasedHead
from lossbench.options import Number


class LogitNorm(BiasedHead):
    r"""Softmax cross-entropy on a linear layer's logits, brought to one length (LogitNorm).

    .. math:: z_j = w_j \cdot x + b_j, \qquad L = CE\left(\frac{z}{\tau |z|}, y\right)

    Notes
    -----
    Learns ``weight`` (C, D) and, unless it is switched off, ``bias`` (C,). Evaluation sees z. Only the direction of z
    is trained, so that confidence does not grow with the length of an embedding; the loss has a lower bound that falls
    with the temperature, see `bounds`. The paper's temperature of 0.04 is for ten classes; a hundred want a lower one.
    Where the other logits are 0, as in the picture, the sign of the true one decides.

    The authors' code adds 1e-7 to the length. Here 1e-12 stands under its root: the gradient is finite at z = 0.

    References
    ----------
    H. Wei, R. Xie, H. Cheng, L. Feng, B. An, Y. Li. Mitigating Neural Network Overconfidence with Logit Normalization.
    ICML 2022, arXiv 2205.09310.

    Examples
    --------
    >>> head = LogitNorm(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    >>> head.scheduled()
    {'temperature': 0.04}
    """

    names = ("logit_norm",)
    takes_mixtures = True
    figure = ({"temperature": 0.04}, {"temperature": 0.1}, {"temperature": 0.3}, {"temperature": 1})
    changes_one_logit = False
    needs_all_classes = "it brings the vector of all logits to one length"

    options = {
        "temperature": Number(
            0.04,
            "the logits' length in training is 1 over this",
            above=0,
            scheduled=True,
            way_out="0.04 is the paper's value.",
        ),
        "use_bias": replace(BiasedHead.options["use_bias"], default=True),
    }

    def loss(self, F, embedding, label, weight, temperature, bias=None):
        logits = self.logits(F, embedding, weight, bias)
        normalized = ops.unit_rows(F, logits, self.num_classes, 1 / temperature)
        return self.cross_entropy(F, normalized, label), logits

    def lowest_loss(self) -> float:
        """Return the loss where the true class's logit exceeds all others, which are equal, in a vector of length 1."""
        others = self.num_classes - 1
        if not others:
            return 0.0
        gap = math.sqrt(self.num_classes / others) / self.scheduled()["temperature"]
        return math.log1p(others * math.exp(-gap))

    def bounds(self) -> str:
        """Return one line on the lowest loss that the head can reach with its present temperature."""
        temperature = self.scheduled()["temperature"]
        return (
            f"LogitNorm: {self.num_classes} classes with temperature {temperature:g} cannot bring the cross-entropy "
            f"below {self.lowest_loss():.3g}."
        )
