"""Center loss: embeddings are drawn to the centre of their class."""

from __future__ import annotations

import numpy as np

from lossbench import ops
from lossbench._mxnet import mx
from lossbench.regularizers.base import Regularizer


class CenterLoss(Regularizer):
    r"""Half the squared distance of an embedding to the learned centre of its class (center loss).

    .. math::
        L_i = \lambda \tfrac12 |x_i - c_{y_i}|^2, \qquad
        c_j \leftarrow c_j - \alpha \frac{\sum_{i: y_i = j} (c_j - x_i)}{1 + n_j}

    with the loss weight :math:`\lambda`, the learning rate of the centres :math:`\alpha` and :math:`n_j` samples of
    class j in the batch.

    Parameters
    ----------
    num_classes, embedding_size : int
        C and D.
    loss_weight : float, default 0.01
        lambda >= 0. Scheduled. What the embeddings feel; the centres move the same whatever it is.
    alpha : float, default 0.5
        Learning rate of the centres, in [0, 1].
    weight_initializer : Initializer or str, optional
        Of the centres. Default Xavier.

    Notes
    -----
    Inputs: embedding (B, D), label (B,). Output: penalty (B,), NaN where the label is outside [0, C). Learns
    ``centers`` (C, D).

    The centres take a step of plain SGD with learning rate ``alpha``, as `default_groups` declares: the gradient of
    ``centers`` is scaled so that ``gluon.Trainer.step(B)`` performs the paper's update exactly, B being the samples of
    the batch and their penalties added up with weight 1. On several devices the step would be the mean of the parts'
    updates, weighted by their sizes; lossbench's own training makes it that of the whole batch (`row_weights`).
    Neither momentum, nor weight decay, nor clipping belongs there.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Y. Wen, K. Zhang, Z. Li, Y. Qiao. A Discriminative Feature Learning Approach for Deep Face Recognition. ECCV 2016,
    equations 2 to 4.

    Examples
    --------
    >>> center = CenterLoss(num_classes=2, embedding_size=2, loss_weight=1, weight_initializer="zeros")
    >>> center.initialize()
    >>> trainer = mx.gluon.Trainer(center.collect_params(), "sgd", {"learning_rate": center.alpha})
    >>> embedding, label = mx.nd.array([[1, 0], [3, 0], [0, 4]]), mx.nd.array([0, 0, 1])
    >>> with mx.autograd.record():
    ...     penalty = center(embedding, label)
    >>> penalty.backward()
    >>> trainer.step(3)
    >>> penalty.asnumpy().tolist()
    [0.5, 4.5, 8.0]
    >>> center.prototypes().asnumpy().tolist()
    [[0.6667, 0.0], [0.0, 1.0]]
    """

    config_name = "center"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        loss_weight: float = 0.01,
        alpha: float = 0.5,
        weight_initializer=None,
        prefix=None,
        params=None,
    ):
        super().__init__(loss_weight=loss_weight, prefix=prefix, params=params)
        self.num_classes, self.embedding_size = ops.check_sizes("CenterLoss", num_classes, embedding_size)
        good = ops.is_number(alpha, 0) and alpha <= 1
        way_out = "1 carries a centre almost to the mean of its samples; the paper uses 0.5."
        ops.require(good, "CenterLoss", "alpha", "be in [0, 1]", alpha, way_out)
        self.alpha = float(alpha)
        init = ops.initializer("CenterLoss", weight_initializer, mx.init.Xavier())
        with self.name_scope():
            self.centers = self.params.get("centers", shape=(num_classes, embedding_size), init=init, wd_mult=0.0)

    @classmethod
    def create(cls, num_classes: int, embedding_size: int, **options):
        return cls(num_classes, embedding_size, **options)

    def hybrid_forward(self, F, embedding, label, centers, loss_weight):
        label, embedding = ops.label_index(F, label), F.cast(embedding, dtype=self._dtype)
        known = ops.known_labels(F, label, self.num_classes)
        own = F.take(centers, label)
        distance = 0.5 * ops.flat(F, ops.row_sums(F, F.square(embedding - F.BlockGrad(own))))
        # Of value 0: the centres' part of the gradient, from which the embeddings and the loss weight are kept.
        pull = 0.5 * ops.flat(F, ops.row_sums(F, F.square(F.BlockGrad(embedding) - own))) * self._step_factor(F, label)
        penalty = F.broadcast_mul(loss_weight, distance) + (pull - F.BlockGrad(pull))
        return ops.nan_unless(F, known, penalty)

    def _step_factor(self, F, label):
        """Return B / (1 + n_y) of every row, as (B,)."""
        same = F.broadcast_equal(F.expand_dims(label, axis=1), F.expand_dims(label, axis=0))
        count = ops.flat(F, ops.row_sums(F, same))
        batch_size = ops.flat(F, ops.row_sums(F, F.ones_like(same)))
        return F.cast(batch_size, dtype=self._dtype) / (1 + F.cast(count, dtype=self._dtype))

    def check_labels(self, label) -> None:
        """Raise a ValueError that names the first label outside [0, C); NumPy array or NDArray."""
        ops.check_labels("CenterLoss", label, self.num_classes)

    def default_groups(self) -> list:
        """Return the optimizer group that the centres need."""
        return [
            {
                "name": "centers",
                "pattern": "centers$",
                "optimizer": "sgd",
                "learning_rate": self.alpha,
                "momentum": 0.0,
                "weight_decay": 0.0,
                "clip_global_norm": 0.0,
                "schedule": False,
            }
        ]

    def row_weights(self, label, part) -> dict:
        """Return what makes the centers' updates of a batch in parts those of the whole batch."""
        whole, own = (np.bincount(ids, minlength=self.num_classes) for ids in (label, part))
        return {"centers": len(label) / len(part) * (1 + own) / (1 + whole)}

    def prototypes(self):
        """Return the centres, NDArray (C, D)."""
        return self.centers.list_data()[0].copy()
