"""Ring loss: embeddings are drawn to one learned length."""

from __future__ import annotations

import numpy as np

from lossbench import _gluon, ops
from lossbench._mxnet import mx
from lossbench.options import Number, require
from lossbench.regularizers.base import Regularizer, loss_weight_of

SMALLEST_RADIUS = 1e-3
# What stands for a radius that is still to be calibrated.
UNKNOWN = 1.0


class RingLoss(Regularizer):
    r"""Half the squared difference between the length of an embedding and a learned radius (ring loss).

    .. math:: L_i = \lambda \tfrac12 (|x_i| - R)^2

    Attributes
    ----------
    needs_calibration : bool
        Whether ``radius="auto"`` was asked for, and `calibrate` not called since the radius was initialized.

    Notes
    -----
    Inputs: embedding (B, D), label (B,), which plays no part. Output: penalty (B,). Learns ``radius`` (1,), which
    counts as 0.001 where it is below, so that it cannot turn negative, with the gradient of the radius itself.

    References
    ----------
    Y. Zheng, D. K. Pal, M. Savvides. Ring Loss: Convex Feature Normalization for Face Recognition. CVPR 2018, arXiv
    1803.00130.

    Examples
    --------
    >>> ring = RingLoss(loss_weight=1, radius=2)
    >>> ring.initialize()
    >>> ring(mx.nd.array([[3, 4], [0, 0]]), mx.nd.array([0, 1])).asnumpy().tolist()
    [4.5, 2.0]
    >>> ring.calibrate(mx.nd.array([[3, 4], [0, 1]]))
    3.0
    """

    names = ("ring",)
    figure = tuple({"loss_weight": weight, "radius": 10} for weight in (0.01, 0.05, 0.1))

    options = {
        "loss_weight": loss_weight_of(0.01, "half the squared distance to the ring"),
        "radius": Number(
            1.0,
            "start of the learned radius",
            "auto: the mean length of the first batch's embeddings",
            at_least=SMALLEST_RADIUS,
            word="auto",
            way_out="It is a length of embeddings.",
        ),
    }

    def setup(self):
        start = self._values["radius"]
        init = mx.init.Constant(UNKNOWN if start == "auto" else start)
        with self.name_scope():
            self.radius = self.params.get("radius", shape=(1,), init=init, wd_mult=0.0)

    @property
    def needs_calibration(self):
        return self._values["radius"] == "auto" and self._read(self.radius) == UNKNOWN

    def hybrid_forward(self, F, embedding, label, radius, loss_weight):
        embedding = F.cast(embedding, dtype=self._dtype)
        radius = radius + F.BlockGrad(F.clip(radius, SMALLEST_RADIUS, 1e30) - radius)
        difference = F.broadcast_sub(ops.flat(F, ops.norm(F, embedding)), radius)
        penalty = F.broadcast_mul(loss_weight, 0.5 * F.square(difference))
        # Gluon warns of an input that no computation uses.
        return penalty + F.zeros_like(F.cast(label, dtype=self._dtype))

    def calibrate(self, embedding) -> float:
        """Set the radius to the mean length of embeddings (N, D), NumPy or NDArray, on every context; return it."""
        values = embedding.asnumpy() if isinstance(embedding, mx.nd.NDArray) else np.asarray(embedding)
        radius = float(np.linalg.norm(values.astype(np.float64), axis=1).mean())
        good = np.isfinite(radius) and radius >= SMALLEST_RADIUS
        rule, way_out = f"have a mean length of at least {SMALLEST_RADIUS}", "Start with a number as radius."
        require(good, "RingLoss", "embedding", rule, radius, way_out)
        _gluon.set_value(self.radius, mx.nd.array([radius], dtype=self._dtype))
        return radius
