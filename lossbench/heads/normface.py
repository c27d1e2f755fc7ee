"""NormFace: softmax on scaled cosines."""

from __future__ import annotations

from lossbench._mxnet import mx  # noqa: F401  (for the example)
from lossbench.heads.base import CosineHead


class NormFace(CosineHead):
    r"""Softmax cross-entropy on scaled cosines (NormFace, normalised softmax).

    .. math:: z_j = s \cos\theta_j, \qquad \cos\theta_j = \frac{w_j \cdot x}{|w_j| |x|}

    Parameters
    ----------
    num_classes, embedding_size : int
        C and D.
    scale : float, default 16
        s > 0. Scheduled, unless it is learned; heated-up softmax lets it fall.
    learn_scale : bool, default False
        Learn the scale; it stays at 0.01 or above.
    weight_initializer : Initializer or str, optional
        Default Xavier.
    label_smoothing : float, default 0
        In [0, 1).

    Notes
    -----
    Learns ``weight`` (C, D) and, where asked for, ``scale`` (1,). The loss has a lower bound that falls with the scale,
    see `lossbench.heads.bounds`.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    F. Wang, X. Xiang, J. Cheng, A. L. Yuille. NormFace: L2 Hypersphere Embedding for Face Verification. ACM MM 2017,
    arXiv 1704.06369.

    Examples
    --------
    >>> head = NormFace(num_classes=3, embedding_size=2)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    """

    config_name = "normface"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        scale: float = 16.0,
        learn_scale: bool = False,
        weight_initializer=None,
        label_smoothing: float = 0.0,
        prefix=None,
        params=None,
    ):
        super().__init__(num_classes, embedding_size, label_smoothing=label_smoothing, prefix=prefix, params=params)
        self._register(scale, weight_initializer, learn_scale)
        self._warn_of_bounds()

    def loss(self, F, embedding, label, weight, scale):
        logits = self.logits(F, embedding, weight, scale)
        return self.cross_entropy(F, logits, label), logits
