"""A-Softmax, also called SphereFace: the true class's angle times an integer, class weights of length 1."""

from __future__ import annotations

from lossbench import _gluon, ops
from lossbench._mxnet import mx
from lossbench.heads.l_softmax import AngleMultiplier


class ASoftmax(AngleMultiplier):
    r"""Softmax cross-entropy on ``|x| cos``, the true class's angle multiplied by an integer (A-Softmax, SphereFace).

    .. math::
        z_j = |x| \cos\theta_j, \qquad
        L = CE\left(z \text{ with } z_y = |x| \frac{\beta \cos\theta_y + \psi(\theta_y)}{1 + \beta}, y\right)

    with :math:`\psi` as in `LSoftmax`.

    Notes
    -----
    Learns ``weight`` (C, D), of which only the directions matter.

    References
    ----------
    W. Liu, Y. Wen, Z. Yu, M. Li, B. Raj, L. Song. SphereFace: Deep Hypersphere Embedding for Face Recognition. CVPR
    2017, arXiv 1704.08063.

    Examples
    --------
    >>> head = ASoftmax(num_classes=3, embedding_size=2, beta=5)
    >>> head.initialize()
    >>> loss, logits = head(mx.nd.ones((4, 2)), mx.nd.array([0, 1, 2, 0]))
    >>> loss.shape, logits.shape
    ((4,), (4, 3))
    """

    names = ("a_softmax", "sphereface")
    by_ranges = True
    metric = "cosine"

    def logits(self, F, embedding, weight):
        return ops.product_with_unit_rows(F, embedding, weight, self.num_classes)

    def loss(self, F, embedding, label, weight, beta):
        logits = self.logits(F, embedding, weight)
        length = ops.flat(F, ops.norm(F, embedding))
        true_logit = self._blended(F, ops.true_class(F, logits, label), length, beta)
        return self.cross_entropy(F, logits, label, true_logit), logits

    def prototypes(self):
        return ops.unit_rows(mx.nd, _gluon.value(self.weight), self.embedding_size)


SphereFace = ASoftmax
