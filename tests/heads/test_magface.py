"""MagFace against a second implementation: what the length of an embedding does to margin, loss and gradient."""

import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import ArcFace, MagFace
from tests.heads import reference

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])
# Norms that embeddings of the contract have: inside of the bounds, and on both sides of them.
SMALL = {"lower_norm": 1.0, "upper_norm": 4.0}
NARROW = {"lower_norm": 1.8, "upper_norm": 2.2, "scale": 8.0, "lower_margin": 0.1, "upper_margin": 1.5}


def magface(embedding, label, parameters, *, lower_norm=10.0, upper_norm=110.0, smoothing=0.0, **_):
    """Loss and logits of a batch, sample by sample."""
    p = {name: value[0] for name, value in parameters.items() if name != "weight"}
    losses, rows = [], []
    for x, y in zip(embedding, label):
        a = min(max(reference.norm(x), lower_norm), upper_norm)
        share = (a - lower_norm) / (upper_norm - lower_norm)
        margin = p["lower_margin"] * (1 - share) + p["upper_margin"] * share
        cosines = [reference.cosine(x, w) for w in parameters["weight"]]
        logits = p["scale"] * np.array(cosines)
        value = p["scale"] * reference.additive_angle(math.acos(cosines[y]), margin)
        entropy = reference.cross_entropy(reference.with_true(logits, y, value), y, smoothing)
        losses.append(entropy + p["norm_weight"] * (a / upper_norm**2 + 1 / a))
        rows.append(logits)
    return np.array(losses), np.array(rows)


@pytest.mark.parametrize("options", [SMALL, {**SMALL, "scale": 16.0, "norm_weight": 2.0}], ids=str)
def test_the_contract(options, seed):
    testing.check_head(MagFace, magface, options=[options], seed=seed)


@pytest.mark.parametrize("options", [{}, NARROW], ids=str)
def test_the_numbers_of_other_options(options, seed):
    subject = testing.Subject(MagFace, options, magface, seed)
    for rule in ("reference", "small", "extremes", "on_a_prototype"):
        testing.HEAD_RULES[rule](subject)


def built(head_class=MagFace, **options):
    head = head_class(C, D, **options)
    head.initialize()
    head.cast("float64")
    return head


@pytest.mark.parametrize("length", [0.5, 1.0, 2.5, 4.0, 9.0])
def test_at_each_length_it_is_arcface_with_that_margin(length, rng):
    head = built(norm_weight=3, **SMALL)
    share = min(max((length - 1) / 3, 0), 1)
    other = built(ArcFace, margin=0.45 + 0.35 * share)
    other.weight.set_data(head.weight.data())
    embedding = rng.normal(size=(B, D))
    embedding *= length / np.linalg.norm(embedding, axis=1, keepdims=True)
    loss, logits, gradient = testing.gradients(head, embedding, LABEL)
    expected_loss, expected_logits, expected = testing.gradients(other, embedding, LABEL)
    a = min(max(length, 1), 4)
    np.testing.assert_allclose(loss, expected_loss + 3 * (a / 16 + 1 / a), rtol=1e-9)
    np.testing.assert_array_equal(logits, expected_logits)
    np.testing.assert_allclose(gradient["weight"], expected["weight"], rtol=1e-6, atol=1e-9)
    if length in (0.5, 9.0):  # outside of the bounds nothing reaches the length
        np.testing.assert_allclose(gradient["embedding"], expected["embedding"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("degrees", "length", "sign"), [(80, 2.0, 1), (1, 2.0, -1), (80, 0.5, 0), (80, 5.0, 0)])
def test_a_hard_sample_becomes_shorter_and_an_easy_one_longer(degrees, length, sign):
    head = MagFace(2, 2, norm_weight=1, **SMALL)
    head.initialize()
    head.cast("float64")
    head.weight.set_data(mx.nd.array([[1.0, 0.0], [-1.0, 0.0]]))
    angle = math.radians(degrees)
    embedding = length * np.array([[math.cos(angle), math.sin(angle)]])
    _, _, gradient = testing.gradients(head, embedding, np.array([0]))
    along = float((gradient["embedding"] * embedding).sum())
    assert np.sign(np.round(along, 9)) == sign


def test_the_norms_term_is_least_at_the_upper_norm():
    head = built(**SMALL)
    head.set_scheduled("lower_margin", 0.0)
    head.set_scheduled("upper_margin", 0.0)
    direction = head.weight.data().asnumpy()[:1] / np.linalg.norm(head.weight.data().asnumpy()[0])
    lengths = np.linspace(0.5, 5, 46)
    loss, _, _ = testing.gradients(head, lengths[:, None] * direction, np.zeros(46, int))
    inside = (lengths >= 1) & (lengths <= 4)
    assert (np.diff(loss[inside]) < 0).all()
    np.testing.assert_allclose(loss[lengths > 4], loss.min(), rtol=1e-9)
    assert loss.max() - loss.min() == pytest.approx(35 * (1 / 16 + 1 - 2 / 4), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lower_norm": 0}, "`lower_norm` must be above 0, got 0"),
        ({"lower_norm": 110}, r"`upper_norm` must be above lower_norm \(110\), got 110.0. The norms are"),
        ({"upper_margin": 0.4}, r"`upper_margin` must be at least lower_margin \(0.45\), got 0.4. Long"),
        ({"upper_margin": 45.8}, r"`upper_margin` must be in \[0, pi/2\) radians, got 45.8. If that is degrees"),
        ({"norm_weight": -1}, "`norm_weight` must be at least 0, got -1. 0 switches the norm's term off."),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=f"MagFace: {message}"):
        MagFace(C, D, **options)


def test_margins_that_cannot_be_met_are_told_by_the_lower_one():
    with pytest.warns(UserWarning, match="MagFace: margin 0.7 keeps the loss away .* at most 0.628"):
        MagFace(10, 2, lower_margin=0.7)
    MagFace(10, 2, lower_margin=0.6)
