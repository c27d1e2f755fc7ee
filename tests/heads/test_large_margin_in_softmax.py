"""Large margin in softmax against a second implementation, its reductions, and where its penalty is 0."""

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import LargeMarginInSoftmax, Softmax
from tests.heads import reference

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])


def penalty(logits, label):
    """The penalty of one sample, class by class."""
    others = [z for j, z in enumerate(logits) if j != label]
    log_q = [-reference.cross_entropy(np.array(others), j) for j in range(len(others))]
    return 0.5 * sum((np.exp(value) - 1 / len(others)) * value for value in log_q)


def large_margin(embedding, label, parameters, *, smoothing=0.0, **_):
    """Loss and logits of a batch, sample by sample."""
    losses, rows = [], []
    for x, y in zip(embedding, label):
        logits = np.array([x @ w for w in parameters["weight"]]) + parameters.get("bias", 0.0)
        entropy = reference.cross_entropy(logits, y, smoothing)
        losses.append(entropy + parameters["penalty_weight"][0] * penalty(logits, y))
        rows.append(logits)
    return np.array(losses), np.array(rows)


@pytest.mark.parametrize("options", [{}, {"use_bias": True, "penalty_weight": 2.0}], ids=str)
def test_the_contract(options, seed):
    testing.check_head(LargeMarginInSoftmax, large_margin, options=[options], seed=seed)


@pytest.mark.parametrize(("count", "size", "num_classes"), [(1, D, C), (B, 1, C), (B, D, 3)])
def test_small_sizes(count, size, num_classes, seed, rng):
    subject = testing.Subject(LargeMarginInSoftmax, {}, large_margin, seed)
    block = subject.built(rng, num_classes=num_classes, embedding_size=size)
    label = LABEL[:count] % num_classes
    testing.assert_matches_reference(subject, block, rng.normal(size=(count, size)), label)


def built(dtype="float64", **options):
    head = LargeMarginInSoftmax(C, D, **options)
    head.initialize()
    head.cast(dtype)
    return head


@pytest.mark.parametrize("use_bias", [False, True])
def test_without_the_penalty_it_is_softmax(use_bias, rng):
    head, plain = built(penalty_weight=0, use_bias=use_bias), Softmax(C, D, use_bias=use_bias)
    plain.initialize()
    plain.cast("float64")
    plain.weight.set_data(head.weight.data())
    embedding = rng.normal(size=(B, D))
    for one, other in zip(*(testing.gradients(block, embedding, LABEL) for block in (head, plain))):
        if isinstance(one, dict):
            for name, value in other.items():
                np.testing.assert_allclose(one[name], value, rtol=1e-12, atol=1e-15)
        else:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_penalty_is_0_where_the_other_classes_are_equal_and_above_0_elsewhere(dtype, rng):
    head = built(dtype, use_bias=True, penalty_weight=1)
    zeros, label = mx.nd.zeros((1, D), dtype=dtype), mx.nd.array([2])

    def found(logits):
        head.bias.set_data(mx.nd.array(logits))
        loss, _ = head(zeros, label)
        return loss.asscalar() - reference.cross_entropy(np.asarray(logits), 2)

    for true in (-3, 0, 5):
        assert found([1, 1, true, 1, 1]) == pytest.approx(0, abs=1e-5)  # oneDNN's log_softmax in float32
    for _ in range(50):
        assert found(3 * rng.normal(size=C)) > 0


def test_a_large_true_logit_stays_out_of_the_penalty():
    """The authors' code takes 1e6 off the true class's logit: at 2e6 it would be the largest of the others."""
    head = built("float32", use_bias=True, penalty_weight=1)
    logits = np.array([0.0, 1.0, 2e6, -1.0, 0.5], np.float32)
    head.bias.set_data(mx.nd.array(logits))
    loss, _, gradient = testing.gradients(head, np.zeros((1, D), np.float32), np.array([2]))
    assert loss[0] == pytest.approx(penalty(logits.astype(float), 2), abs=1e-5)
    assert gradient["bias"][2] == pytest.approx(0, abs=1e-5)
    assert np.abs(gradient["bias"]).max() > 0.01


@pytest.mark.parametrize("num_classes", [1, 2])
def test_fewer_than_three_classes_are_refused(num_classes):
    text = f"LargeMarginInSoftmax: `num_classes` must be at least 3, got {num_classes}. Softmax takes any number."
    with pytest.raises(ValueError, match=text):
        LargeMarginInSoftmax(num_classes, D)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="`penalty_weight` must be at least 0, got -1. 0 switches the penalty off."):
        LargeMarginInSoftmax(C, D, penalty_weight=-1)
