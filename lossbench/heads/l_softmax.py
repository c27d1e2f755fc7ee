"""L-Softmax: the true class's angle times an integer."""

from __future__ import annotations

import math

from lossbench import ops
from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.base import LinearHead
from lossbench.options import Count, Number


class AngleMultiplier(LinearHead):
    """What L-Softmax and A-Softmax share: psi, an integer margin, and its blend with the plain logit."""

    figure = ({"margin": 1}, {"margin": 2}, {"margin": 3}, {"margin": 4}, {"margin": 4, "beta": 5})

    options = {
        "margin": Count(
            4,
            "integer multiplier of the true class's angle",
            "1 is no margin",
            way_out="It multiplies the angle; 1 is no margin, 4 the papers' choice.",
        ),
        "beta": Number(
            0.0,
            "weight of the plain logit beside the one with margin",
            at_least=0,
            scheduled=True,
            way_out="It weighs the plain logit against the one with the margin; 0 leaves the margin alone.",
        ),
    }

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
    """Return the Chebyshev polynomial ``T_degree(x) = cos(degree arccos x)``.

    By doubling the degree, digit by digit: the coefficients of the powers of x grow by a factor of 2.4 a degree, and a
    sum of such terms has lost the digits of float32 at 20.
    """
    value, following = x, 2 * F.square(x) - 1
    for digit in f"{degree:b}"[1:]:
        between = 2 * (value * following) - x
        if digit == "1":
            value, following = between, 2 * F.square(following) - 1
        else:
            value, following = 2 * F.square(value) - 1, between
    return value


class LSoftmax(AngleMultiplier):
    r"""Softmax cross-entropy with the true class's angle multiplied by an integer (L-Softmax, large-margin softmax).

    .. math::
        z_j = w_j \cdot x, \qquad
        L = CE\left(z \text{ with } z_y = |w_y| |x| \frac{\beta \cos\theta_y + \psi(\theta_y)}{1 + \beta}, y\right)

        \psi(\theta) = (-1)^k \cos(m\theta) - 2k, \quad \theta \in [k\pi/m, (k+1)\pi/m], \quad k \in \{0, ..., m - 1\}

    Notes
    -----
    Learns ``weight`` (C, D); there is no bias.

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

    names = ("l_softmax",)
    by_ranges = True

    def logits(self, F, embedding, weight):
        return ops.inner_product(F, embedding, weight, self.num_classes)

    def loss(self, F, embedding, label, weight, beta):
        logits, own = self.logits(F, embedding, weight), F.take(weight, label)
        length = ops.flat(F, F.sqrt(ops.squared_norm(F, embedding) * ops.squared_norm(F, own)))
        # Not picked from the logits: the gradient of that would be another (B, C).
        logit = ops.flat(F, ops.row_sums(F, embedding * own))
        true_logit = self._blended(F, logit, length, beta)
        return self.cross_entropy(F, logits, label, true_logit), logits
