"""AdaFace against a second implementation: the margin by length, and the running statistics of the length."""

import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import AdaFace, AMSoftmax, ArcFace
from tests.heads import reference

B, D, C = 32, 8, 10


def lengths(embedding):
    return np.array([min(100.0, max(0.001, reference.norm(x))) for x in embedding])


def moved(embedding, parameters, momentum=0.01):
    """Mean and deviation after a step."""
    found = lengths(embedding)
    mean, deviation = parameters["norm_mean"][0], parameters["norm_deviation"][0]
    mean += momentum * (found.mean() - mean)
    if len(found) > 1:
        deviation += momentum * (found.std(ddof=1) - deviation)
    return mean, deviation


def adaface(embedding, label, parameters, *, concentration=0.333, momentum=0.01, smoothing=0.0, fixed, **_):
    scale, margin = parameters["scale"][0], parameters["margin"][0]
    mean, deviation = moved(*fixed, momentum)
    losses, logits = [], []
    for x, y, length in zip(embedding, label, lengths(fixed[0])):
        k = min(1.0, max(-1.0, concentration * (length - mean) / (deviation + 0.001)))
        cosines = [reference.cosine(x, w) for w in parameters["weight"]]
        angle = min(math.pi, max(0.0, math.acos(cosines[y]) - margin * k))
        logits.append(scale * np.array(cosines))
        with_margin = reference.with_true(logits[-1], y, scale * (math.cos(angle) - margin - margin * k))
        losses.append(reference.cross_entropy(with_margin, y, smoothing))
    return np.array(losses), np.array(logits)


def test_the_contract(seed):
    options = [{}, {"scale": 8.0, "margin": 1.2, "concentration": 3.0, "momentum": 1.0}]
    testing.check_head(AdaFace, adaface, options=options, seed=seed)


def built(head_class=AdaFace, weight=None, **options):
    head = head_class(C, D, **options)
    head.initialize()
    head.cast("float64")
    if weight is not None:
        head.weight.set_data(mx.nd.array(weight))
    return head


@pytest.mark.parametrize("static", [None, False, True])
def test_the_state_moves_before_it_is_used_and_one_sample_moves_the_mean_alone(static, rng):
    head = built(concentration=1.0, momentum=0.3)
    if static is not None:
        head.hybridize(static_alloc=static, static_shape=static)
    for count in (B, 2, 1):
        embedding, label = 30 * rng.normal(size=(count, D)), rng.integers(0, C, count)
        parameters = testing.values(head)
        loss, _, _ = testing.gradients(head, embedding, label)
        options = {"concentration": 1.0, "momentum": 0.3, "fixed": (embedding, parameters)}
        np.testing.assert_allclose(loss, adaface(embedding, label, parameters, **options)[0], rtol=1e-7)
        found = [head.norm_mean.data().asscalar(), head.norm_deviation.data().asscalar()]
        assert found == pytest.approx(moved(embedding, parameters, 0.3), rel=1e-9)
        assert (found[1] == parameters["norm_deviation"][0]) == (count == 1)


def test_its_reductions(rng):
    """A length that says nothing makes it AM-softmax; embeddings much shorter than usual, ArcFace."""
    weight, label = rng.normal(size=(C, D)), rng.integers(0, C, B)
    embedding = weight[label] + 0.5 * rng.normal(size=(B, D))
    for options, other in (
        ({"concentration": 0}, AMSoftmax),
        ({"concentration": 1e6, "momentum": 0}, ArcFace),  # k = -1
    ):
        one = testing.gradients(built(weight=weight, margin=0.3, **options), embedding, label)
        two = testing.gradients(built(other, weight, scale=64, margin=0.3), embedding, label)
        np.testing.assert_allclose(one[0], two[0], rtol=1e-9, atol=1e-12)
        for name in one[2]:
            np.testing.assert_allclose(one[2][name], two[2][name], rtol=1e-9, atol=1e-9)


def test_the_angle_stays_between_0_and_pi(rng):
    """Past them the cosine would turn round: there the logit is constant."""
    weight = np.eye(C, D)
    degrees = np.radians([0, 5, 175, 180])
    for length, expected in ((50.0, [1, 1, None, None]), (0.5, [None, None, -1, -1])):
        head = built(weight=weight, scale=4.0, margin=0.4, concentration=1e6, momentum=0)
        embedding = np.zeros((4, D))
        embedding[:, 0], embedding[:, 1] = length * np.cos(degrees), length * np.sin(degrees)
        loss, logits, _ = testing.gradients(head, embedding, np.zeros(4, int))
        others = np.exp(logits[:, 1:]).sum(axis=1)
        found = -np.log(np.expm1(loss) / others) / 4  # the training logit over the scale
        for value, cosine in zip(found, expected):
            if cosine is not None:
                assert value == pytest.approx(cosine - 0.4 - math.copysign(0.4, length - 20), abs=1e-9)


def test_no_gradient_reaches_the_length(rng):
    """The loss depends on the length; its gradient is at a right angle to the embedding all the same."""
    embedding, label = 30 * rng.normal(size=(B, D)), rng.integers(0, C, B)
    head = built(concentration=1.0)
    _, _, gradient = testing.gradients(head, embedding, label)
    along = (gradient["embedding"] * embedding).sum(axis=1)
    np.testing.assert_allclose(along, 0, atol=1e-9)
    assert np.abs(gradient["embedding"]).max() > 1e-4


def test_a_margin_that_cannot_be_met_warns():
    with pytest.warns(UserWarning, match=r"margin 0.7 keeps the loss away from 0: .* at most 0.628"):
        AdaFace(10, 2, margin=0.7)
