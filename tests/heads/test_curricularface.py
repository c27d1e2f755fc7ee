"""CurricularFace against a second implementation: what counts as hard, and the state that weighs it."""

import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import ArcFace, CurricularFace
from tests.heads import reference

B, D, C = 32, 8, 10


def moved(embedding, label, parameters):
    """The state after a step."""
    true = [reference.cosine(x, parameters["weight"][y]) for x, y in zip(embedding, label)]
    return 0.99 * parameters["mean_cosine"][0] + 0.01 * sum(true) / len(true)


def curricular(embedding, label, parameters, *, smoothing=0.0, fixed, **_):
    scale, margin, level = parameters["scale"][0], parameters["margin"][0], moved(fixed[0], label, fixed[1])
    losses, logits = [], []
    for x, y in zip(embedding, label):
        cosines = [reference.cosine(x, w) for w in parameters["weight"]]
        target = reference.additive_angle(math.acos(cosines[y]), margin)
        changed = [scale * (c * (level + c) if c > target else c) for c in cosines]
        changed[y] = scale * target
        losses.append(reference.cross_entropy(changed, y, smoothing))
        logits.append(scale * np.array(cosines))
    return np.array(losses), np.array(logits)


def test_the_contract(seed):
    options = [{}, {"scale": 4.0, "margin": 1.2}]
    testing.check_head(CurricularFace, curricular, options=options, seed=seed)


def built(weight=None, **options):
    head = CurricularFace(C, D, **options)
    head.initialize()
    head.cast("float64")
    if weight is not None:
        head.weight.set_data(mx.nd.array(weight, dtype="float64"))
    return head


@pytest.mark.parametrize("static", [None, False, True])
def test_the_state_moves_before_it_is_used(static, rng):
    head = built(scale=4)
    if static is not None:
        head.hybridize(static_alloc=static, static_shape=static)
    for count in (B, B, 1):
        embedding, label = rng.normal(size=(count, D)), rng.integers(0, C, count)
        parameters = testing.values(head)
        loss, _, _ = testing.gradients(head, embedding, label)
        expected, _ = curricular(embedding, label, parameters, fixed=(embedding, parameters))
        np.testing.assert_allclose(loss, expected, rtol=1e-9)
        level = moved(embedding, label, parameters)
        assert head.mean_cosine.data().asscalar() == pytest.approx(level, rel=1e-9)
        assert level != parameters["mean_cosine"][0]


def test_without_a_hard_class_it_is_arcface(rng):
    """Every embedding lies close to its weight, and the weights at right angles."""
    weight, label = np.eye(C, D + 2), rng.integers(0, C, B)
    heads = CurricularFace(C, D + 2), ArcFace(C, D + 2)
    embedding = weight[label] + 0.02 * rng.normal(size=(B, D + 2))
    results = []
    for head in heads:
        head.initialize()
        head.cast("float64")
        head.weight.set_data(mx.nd.array(weight))
        results.append(testing.gradients(head, embedding, label))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][2]["weight"], results[1][2]["weight"])


def test_a_hard_class_counts_more_as_the_state_grows(rng):
    embedding, label = rng.normal(size=(B, D)), rng.integers(0, C, B)
    head, losses = built(np.abs(rng.normal(size=(C, D)))), []  # all cosines alike
    for level in (0.0, 0.5, 1.0):
        head.mean_cosine.set_data(mx.nd.array([level]))
        loss, _ = head(mx.nd.array(np.abs(embedding), dtype="float64"), mx.nd.array(label))
        losses.append(loss.asnumpy().mean())
    assert losses[0] < losses[1] < losses[2]


def test_a_label_outside_the_classes_is_nan_and_leaves_a_finite_state(rng):
    head = built()
    loss, _, _ = testing.gradients(head, rng.normal(size=(3, D)), mx.nd.array([0, C, -1]))
    np.testing.assert_array_equal(np.isnan(loss), [False, True, True])
    assert math.isfinite(head.mean_cosine.data().asscalar())


def test_it_knows_no_lower_bound():
    assert built().bounds() is None
    CurricularFace(100, 2)  # without a warning
