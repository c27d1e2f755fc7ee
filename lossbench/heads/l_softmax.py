"""L-Softmax: the true class's angle times an integer."""

from __future__ import annotations

import math

import numpy as np

from lossbench import ops
from lossbench._mxnet import mx
from lossbench.heads.base import Head


class AngleMultiplier(Head):
    """What L-Softmax and A-Softmax share: psi, an integer margin, and its blend with the plain logit."""

    def _register(self, margin: int, beta: float, weight_initializer) -> None:
        where = type(self).__name__
        rule, way_out = "be an integer of at least 1", "It multiplies the angle; 1 is no margin, 4 the papers' choice."
        ops.require(ops.is_count(margin), where, "margin", rule, margin, way_out)
        self.margin = int(margin)
        self._class_parameter("weight", weight_initializer, mx.init.Xavier())
        way_out = "It weighs the plain logit against the one with the margin; 0 leaves the margin alone."
        self._schedule("beta", beta, 0, np.inf, "be at least 0", way_out)

    def _blended(self, F, logit, length, beta):
        """Return the true class's training logit (B,) from its plain one, and from that one at angle 0."""
        with_margin = length * psi(F, logit / length, self.margin)
        return F.broadcast_div(F.broadcast_mul(logit, beta) + with_margin, 1 + beta)


def psi(F, cosine, margin: int):
    r"""Return :math:`(-1)^k \cos(m\theta) - 2k`, where :math:`\theta \in [k\pi/m, (k+1)\pi/m]`, from cosines.

    ``cos(m theta)`` is the Chebyshev polynomial of the cosine, and k <= m - 1 the number of thresholds
    ``cos(j pi / m)`` that the cosine has passed. It carries no gradient.
    """
    fixed = F.BlockGrad(cosine)
    passed = sum(fixed < math.cos(j * math.pi / margin) for j in range(1, margin))
    sign = 1 - 2 * (passed % 2)
    return sign * chebyshev(F, cosine, margin) - 2 * passed


def chebyshev(F, x, degree: int):
    """Return the Chebyshev polynomial ``T_degree(x) = cos(degree arccos x)`` by Horner's rule in the square of x."""
    coefficients = [float(c) for c in np.polynomial.chebyshev.cheb2poly([0] * degree + [1])[degree % 2 :: 2]]
    square, value = F.square(x), coefficients.pop()
    while coefficients:
        value = square * value + coefficients.pop()
    return x * value if degree % 2 else value


class LSoftmax(AngleMultiplier):
    r"""Softmax cross-entropy with the true class's angle multiplied by an integer (L-Softmax, large-margin softmax).

    .. math::
        z_j = w_j \cdot x, \qquad
        L = CE\left(z \text{ with } z_y = |w_y| |x| \frac{\beta \cos\theta_y + \psi(\theta_y)}{1 + \beta}, y\right)

        \psi(\theta) = (-1)^k \cos(m\theta) - 2k, \quad \theta \in [k\pi/m, (k+1)\pi/m], \quad k \in \{0, ..., m - 1\}

    Parameters
    ----------
    num_classes, embedding_size : int
        C and D.
    margin : int, default 4
        m >= 1; 1 is softmax without a margin.
    beta : float, default 0
        Weight >= 0 of the plain logit beside the one with margin. Scheduled: training starts at a large one that falls.
    weight_initializer : Initializer or str, optional
        Default Xavier.
    label_smoothing : float, default 0
        In [0, 1).

    Notes
    -----
    Learns ``weight`` (C, D); there is no bias.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    W. Liu, Y. Wen, Z. Yu, M. Yang. Large-Margin Softmax Loss for Convolutional Neural Networks. ICML 2016, arXiv
    1612.02295.

    Examples
    --------
    >>> head = LSoftmax(num_classes=3, embedding_size=2, beta=100)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> head.scheduled()
    {'beta': 100.0}
    """

    config_name = "l_softmax"

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
        return ops.inner_product(F, embedding, weight, self.num_classes)

    def loss(self, F, embedding, label, weight, beta):
        logits, own = self.logits(F, embedding, weight), F.take(weight, label)
        length = ops.flat(F, F.sqrt(ops.squared_norm(F, embedding) * ops.squared_norm(F, own)))
        # Not picked from the logits: the gradient of that would be another (B, C).
        logit = ops.flat(F, ops.row_sums(F, embedding * own))
        true_logit = self._blended(F, logit, length, beta)
        return self.cross_entropy(F, logits, label, true_logit), logits

    def prototypes(self):
        return self.weight.list_data()[0].copy()

    def _describe(self, values: dict) -> dict:
        weight = values["weight"].astype(np.float64)
        return {"score": lambda embedding: np.asarray(embedding, np.float64) @ weight.T}
