"""What heads and regularizers share."""

import numpy as np
import pytest

from lossbench import ops, options
from lossbench._mxnet import mx


def array(values, dtype="float64"):
    return mx.nd.array(values, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_and_broadcasts_by_inner_products(rng, dtype):
    x, left, right = rng.normal(size=(5, 3)), rng.normal(size=(5, 1)), rng.normal(size=(4, 1))
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    found = ops.row_sums(mx.nd, array(x, dtype)).asnumpy()
    np.testing.assert_allclose(found, x.sum(axis=1, keepdims=True), rtol=tolerance, atol=tolerance)
    found = ops.outer(mx.nd, array(left, dtype), array(right, dtype), 4).asnumpy()
    np.testing.assert_allclose(found, left * right.T, rtol=tolerance)
    assert ops.ones_column(mx.nd, array(x, dtype)).asnumpy().tolist() == [[1.0]] * 5
    unit = ops.unit_rows(mx.nd, array(x, dtype), 3).asnumpy()
    # Lengths carry an epsilon: 1e-12 of a length of 1.
    np.testing.assert_allclose(unit, x / np.linalg.norm(x, axis=1, keepdims=True), rtol=max(tolerance, 1e-11))
    weight = rng.normal(size=(4, 3))
    found = ops.product_with_unit_rows(mx.nd, array(x, dtype), array(weight, dtype), 4).asnumpy()
    expected = x @ (weight / np.linalg.norm(weight, axis=1, keepdims=True)).T
    np.testing.assert_allclose(found, expected, rtol=max(10 * tolerance, 1e-11), atol=tolerance)


def test_norms_have_a_finite_gradient_at_zero_where_mxnets_own_has_none():
    for function, finite in ((ops.norm, True), (lambda F, x: F.norm(x, axis=1), False)):
        x = mx.nd.zeros((2, 3))
        x.attach_grad()
        with mx.autograd.record():
            y = function(mx.nd, x)
        y.backward()
        assert np.isfinite(x.grad.asnumpy()).all() == finite
    assert ops.unit_rows(mx.nd, mx.nd.zeros((2, 3)), 3).asnumpy().tolist() == [[0.0] * 3] * 2


def test_cross_entropy_with_a_shift_of_thousands_is_exact():
    logits = array([[1000.0, 0.0, -1000.0]])
    for label, shift in ((0, -2000.0), (0, 0.0), (2, 0.0), (2, 1999.0), (1, 1000.0)):
        changed = logits.asnumpy()[0]
        changed[label] += shift
        expected = changed.max() + np.log(np.exp(changed - changed.max()).sum()) - changed[label]
        replaced = ops.with_true_class(mx.nd, logits, mx.nd.array([label]), array(changed[[label]]), 3)
        found = ops.cross_entropy(mx.nd, replaced, mx.nd.array([label]), 3)
        np.testing.assert_allclose(found.asnumpy(), [expected], rtol=1e-12)


def test_a_margin_keeps_its_digits_where_the_true_class_is_all_but_certain():
    """Computed from the probability alone, 1 - p would have lost them in float32."""
    logits, label = mx.nd.array([[20.0, 0.0]]), mx.nd.array([0])
    replaced = ops.with_true_class(mx.nd, logits, label, mx.nd.array([1.0]), 2)
    found = ops.cross_entropy(mx.nd, replaced, label, 2).asscalar()
    assert found == pytest.approx(np.log1p(np.exp(-1.0)), abs=3e-6)  # oneDNN's log_softmax is off by 1.4e-6


def test_the_true_class_is_replaced_with_its_gradient_beyond_the_integers_of_float32():
    rows, classes = 260, 100_003  # 26 million entries: float32 counts to 16.8 million
    logits, value = mx.nd.zeros((rows, classes)), mx.nd.arange(1, rows + 1)
    label = mx.nd.arange(rows) * 384
    for x in (logits, value):
        x.attach_grad()
    with mx.autograd.record():
        found = ops.with_true_class(mx.nd, logits, label, value, classes)
    found.backward()
    np.testing.assert_array_equal(found.pick(label).asnumpy(), value.asnumpy())
    assert found.sum().asscalar() == value.sum().asscalar()
    np.testing.assert_array_equal(value.grad.asnumpy(), np.ones(rows))
    np.testing.assert_array_equal(logits.grad.pick(label).asnumpy(), np.zeros(rows))
    assert logits.grad.sum(axis=1).asnumpy().tolist() == [classes - 1] * rows


def test_labels_outside_give_nan_without_gradient():
    loss = mx.nd.array([1.0, 2.0, 3.0, 4.0, 5.0])
    loss.attach_grad()
    with mx.autograd.record():
        found = ops.nan_unless(mx.nd, ops.class_ids(mx.nd, mx.nd.array([0, 2, 3, -1, 0.5]), 3)[1], loss)
    found.backward()
    np.testing.assert_array_equal(found.asnumpy(), [1, 2, np.nan, np.nan, np.nan])
    assert loss.grad.asnumpy().tolist() == [1, 1, 0, 0, 0]


def test_class_ids_stay_whole_numbers():
    """2049 is 2048 in float16, 2**24 + 1 is 2**24 in float32."""
    given = [2049, 70000, 2**24 + 1, -1, 2**24 + 3]
    for dtype in ("int32", "int64", "float64"):
        label, known = ops.class_ids(mx.nd, mx.nd.array(given, dtype=dtype), 2**24 + 3)
        assert label.asnumpy().tolist() == [2049, 70000, 2**24 + 1, 0, 0]
        assert known.asnumpy().tolist() == [1, 1, 1, 0, 0]
    assert ops.class_ids(mx.nd, mx.nd.array([7, 200], dtype="uint8"), 1000)[1].asnumpy().tolist() == [1, 1]


def test_check_labels_names_the_first_wrong_one():
    ops.check_labels("Here", np.array([[0, 2]]), 3)
    with pytest.raises(
        ValueError, match=r"^Here: `label` must be a whole number in \[0, 3\), got 3 at position 2 \(1 of 4"
    ):
        ops.check_labels("Here", np.array([[0, 2], [3, 1]]), 3)
    with pytest.raises(
        ValueError, match=r"^Here: `label` must be a whole number in \[0, 3\), got type str96\. Number the"
    ):
        ops.check_labels("Here", ["cat", "dog"], 3)


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), [1]])
def test_what_is_no_number(value):
    assert not options.is_number(value)
    assert not options.is_count(value)


def test_ranges_are_half_open():
    assert options.is_number(0, 0, 1)
    assert options.is_number(np.float32(0.5), 0, 1)
    assert not options.is_number(1, 0, 1)
    assert options.is_count(np.int64(3))
    assert not options.is_count(3.0)


def test_require_writes_the_whole_sentence():
    options.require(True, "Head", "margin", "be small", 3, "Try less.")
    with pytest.raises(ValueError, match="^Head: `margin` must be small, got 'much'. Try less.$"):
        options.require(False, "Head", "margin", "be small", "much", "Try less.")
