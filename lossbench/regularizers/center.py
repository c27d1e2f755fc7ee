"""Center loss: embeddings are drawn to the center of their class."""

from __future__ import annotations

import numpy as np

from lossbench import _gluon, ops
from lossbench._mxnet import mx
from lossbench.block import check_sizes, initializer
from lossbench.options import Number
from lossbench.regularizers.base import Regularizer, loss_weight_of


class CenterLoss(Regularizer):
    r"""Half the squared distance of an embedding to the learned center of its class (center loss).

    .. math::
        L_i = \lambda \tfrac12 |x_i - c_{y_i}|^2, \qquad
        c_j \leftarrow c_j - \alpha \frac{\sum_{i: y_i = j} (c_j - x_i)}{1 + n_j}

    with the loss weight :math:`\lambda`, the learning rate of the centers :math:`\alpha` and :math:`n_j` samples of
    class j in the batch.

    Notes
    -----
    Inputs: embedding (B, D), label (B,). Output: penalty (B,), NaN where the label is outside [0, C). Learns
    ``centers`` (C, D).

    The centers take a step of plain SGD with learning rate ``alpha``, as `default_groups` declares: the gradient of
    ``centers`` is scaled so that ``gluon.Trainer.step(B)`` performs the paper's update exactly, B being the samples of
    the batch and their penalties added up with weight 1. On several devices the step would be the mean of the parts'
    updates, weighted by their sizes; lossbench's own training makes it that of the whole batch (`row_weights`).
    Neither momentum, nor weight decay, nor clipping belongs there.

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

    names = ("center",)
    exceptions = {
        "differences": "the centers take the paper's update, whatever the loss weight is",
        "devices": "the update counts the samples of a class in its own part of the batch",
    }
    figure = tuple({"loss_weight": weight} for weight in (0.01, 0.1, 0.5))

    options = {
        "loss_weight": loss_weight_of(0.01, "half the squared distance to the center"),
        "alpha": Number(
            0.5,
            "learning rate of the centers",
            at_least=0,
            at_most=1,
            way_out="1 carries a center almost to the mean of its samples; the paper uses 0.5.",
        ),
    }

    def __init__(
        self, num_classes: int, embedding_size: int, *, weight_initializer=None, prefix=None, params=None, **options
    ):
        self.num_classes, self.embedding_size = check_sizes("CenterLoss", num_classes, embedding_size)
        self._weight_initializer = weight_initializer
        super().__init__(prefix=prefix, params=params, **options)

    def setup(self):
        init = initializer("CenterLoss", self._weight_initializer, mx.init.Xavier())
        shape = (self.num_classes, self.embedding_size)
        with self.name_scope():
            self.centers = self.params.get("centers", shape=shape, init=init, wd_mult=0.0)

    @classmethod
    def create(cls, num_classes: int, embedding_size: int, **options):
        return cls(num_classes, embedding_size, **options)

    def hybrid_forward(self, F, embedding, label, centers, loss_weight):
        label, known = ops.class_ids(F, label, self.num_classes)
        embedding = F.cast(embedding, dtype=self._dtype)
        own = F.take(centers, label)
        distance = 0.5 * ops.flat(F, ops.row_sums(F, F.square(embedding - F.BlockGrad(own))))
        # Of value 0: the centers' part of the gradient, from which the embeddings and the loss weight are kept.
        counted = F.where(known, label, -F.ones_like(label))
        pull = 0.5 * ops.flat(F, ops.row_sums(F, F.square(F.BlockGrad(embedding) - own)))
        pull = pull * self._step_factor(F, counted)
        penalty = F.broadcast_mul(loss_weight, distance) + (pull - F.BlockGrad(pull))
        return ops.nan_unless(F, known, penalty)

    def _step_factor(self, F, label):
        """Return B / (1 + n_y) of every row, as (B,)."""
        same = F.broadcast_equal(F.expand_dims(label, axis=1), F.expand_dims(label, axis=0))
        same = F.cast(same, dtype=self._dtype)
        count = ops.flat(F, ops.row_sums(F, same))
        batch_size = ops.flat(F, ops.row_sums(F, F.ones_like(same)))
        return batch_size / (1 + count)

    def check_labels(self, label) -> None:
        ops.check_labels("CenterLoss", label, self.num_classes)

    def default_groups(self):
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
        return _gluon.value(self.centers).copy()
