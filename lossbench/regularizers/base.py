"""The contract of a regularizer: a penalty on an embedding, added to any head."""

from __future__ import annotations

import numpy as np

from lossbench import ops
from lossbench._mxnet import mx


class Regularizer(ops.LossBlock):
    """A penalty (B,) on embeddings (B, D), already multiplied by its scheduled ``loss_weight``.

    Parameters
    ----------
    loss_weight : float
        At least 0.

    Attributes
    ----------
    needs_calibration : bool
        Whether `calibrate` must see a batch's embeddings before the first step.
    """

    needs_calibration = False

    def __init__(self, *, loss_weight: float, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self._schedule("loss_weight", loss_weight, 0, np.inf, "be at least 0", "0 switches the penalty off.")

    @classmethod
    def create(cls, num_classes: int, embedding_size: int, **options):
        """Build the regularizer from its options; one that has nothing to do with classes leaves the two sizes out."""
        return cls(**options)

    def forward(self, embedding, label):
        if isinstance(embedding, mx.nd.NDArray):
            self._check_inputs(embedding, label, getattr(self, "embedding_size", None))
        return super().forward(embedding, label)

    def default_groups(self) -> list:
        """Return the optimizer groups that the parameters need: dicts as in a config's ``optimizer.groups``."""
        return []

    def row_weights(self, label, part) -> dict:
        """Return weights (rows,) of parameters' gradients, by attribute, that a part of a batch computed alone.

        So weighed, the parts' gradients sum up to that of the whole batch, for a loss that counts what is in its
        batch. `label` (B,) are the labels of the batch, `part` those of the part, NumPy arrays.
        """
        return {}

    def prototypes(self):
        """Return one learned point per class, NDArray (C, D), or None: what embeddings are then compared with."""
        return None

    def calibrate(self, embedding) -> None:
        """Set what depends on the embeddings (N, D) of the first batch."""
