"""The contract of a regularizer: a penalty on an embedding, added to any head."""

from __future__ import annotations

from lossbench.block import LossBlock
from lossbench.options import Number


def loss_weight_of(default: float, factor_on: str) -> Number:
    """The option ``loss_weight`` with a regularizer's own default."""
    way_out = "0 switches the penalty off."
    return Number(default, f"factor on {factor_on}", at_least=0, way_out=way_out, scheduled=True)


class Regularizer(LossBlock):
    """A penalty (B,) on embeddings (B, D), already multiplied by its scheduled ``loss_weight``.

    A subclass declares ``names`` and ``options`` with a ``loss_weight``, and writes ``hybrid_forward(F, embedding,
    label, <parameters>)``. What it does not need it leaves as it is here.

    Attributes
    ----------
    figure : tuple of dict
        Options of each curve of the penalty's picture.
    needs_calibration : bool
        Whether `calibrate` is to be called with the embeddings of the first batch before training starts.
    """

    options = {"loss_weight": loss_weight_of(0.01, "the penalty")}
    figure: tuple = ({},)
    needs_calibration = False
    must_write = ("hybrid_forward",)
    asked_for = (
        *("scheduled", "set_scheduled", "default_groups", "row_weights"),
        *("calibrate", "needs_calibration", "prototypes"),
    )

    def __init__(self, *, prefix=None, params=None, **options):
        super().__init__(options, prefix=prefix, params=params)

    @classmethod
    def create(cls, num_classes: int, embedding_size: int, **options):
        """Build the regularizer from its options; one that has nothing to do with classes leaves the two sizes out."""
        return cls(**options)

    def default_groups(self) -> list:
        """Return the optimizer groups that the parameters need, in the form of a config's `optimizer.groups`."""
        return []

    def row_weights(self, label, part) -> dict:
        """Return weights (rows,) of parameters' gradients, by attribute, that a part of a batch computed alone.

        So weighed, the parts' gradients sum up to that of the whole batch, for a loss that counts what is in its
        batch. `label` (B,) are the labels of the batch, `part` those of the part, NumPy arrays.
        """
        return {}

    def calibrate(self, embedding) -> None:
        """Set what depends on the embeddings (N, D) that training starts with."""

    def prototypes(self):
        """Return one learned point per class, NDArray (C, D), or None."""
        return None
