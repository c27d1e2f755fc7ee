"""LogitNorm against a second implementation, its reductions, and the lowest loss that it can reach."""

import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import LogitNorm, Softmax
from tests.heads import reference

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])


def logit_norm(embedding, label, parameters, *, smoothing=0.0, **_):
    """Loss and logits of a batch, sample by sample."""
    losses, rows = [], []
    for x, y in zip(embedding, label):
        logits = np.array([x @ w for w in parameters["weight"]]) + parameters.get("bias", 0.0)
        normalized = logits / (parameters["temperature"][0] * reference.norm(logits))
        losses.append(reference.cross_entropy(normalized, y, smoothing))
        rows.append(logits)
    return np.array(losses), np.array(rows)


@pytest.mark.parametrize("options", [{}, {"use_bias": False, "temperature": 0.5}], ids=str)
def test_the_contract(options, seed):
    testing.check_head(LogitNorm, logit_norm, options=[options], seed=seed)


def built(dtype="float64", num_classes=C, **options):
    head = LogitNorm(num_classes, D, **options)
    head.initialize()
    head.cast(dtype)
    return head


def test_evaluation_sees_the_logits_of_softmax(rng):
    head, plain = built(), Softmax(C, D, use_bias=True)
    plain.initialize()
    plain.cast("float64")
    for name in ("weight", "bias"):
        value = rng.normal(size=getattr(head, name).shape)
        for one in (head, plain):
            getattr(one, name).set_data(mx.nd.array(value))
    embedding = mx.nd.array(rng.normal(size=(B, D)), dtype="float64")
    np.testing.assert_array_equal(head.predict(embedding).asnumpy(), plain.predict(embedding).asnumpy())
    # At the very temperature 1 / |z| of a sample the loss is that of softmax.
    for x in embedding:
        length = np.linalg.norm(plain.predict(x.expand_dims(0)).asnumpy())
        head.set_scheduled("temperature", 1 / length)
        one, other = (block(x.expand_dims(0), mx.nd.array([3]))[0].asscalar() for block in (head, plain))
        assert one == pytest.approx(other, rel=1e-6)


def test_the_length_of_an_embedding_has_no_effect_without_a_bias(rng):
    head, embedding = built(use_bias=False), rng.normal(size=(B, D))
    loss, _, gradient = testing.gradients(head, embedding, LABEL)
    longer, _, moved = testing.gradients(head, 1e3 * embedding, LABEL)
    np.testing.assert_allclose(longer, loss, rtol=1e-6)
    np.testing.assert_allclose(1e3 * moved["embedding"], gradient["embedding"], rtol=1e-5, atol=1e-9)
    radial = (gradient["embedding"] * embedding).sum(axis=1)
    np.testing.assert_allclose(radial, 0, atol=1e-9 * np.abs(gradient["embedding"]).max())


@pytest.mark.parametrize("temperature", [0.04, 1.0, 4.0])
@pytest.mark.parametrize("num_classes", [1, 2, 10])
def test_the_lowest_loss_is_reached_and_never_passed(num_classes, temperature, rng):
    head = built(num_classes=num_classes, temperature=temperature)
    head.bias.set_data(mx.nd.array(np.eye(num_classes)[0] - (num_classes > 1) / num_classes))
    label = mx.nd.zeros(1)
    loss, _ = head(mx.nd.zeros((1, D), dtype="float64"), label)
    assert loss.asscalar() == pytest.approx(head.lowest_loss(), rel=1e-6, abs=1e-12)
    for _ in range(50):
        head.bias.set_data(mx.nd.array(rng.normal(size=num_classes)))
        loss, _ = head(mx.nd.zeros((1, D), dtype="float64"), label)
        assert loss.asscalar() >= head.lowest_loss() - 1e-9
    assert f"temperature {temperature:g} cannot bring the cross-entropy below {head.lowest_loss():.3g}" in head.bounds()


def test_the_published_values():
    """Logits (3, 4, 0) of length 5: at 0.04 the scores are 15, 20 and 0."""
    head = built(num_classes=3)
    head.bias.set_data(mx.nd.array([3, 4, 0]))
    loss, logits = head(mx.nd.zeros((3, D), dtype="float64"), mx.nd.arange(3))
    expected = math.log(math.exp(15) + math.exp(20) + 1) - np.array([15, 20, 0])
    np.testing.assert_allclose(loss.asnumpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(logits.asnumpy(), [[3, 4, 0]] * 3)


@pytest.mark.parametrize("temperature", [0, -0.04])
def test_a_bad_temperature_is_refused(temperature):
    with pytest.raises(ValueError, match=f"LogitNorm: `temperature` must be above 0, got {temperature}. .+"):
        LogitNorm(C, D, temperature=temperature)
