"""Class ids that float32 does not have."""

import re

import numpy as np
import pytest

from lossbench import heads, regularizers
from lossbench._mxnet import mx
from lossbench.training import step

ODD = 2**24 + 1  # in float32 it is 2**24
C = ODD + 2
LABELS = mx.nd.array([ODD], dtype="int32")


def with_gradient(block, *arguments):
    block.initialize()
    with mx.autograd.record():
        found = block(*arguments)
        loss = found[0] if isinstance(found, tuple) else found
    loss.backward()
    return found


@pytest.mark.parametrize(("head", "name"), [(heads.Softmax, "weight"), (heads.LGM, "mean")], ids=["softmax", "lgm"])
def test_a_class_beyond_float32_is_trained_itself(head, name):
    """With all classes alike, the one that the gradient draws is the label's."""
    head = head(C, 1, weight_initializer="zeros")
    embedding = mx.nd.array([[2.0]])
    loss, _ = with_gradient(head, embedding, LABELS)
    gradient = getattr(head, name).grad()
    pulled = gradient[ODD].asscalar()
    assert pulled == pytest.approx(-2, rel=0.5)
    others = np.abs(gradient[ODD - 3 : ODD].asnumpy()).max(), np.abs(gradient[ODD + 1 :].asnumpy()).max()
    assert max(others) < 1e-5
    assert np.isfinite(loss.asscalar())


def test_a_margin_is_that_of_a_class_beyond_float32():
    head = heads.AMSoftmax(C, 1, weight_initializer="ones", scale=20, margin=0.5)
    head.initialize()
    loss, _ = head(mx.nd.array([[1.0]]), LABELS)
    expected = np.log(C - 1 + np.exp(-10)) + 10
    assert loss.asscalar() == pytest.approx(expected, rel=1e-5)


def test_the_center_of_a_class_beyond_float32_is_moved():
    center = regularizers.CenterLoss(C, 1, weight_initializer="zeros", loss_weight=1)
    penalty = with_gradient(center, mx.nd.array([[2.0]]), LABELS)
    assert penalty.asscalar() == 2
    assert np.flatnonzero(center.centers.grad().asnumpy()).tolist() == [ODD]


def test_a_right_answer_of_a_class_beyond_float32_is_counted():
    class Logits(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, image):
            return image

    class Head(mx.gluon.HybridBlock):
        num_classes = C

        def hybrid_forward(self, F, embedding, label):
            return F.pick(embedding, label), embedding

    objective = step.Objective(Logits(), Head())
    logits = mx.nd.zeros((1, C))
    for largest, right in ((ODD, 1), (ODD - 1, 0), (ODD + 1, 0)):
        logits[:] = 0
        logits[0, largest] = 1
        assert objective(logits, LABELS)[1].asscalar() == right


def test_labels_that_float32_cannot_hold_are_refused():
    head = heads.Softmax(2**24 + 2, 1)
    text = "Softmax: `label` must have a type that holds 16777218 classes, got 'float32'. Leave labels as integers."
    with pytest.raises(ValueError, match=re.escape(text)):
        head(mx.nd.ones((1, 1)), mx.nd.array([1]))


def test_arrays_that_mxnet_does_not_have_are_refused():
    text = "Softmax: `num_classes` must be less than 2^31 / (128), got 16777216. MXNet has no larger arrays"
    with pytest.raises(ValueError, match=re.escape(text)):
        heads.Softmax(2**24, 128)
    with pytest.raises(ValueError, match=r"ArcFace: `num_classes` must be less than 2\^31 / \(3 x 64\), got 16777216."):
        heads.ArcFace(2**24, 64, sub_centers=3)
    head = heads.Softmax(2**20, 1)
    text = "Softmax: `embedding` must have at most 2047 rows, got 2048. MXNet has no array of 2^31 numbers"
    with pytest.raises(ValueError, match=re.escape(text)):
        head(mx.nd.ones((2048, 1)), mx.nd.zeros((2048,), dtype="int32"))
