"""AdamW, which MXNet 1.9.1 has no optimizer for."""

from __future__ import annotations

import math

from lossbench import _gluon
from lossbench._mxnet import mx


class AdamW(mx.optimizer.Optimizer):
    r"""Adam with decoupled weight decay (AdamW).

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
        w \leftarrow (1 - \eta \lambda) w
            - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    with the gradient :math:`g`, the learning rate :math:`\eta`, the weight decay :math:`\lambda` and the number of the
    update :math:`t`, from 1. A schedule moves both terms, as in PyTorch.

    Parameters
    ----------
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the moments, in [0, 1).
    epsilon : float, default 1e-8
        Above 0. It is added to the root of the corrected moment; `mx.optimizer.Adam` adds it to that of the plain one.
    learning_rate, wd
        And whatever else `mx.optimizer.Optimizer` takes.

    References
    ----------
    I. Loshchilov, F. Hutter. Decoupled Weight Decay Regularization. ICLR 2019, algorithm 2.
    """

    def __init__(self, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, **kwargs):
        super().__init__(**kwargs)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def create_state(self, index, weight):
        """Return the two moments, 0 at the start."""
        return mx.nd.zeros_like(weight), mx.nd.zeros_like(weight)

    def update(self, index, weight, grad, state):
        count, learning_rate, weight_decay = _gluon.begin_update(self, index)
        first, second = 1 - self.beta1**count, math.sqrt(1 - self.beta2**count)
        weight *= 1 - learning_rate * weight_decay
        mx.nd.adam_update(
            weight,
            grad,
            *state,
            out=weight,
            lr=learning_rate * second / first,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon * second,
            rescale_grad=self.rescale_grad,
        )
