"""Proxy-Anchor against a second implementation: sums over a batch, classes that are absent, parts of a batch."""

import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import ProxyAnchor
from tests.heads import reference

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])


def log_sum(exponents):
    """log(1 + sum exp), of any number of them."""
    largest = max(0.0, *exponents) if exponents else 0.0
    return largest + math.log(math.exp(-largest) + sum(math.exp(e - largest) for e in exponents))


def proxy_anchor(embedding, label, parameters, **_):
    """Loss and logits of a batch, class by class."""
    alpha, delta = parameters["alpha"][0], parameters["delta"][0]
    cosine = np.array([[reference.cosine(x, w) for w in parameters["weight"]] for x in embedding])
    count = cosine.shape[1]
    pulls = [[-alpha * (c - delta) for c, y in zip(cosine[:, j], label) if y == j] for j in range(count)]
    pushes = [[alpha * (c + delta) for c, y in zip(cosine[:, j], label) if y != j] for j in range(count)]
    present = [log_sum(exponents) for exponents in pulls if exponents]
    loss = sum(present) / len(present) + sum(map(log_sum, pushes)) / count
    return np.full(len(label), loss), alpha * cosine


@pytest.mark.parametrize("options", [{}, {"alpha": 8.0, "delta": 0.5}], ids=str)
def test_the_contract(options, seed):
    testing.check_head(ProxyAnchor, proxy_anchor, options=[options], seed=seed)


def built(num_classes=C, size=D, dtype="float64", **options):
    head = ProxyAnchor(num_classes, size, **options)
    head.initialize()
    head.cast(dtype)
    return head


def loss_of(head, embedding, label):
    loss, _ = head(mx.nd.array(embedding, dtype=head._dtype), mx.nd.array(label))
    return loss.asnumpy()


def test_the_published_values():
    """Two images of one class on its proxy, another proxy opposite to it: each term by hand."""
    head = built(2, 2)
    head.weight.set_data(mx.nd.array([[1, 0], [-1, 0]]))
    pull, push = math.log1p(2 * math.exp(-32 * 0.9)), math.log1p(2 * math.exp(-32 * 0.9))
    np.testing.assert_allclose(loss_of(head, [[1, 0], [3, 0]], [0, 0]), pull + push / 2, rtol=1e-9)
    pull, push = math.log1p(2 * math.exp(32 * 1.1)), math.log1p(2 * math.exp(32 * 1.1))
    np.testing.assert_allclose(loss_of(head, [[1, 0], [3, 0]], [1, 1]), pull + push / 2, rtol=1e-9)


@pytest.mark.parametrize("label", [[0, 0, 0, 0], [0, 1, 2, 3], [4, 4, 1, 4]])
def test_classes_count_once_however_many_images_they_have(label, rng):
    head, embedding = built(alpha=8), rng.normal(size=(4, D))
    expected, _ = proxy_anchor(embedding, label, testing.values(head))
    np.testing.assert_allclose(loss_of(head, embedding, label), expected, rtol=1e-9)


@pytest.mark.parametrize("alpha", [32, 1000])
def test_exponents_that_float32_cannot_hold_are_harmless(alpha, rng):
    """exp(1000 * 1.1) is infinite; the authors' code adds up exponentials."""
    head = built(dtype="float32", size=2, alpha=alpha)
    embedding = rng.normal(size=(B, 2)).astype(np.float32)
    for label in (LABEL, (LABEL + 1) % C):
        loss, _, gradient = testing.gradients(head, embedding, label)
        expected, _ = proxy_anchor(embedding.astype(float), label, testing.values(head))
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        head.cast("float64")
        _, _, exact = testing.gradients(head, embedding.astype(float), label)
        head.cast("float32")
        for name, value in exact.items():
            np.testing.assert_allclose(gradient[name], value, rtol=0, atol=1e-3 * np.abs(value).max(), err_msg=name)


def test_two_devices_train_the_mean_of_their_parts_losses(rng):
    contexts = [mx.cpu(0), mx.cpu(1)]
    one, two = built(), ProxyAnchor(C, D)
    two.initialize(ctx=contexts)
    two.cast("float64")
    two.weight.set_data(one.weight.data())
    embedding = rng.normal(size=(B, D))
    parts = [slice(0, 2), slice(2, B)]
    with mx.autograd.record():
        losses = [
            two(mx.nd.array(embedding[rows], ctx=context, dtype="float64"), mx.nd.array(LABEL[rows], ctx=context))[0]
            for rows, context in zip(parts, contexts)
        ]
    mx.autograd.backward(losses)
    for loss, rows in zip(losses, parts):
        expected, _ = proxy_anchor(embedding[rows], LABEL[rows], testing.values(one))
        np.testing.assert_allclose(loss.asnumpy(), expected, rtol=1e-9)
    found = sum(gradient.asnumpy() for gradient in two.weight.list_grad())
    expected = sum(testing.gradients(one, embedding[rows], LABEL[rows])[2]["weight"] for rows in parts)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_no_array_is_larger_than_the_batch_times_itself_the_classes_or_the_dimensions():
    head, count = ProxyAnchor(23, 29), 31
    symbol = mx.sym.Group(head(mx.sym.var("embedding"), mx.sym.var("label")))
    _, shapes, _ = symbol.get_internals().infer_shape(embedding=(count, 29), label=(count,))
    assert max(np.prod(shape) for shape in shapes) <= count * (count + 1)


def test_a_row_whose_label_is_no_class_is_nan(rng):
    loss = loss_of(built(), rng.normal(size=(4, D)), [0, C, -1, 2])
    np.testing.assert_array_equal(np.isnan(loss), [False, True, True, False])


def test_the_proxies_have_a_learning_rate_of_their_own():
    assert built().weight.lr_mult == 100
    assert built(weight_lr_mult=1).weight.lr_mult == 1
    assert built().describe()["scale"] == 32


@pytest.mark.parametrize("name", ["label_smoothing", "focusing", "scale"])
def test_what_belongs_to_a_cross_entropy_is_no_option(name):
    assert name not in ProxyAnchor.options
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        ProxyAnchor(C, D, **{name: 0.1})


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [("alpha", 0, "above 0"), ("delta", 2, r"in \[0, 2\)"), ("weight_lr_mult", -1, "at least 0")],
)
def test_bad_options_are_refused(name, value, rule):
    with pytest.raises(ValueError, match=f"ProxyAnchor: `{name}` must be {rule}, got {value}. It "):
        ProxyAnchor(C, D, **{name: value})
