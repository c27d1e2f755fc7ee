"""AdaCos against a second implementation: its scale, what moves it, and where it starts."""

import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import AdaCos, NormFace
from tests.heads import reference

B, D, C = 64, 8, 10


def cosines(embedding, weight):
    return np.array([[reference.cosine(x, w) for w in weight] for x in embedding])


def fitted(embedding, label, parameters):
    """The scale after a step, sample by sample."""
    cosine, scale, count = cosines(embedding, parameters["weight"]), parameters["scale"][0], len(label)
    if cosine.shape[1] == 1:
        return scale
    others = [sum(math.exp(scale * c) for j, c in enumerate(row) if j != y) for row, y in zip(cosine, label)]
    angles = sorted(math.acos(row[y]) for row, y in zip(cosine, label))
    median = angles[(count - 1) // 2]
    return max(0.01, math.log(sum(others) / count) / math.cos(min(math.pi / 4, median)))


def adacos(embedding, label, parameters, *, dynamic=True, smoothing=0.0, fixed):
    """Loss and logits of a batch; the scale is that of a fixed batch, since it carries no gradient."""
    x, held = fixed
    scale = fitted(x, label, held) if dynamic else held["scale"][0]
    logits = scale * cosines(embedding, parameters["weight"])
    return np.array([reference.cross_entropy(row, y, smoothing) for row, y in zip(logits, label)]), logits


def test_the_contract(seed):
    testing.check_head(AdaCos, adacos, seed=seed)
    testing.check_head(AdaCos, adacos, options=[{"dynamic": False}], exceptions=["state"], seed=seed)


def test_what_a_moving_scale_is_excepted_from_holds_for_one_that_stands(seed):
    for rule in AdaCos.exceptions:
        testing.HEAD_RULES[rule](testing.Subject(AdaCos, {"dynamic": False}, adacos, seed))


def test_a_label_outside_the_classes_is_nan_and_leaves_a_finite_scale(rng):
    head = built()
    scale, loss, _ = step(head, rng.normal(size=(4, D)), [0, C, -1, 2.5])
    np.testing.assert_array_equal(np.isnan(loss), [False, True, True, True])
    assert math.isfinite(scale)


def built(num_classes=C, dtype="float64", **options):
    head = AdaCos(num_classes, D, **options)
    head.initialize()
    head.cast(dtype)
    return head


def step(head, embedding, label, train=True):
    """The scale after a step, and its loss."""
    with mx.autograd.record(train_mode=train):
        loss, logits = head(mx.nd.array(embedding, dtype=head._dtype), mx.nd.array(label))
    return head.scale.data().asscalar(), loss.asnumpy(), logits.asnumpy()


@pytest.mark.parametrize("count", [1, 2, 3, 64])
@pytest.mark.parametrize("near", [False, True])
def test_the_scale_follows_the_batches_and_is_used_in_the_same_step(count, near, rng):
    head = built()
    for _ in range(3):
        label = rng.integers(0, C, count)
        embedding = rng.normal(size=(count, D))
        if near:  # angles below 45 degrees, where the median counts
            embedding = head.weight.data().asnumpy()[label] + 0.1 * embedding / D
        parameters = testing.values(head)
        expected = fitted(embedding, label, parameters)
        angles = [math.acos(row[y]) for row, y in zip(cosines(embedding, parameters["weight"]), label)]
        assert (np.median(angles) < math.pi / 4) == near
        found, _, logits = step(head, embedding, label)
        assert found == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(logits, expected * cosines(embedding, parameters["weight"]), rtol=1e-6, atol=1e-9)
    head.hybridize(static_alloc=True, static_shape=True)
    before = testing.values(head)
    assert step(head, embedding, label)[0] == pytest.approx(fitted(embedding, label, before), rel=1e-9)


@pytest.mark.parametrize(("num_classes", "scale"), [(1, 1), (2, 1), (3, 0.98026), (10, 3.10735), (10_000, 13.02527)])
def test_where_the_scale_starts(num_classes, scale):
    head = built(num_classes)
    assert head.describe()["scale"] == pytest.approx(scale, rel=1e-5)
    assert head.scheduled() == {}


def test_it_never_falls_below_its_floor(rng):
    """Two classes: the embeddings lie opposite to the other one's weight, so that the formula gives less than 0."""
    head = built(2)
    weight = rng.normal(size=D)
    head.weight.set_data(mx.nd.array([weight, -weight]))
    assert step(head, [weight, -weight], [0, 1])[0] == pytest.approx(0.01)
    assert step(head, [weight, -weight], [0, 1])[0] == pytest.approx(0.01)


def test_of_one_scale_it_is_normface(rng):
    one, other = built(dynamic=False), NormFace(C, D, scale=math.sqrt(2) * math.log(C - 1))
    other.initialize()
    other.cast("float64")
    other.weight.set_data(one.weight.data())
    embedding, label = rng.normal(size=(B, D)), rng.integers(0, C, B)
    for first, second in zip(*(testing.gradients(head, embedding, label)[:2] for head in (one, other))):
        np.testing.assert_allclose(first, second, rtol=1e-6)  # NormFace's scale is a float32 number
    assert step(one, embedding, label)[0] == pytest.approx(3.10735, rel=1e-5)
