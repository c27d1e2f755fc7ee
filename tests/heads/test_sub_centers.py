"""Several directions for a class, of which the nearest counts: in every head on cosines."""

import numpy as np
import pytest

from lossbench import heads, testing
from lossbench._mxnet import mx
from lossbench.heads import ArcFace, NormFace
from lossbench.heads.base import CosineHead
from tests.heads import reference

B, D, C, K = 16, 6, 5, 3
NAMES = [name for name, one in heads.HEADS.items() if issubclass(one, CosineHead) and one.config_name == name]

every_head = pytest.mark.parametrize("name", NAMES)
pytestmark = pytest.mark.filterwarnings("ignore:.* keeps the (loss|cross-entropy):UserWarning")


def nearest(x, label, parameters, *, sub_centers, **options):
    """The reference of one direction a class, of those that are nearest to a sample."""
    rows = parameters["weight"].reshape(-1, sub_centers, len(x))
    chosen = np.array([max(of_class, key=lambda w: reference.cosine(x, w)) for of_class in rows])
    return reference.cosine_head(x, label, {**parameters, "weight": chosen}, **options)


@pytest.mark.parametrize(("head", "margin"), [(NormFace, {}), (ArcFace, {"true_cosine": reference.additive_angle})])
def test_the_contract(head, margin, seed):
    def expected(embedding, label, parameters, *, sub_centers, smoothing=0.0):
        options = {**margin, "sub_centers": sub_centers, "smoothing": smoothing}
        return reference.batch(nearest, embedding, label, parameters, **options)

    testing.check_head(head, expected, options=[{"sub_centers": K}], seed=seed)


def built(name, weight, **options):
    head = heads.HEADS[name](C, D, **options)
    head.initialize()
    head.cast("float64")
    head.weight.set_data(mx.nd.array(weight, dtype="float64"))
    return head


@every_head
def test_equal_directions_are_one(name, rng):
    weight, embedding, label = rng.normal(size=(C, D)), rng.normal(size=(B, D)), rng.integers(0, C, B)
    one, several = built(name, weight), built(name, np.repeat(weight, K, axis=0), sub_centers=K)
    assert one.weight.shape == (C, D)
    expected, found = (testing.gradients(head, embedding, label) for head in (one, several))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)
    np.testing.assert_allclose(found[2]["embedding"], expected[2]["embedding"], rtol=1e-9, atol=1e-12)
    summed = found[2]["weight"].reshape(C, K, D).sum(axis=1)
    np.testing.assert_allclose(summed, expected[2]["weight"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(several.prototypes().asnumpy(), one.prototypes().asnumpy(), rtol=1e-9)


@every_head
def test_the_nearest_direction_counts_and_alone_has_a_gradient(name, rng):
    weight = rng.normal(size=(C * K, D))
    head = built(name, weight, sub_centers=K)
    x = rng.normal(size=(1, D))
    _, logits, gradient = testing.gradients(head, x, np.array([2]))
    cosine = np.array([reference.cosine(x[0], w) for w in weight]).reshape(C, K)
    best = cosine.argmax(axis=1)
    ratio = logits[0] / cosine[np.arange(C), best]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)  # the scale
    moved = np.abs(gradient["weight"]).max(axis=1).reshape(C, K) > 0
    assert (moved.sum(axis=1) <= 1).all()
    assert moved[2, best[2]]
    assert (moved.argmax(axis=1) == best)[moved.any(axis=1)].all()
    assert head.describe()["prototypes"].shape == (C, D)


@every_head
def test_no_array_is_larger_than_the_products(name):
    head = heads.HEADS[name](23, 29, sub_centers=K)
    symbol = mx.sym.Group(head(mx.sym.var("embedding"), mx.sym.var("label")))
    _, shapes, _ = symbol.get_internals().infer_shape(embedding=(31, 29), label=(31,))
    assert max(np.prod(shape) for shape in shapes) == 31 * 23 * K


def test_a_prototype_is_the_direction_of_the_mean():
    weight = np.zeros((C * 2, D))
    weight[::2, 0], weight[1::2, 1] = 3.0, 0.5
    prototypes = built("normface", weight, sub_centers=2).prototypes().asnumpy()
    np.testing.assert_allclose(prototypes[:, :2], 0.5**0.5)
    with pytest.raises(ValueError, match="NormFace: `sub_centers` must be an integer of at least 1, got 0"):
        NormFace(C, D, sub_centers=0)
