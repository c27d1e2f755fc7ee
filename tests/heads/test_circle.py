"""Circle loss against a second implementation: its detached weights, its circle, the lowest loss it can reach."""

import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import CircleLoss
from tests.heads import reference

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])


def circle(embedding, label, parameters, *, smoothing=0.0, fixed, **_):
    """Loss and logits of a batch, sample by sample; the weights are those of a fixed batch."""
    scale, m = parameters["scale"][0], parameters["margin"][0]
    held_embedding, held = fixed
    losses, rows = [], []
    for x, held_x, y in zip(embedding, held_embedding, label):
        cosines = [reference.cosine(x, w) for w in parameters["weight"]]
        held_cosines = [reference.cosine(held_x, w) for w in held["weight"]]
        training = [
            max(0, 1 + m - was) * (c - (1 - m)) if j == y else max(0, was + m) * (c - m)
            for j, (c, was) in enumerate(zip(cosines, held_cosines))
        ]
        losses.append(reference.cross_entropy(scale * np.array(training), y, smoothing))
        rows.append(scale * np.array(cosines))
    return np.array(losses), np.array(rows)


@pytest.mark.parametrize("options", [{}, {"scale": 8.0, "margin": 0.6}], ids=str)
def test_the_contract(options, seed):
    testing.check_head(CircleLoss, circle, options=[options], seed=seed)


def built(weight, dtype="float64", **options):
    head = CircleLoss(*np.shape(weight), **options)
    head.initialize()
    head.cast(dtype)
    head.weight.set_data(mx.nd.array(weight, dtype=dtype))
    return head


@pytest.mark.parametrize("degrees", [1, 20, 45, 70, 89])
def test_two_classes_are_equal_on_the_papers_circle(degrees):
    """Equation 8: (1 - cos_y)^2 + cos_j^2 = 2 m^2 is where the decision falls."""
    margin, angle = 0.25, math.radians(degrees)
    radius = math.sqrt(2) * margin
    true, other = 1 - radius * math.sin(angle), radius * math.cos(angle)
    head = built([[true, math.sqrt(1 - true**2)], [other, -math.sqrt(1 - other**2)]], margin=margin)
    loss, _ = head(mx.nd.array([[2, 0]], dtype="float64"), mx.nd.zeros(1))
    assert loss.asscalar() == pytest.approx(math.log(2), rel=1e-6)
    inside = built([[1, 0], [0.9 * other, -math.sqrt(1 - (0.9 * other) ** 2)]], margin=margin)
    assert inside(mx.nd.array([[2, 0]], dtype="float64"), mx.nd.zeros(1))[0].asscalar() < math.log(2)


def test_another_class_below_minus_the_margin_is_left_alone():
    for cosine, moves in ((-0.24, True), (-0.26, False)):
        head = built([[0.5, 0.5], [cosine, math.sqrt(1 - cosine**2)]], scale=4)
        _, _, gradient = testing.gradients(head, np.array([[1.0, 0.0]]), np.array([0]))
        assert (np.abs(gradient["weight"][1]).max() > 0) == moves
        assert np.abs(gradient["weight"][0]).max() > 0


@pytest.mark.parametrize("options", [{}, {"scale": 8, "margin": 0.4}, {"scale": 3, "margin": 0}])
def test_the_lowest_loss_is_reached_by_orthogonal_classes_and_never_passed(options, rng):
    head = built(np.eye(C), **options)
    loss, _ = head(mx.nd.array(3 * np.eye(C), dtype="float64"), mx.nd.arange(C))
    np.testing.assert_allclose(loss.asnumpy(), head.lowest_loss(), rtol=1e-6, atol=1e-15)
    assert f"the cross-entropy below {head.lowest_loss():.3g}." in head.bounds(), "a focal loss falls below it"
    for spread in (1, 0.1, 0.01):
        for _ in range(20):
            weight = np.eye(C) + spread * rng.normal(size=(C, C))
            head.weight.set_data(mx.nd.array(weight))
            loss, _ = head(mx.nd.array(weight, dtype="float64"), mx.nd.arange(C))
            assert loss.asnumpy().mean() >= head.lowest_loss() - 1e-12


@pytest.mark.parametrize(("name", "value", "rule"), [("margin", 1, r"in \[0, 1\)"), ("scale", 0, "above 0")])
def test_bad_options_are_refused(name, value, rule):
    with pytest.raises(ValueError, match=f"CircleLoss: `{name}` must be {rule}, got {value}. It "):
        CircleLoss(C, D, **{name: value})
