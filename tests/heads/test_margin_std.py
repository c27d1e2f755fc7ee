"""Margins drawn for each sample (ElasticFace): distribution, seed and gradient, and none in evaluation."""

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import AMSoftmax, ArcFace

D, C, SCALE = 4, 5, 4.0

both = pytest.mark.parametrize("head_class", [AMSoftmax, ArcFace])


def built(head_class, weight, **options):
    head = head_class(C, D, scale=SCALE, **options)
    head.initialize()
    head.cast("float64")
    head.weight.set_data(mx.nd.array(weight))
    return head


def margins(head, embedding, label):
    """The margin of each sample, from the loss of a training step, and the gradients of that step."""
    loss, logits, gradient = testing.gradients(head, embedding, label)
    rows = np.arange(len(label))
    true = logits[rows, label]
    logits[rows, label] = -np.inf
    true_logit = np.log(np.exp(logits).sum(axis=1)) - np.log(np.expm1(loss))
    if isinstance(head, AMSoftmax):
        return (true - true_logit) / SCALE, gradient
    return np.arccos(true_logit / SCALE) - np.arccos(true / SCALE), gradient


@pytest.fixture
def data(rng):
    """Weight, embeddings, labels; the angles to the true class lie far from 0 and pi."""
    weight = np.eye(C, D)
    weight[4] = 0.5
    label = rng.integers(0, 4, 4000)
    return weight, weight[label] + np.roll(weight[:4], 1, axis=0)[label] + 0.1 * rng.normal(size=(4000, D)), label


@both
def test_margins_are_normal_around_the_margin_and_seeded(head_class, data):
    weight, embedding, label = data
    head = built(head_class, weight, margin=0.3, margin_std=0.02)
    draws = []
    for static in (None, False, True):
        if static is not None:
            head.hybridize(static_alloc=static, static_shape=static)
        mx.random.seed(3)
        draws.append([margins(head, embedding, label)[0] for _ in range(2)])
    first, second = draws[0]
    for found in (first, second):
        assert found.mean() == pytest.approx(0.3, abs=4 * 0.02 / 4000**0.5)
        assert found.std() == pytest.approx(0.02, rel=0.05)
        assert np.abs(found - 0.3).max() > 0.05  # of 4000 samples
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.07
    for other in draws[1:]:
        np.testing.assert_allclose(other, draws[0], atol=1e-9)
    head.set_scheduled("margin", 0.1)
    assert margins(head, embedding, label)[0].mean() == pytest.approx(0.1, abs=0.002)


@both
def test_the_gradient_is_that_of_the_drawn_margin(head_class, data):
    weight, embedding, label = (part[:20] for part in data)
    found, gradient = margins(built(head_class, weight, margin=0.3, margin_std=0.1), embedding, label)
    for k in range(20):
        alone = testing.gradients(built(head_class, weight, margin=found[k]), embedding[k : k + 1], label[k : k + 1])
        np.testing.assert_allclose(gradient["embedding"][k], alone[2]["embedding"][0], rtol=1e-6, atol=1e-9)


@both
def test_evaluation_has_the_margin_itself(head_class, data):
    weight, embedding, label = data
    drawn, fixed = (built(head_class, weight, margin=0.3, margin_std=std) for std in (0.1, 0.0))
    for head in (drawn, fixed):
        head.hybridize()
    losses = [head(mx.nd.array(embedding, dtype="float64"), mx.nd.array(label))[0].asnumpy() for head in (drawn, fixed)]
    np.testing.assert_array_equal(*losses)


@both
def test_without_it_nothing_is_drawn(head_class, data):
    symbol = mx.sym.Group(head_class(C, D)(mx.sym.var("embedding"), mx.sym.var("label")))
    assert "normal_like" not in symbol.tojson()
    assert "Dropout" not in symbol.tojson()
    with pytest.raises(ValueError, match=f"{head_class.__name__}: `margin_std` must be at least 0, got -0.1"):
        head_class(C, D, margin_std=-0.1)
