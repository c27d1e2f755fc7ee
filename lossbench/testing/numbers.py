"""Rules about numbers: values, gradients, types of numbers, extremes.

A rule takes a `Subject` and asserts one thing.
"""

from __future__ import annotations

import inspect

import numpy as np

from lossbench._mxnet import mx
from lossbench.testing.subject import (
    LABEL,
    B,
    C,
    D,
    assert_close,
    assert_matches_reference,
    away_from_zero,
    central_differences,
    finite,
    gradients,
    learned,
    values,
)


def reference(subject):
    """Loss, logits and gradients are those of the reference."""
    if subject.reference:
        rng = subject.rng()
        assert_matches_reference(subject, subject.built(rng), rng.normal(size=(B, D)))


def differences(subject):
    """Without a reference: the gradients are the central differences of the block's own loss."""
    if subject.reference:
        return
    rng = subject.rng()
    block, embedding = subject.built(rng), rng.normal(size=(B, D))
    label, parameters = mx.nd.array(LABEL), values(block)
    weight = rng.uniform(0.5, 1.5, B)
    _, _, gradient = gradients(block, embedding, LABEL, weight)

    def total(arrays):
        arrays = dict(arrays)
        x = mx.nd.array(arrays.pop("embedding"), dtype="float64")
        for name, value in {**parameters, **arrays}.items():
            getattr(block, name).set_data(mx.nd.array(value, dtype="float64"))
        with mx.autograd.record():
            found = block(x, label)
        return float((found[0] if isinstance(found, (list, tuple)) else found).asnumpy() @ weight)

    expected = central_differences(total, {"embedding": embedding, **{n: parameters[n] for n in learned(block)}})
    for name, value in expected.items():
        assert_close(gradient[name], value, 2e-6, f"gradient for {name}")


def smoothing(subject):
    """Label smoothing is that of the reference."""
    if subject.reference and "smoothing" in inspect.signature(subject.reference).parameters:
        rng = subject.rng()
        block = subject.built(rng, label_smoothing=0.2)
        assert_matches_reference(subject, block, rng.normal(size=(B, D)), smoothing=0.2)


def focusing(subject):
    """The focal loss multiplies the cross-entropy by a power of 1 - p, also where p rounds to 1."""
    if "focusing" not in getattr(subject.block, "options", {}):
        return
    rng = subject.rng()
    embedding = rng.normal(size=(B, D))
    plain, focal = (subject.built(subject.rng(), focusing=power) for power in (0.0, 2.0))
    (loss, logits, _), (reduced, same, _) = (gradients(block, embedding, LABEL) for block in (plain, focal))
    assert_close(same, logits, 1e-12)
    assert (reduced <= loss + 1e-12).all(), "the focal loss is larger"
    assert (reduced != loss).any(), "the focal loss is the cross-entropy"
    sharp = subject.built(subject.rng(), "float32", focusing=0.5)
    finite(sharp, 1e3 * sharp.prototypes().asnumpy()[LABEL], LABEL, "p rounds to 1 under the focal loss")


def small(subject):
    """One sample, one class, one dimension."""
    if not subject.reference:
        return
    rng = subject.rng()
    assert_matches_reference(subject, subject.built(rng), rng.normal(size=(1, D)), LABEL[:1])
    one_class = subject.built(rng, num_classes=1)
    assert_matches_reference(subject, one_class, rng.normal(size=(2, D)), np.zeros(2, int))
    # In one dimension every cosine is 1 or -1, where a sine has half the digits.
    one_dimension = subject.built(rng, embedding_size=1)
    for name in learned(one_dimension):
        value = values(one_dimension)[name]
        if value.ndim == 2:
            getattr(one_dimension, name).set_data(mx.nd.array(away_from_zero(value), dtype="float64"))
    assert_matches_reference(subject, one_dimension, away_from_zero(rng.normal(size=(B, 1))), LABEL, 1e-5, 1e-3)


def float16(subject):
    """Embeddings in float16 are computed in float32, and labels are not cast down."""
    for compiled in (False, True):
        rng = subject.rng()
        head = subject.built(rng, "float32")
        head.hybridize(compiled)
        embedding = rng.normal(size=(B, D)).astype(np.float16)
        begin = values(head)
        expected = gradients(head, embedding.astype(np.float32), LABEL)
        for name, value in begin.items():
            getattr(head, name).set_data(mx.nd.array(value))
        head.cast("float16")
        assert all(parameter.data().dtype == np.float32 for parameter in head.collect_params().values())
        loss, logits, gradient = gradients(head, embedding, LABEL)
        assert (loss.dtype, gradient["embedding"].dtype) == (np.float32, np.float16)
        np.testing.assert_array_equal(loss, expected[0])
        np.testing.assert_allclose(gradient["embedding"], expected[2]["embedding"], rtol=1e-3, atol=1e-6)
        if logits is not None:
            np.testing.assert_array_equal(logits, expected[1])
            assert head.predict(mx.nd.array(embedding, dtype="float16")).dtype == np.float32


def float32(subject):
    """Arithmetic in float32 is close to that in float64."""
    rng = subject.rng()
    head = subject.built(rng, "float32", embedding_size=64)
    embedding, begin = rng.normal(size=(B, 64)).astype(np.float32), values(head)
    loss, logits, gradient = gradients(head, embedding, LABEL)
    for name, value in begin.items():
        getattr(head, name).set_data(mx.nd.array(value))
    head.cast("float64")
    assert all(parameter.data().dtype == np.float64 for parameter in head.collect_params().values())
    expected_loss, expected_logits, expected = gradients(head, embedding.astype(np.float64), LABEL)
    assert expected_loss.dtype == np.float64
    assert_close(loss, expected_loss, 1e-5, "loss")
    if logits is not None:
        assert_close(logits, expected_logits, 1e-5, "logits")
    for name, value in expected.items():
        assert_close(gradient[name], value, 1e-4, name)


def on_a_prototype(subject):
    """Loss and gradients are finite where an embedding lies on a class's prototype or opposite to one."""
    classes = 50
    label = np.arange(classes)
    for size in (2, 64, 512):
        head = subject.built(subject.rng(), "float32", num_classes=classes, embedding_size=size)
        prototypes = head.prototypes().asnumpy()
        for factor in (1.0, -1.0, 3.7, 1e-3, -40.0):
            finite(head, factor * prototypes, label, f"true class, times {factor}")
            finite(head, factor * prototypes, (label + 1) % classes, f"another class, times {factor}")


def extremes(subject):
    """Loss and gradients are finite for embeddings and parameters of 0, and far away."""
    rng = subject.rng()
    head = subject.built(rng, "float32")
    embedding = rng.normal(size=(B, D))
    finite(head, np.zeros((B, D)), LABEL, "zero embeddings")
    embedding[2] = 0
    finite(head, embedding, LABEL, "one zero embedding")
    for factor in (1e-20, 1e-4, 1e4):
        finite(head, embedding * factor, LABEL, f"embeddings times {factor}")
    weight = getattr(head, learned(head)[0]).data() if learned(head) else mx.nd.ones((2,))
    weight[1:2] = 0
    finite(head, embedding, LABEL, "one zero class")
    weight[:] = 0
    finite(head, embedding, LABEL, "all classes zero")
    finite(head, np.zeros((B, D)), LABEL, "everything zero")


def absent_class(subject):
    """A class that no sample of the batch has moves all the same."""
    rng = subject.rng()
    head = subject.built(rng)
    _, _, gradient = gradients(head, rng.normal(size=(B, D)), LABEL)
    weight = gradient[learned(head)[0]]
    assert np.isfinite(weight).all()
    assert np.abs(weight[len(weight) // C * 2 :][: len(weight) // C]).max() > 0


def added(subject):
    """With ``grad_req="add"`` two backward passes add up."""
    for compiled in (False, True):
        rng = subject.rng()
        block = subject.built(rng)
        embedding, begin, names = rng.normal(size=(B, D)), values(block), learned(block)
        once = gradients(block, embedding, LABEL)[2]
        block.collect_params().setattr("grad_req", "add")
        block.hybridize(compiled)
        x = mx.nd.array(embedding, dtype="float64")
        for _ in range(2):
            for name, value in begin.items():
                getattr(block, name).set_data(mx.nd.array(value, dtype="float64"))
            with mx.autograd.record():
                found = block(x, mx.nd.array(LABEL))
                loss = found[0] if isinstance(found, (list, tuple)) else found
            loss.backward()
        for name in names:
            assert_close(getattr(block, name).grad().asnumpy(), 2 * once[name], 1e-12, name)


def frozen(subject):
    """A frozen head still moves the embedding, and a frozen embedding the head."""
    for compiled in (False, True):
        rng = subject.rng()
        head = subject.built(rng)
        embedding, label, begin = rng.normal(size=(B, D)), mx.nd.array(LABEL), values(head)
        _, _, expected = gradients(head, embedding, LABEL)
        head.hybridize(compiled)
        x = mx.nd.array(embedding, dtype="float64")

        def again(head=head, x=x, label=label, begin=begin):
            for name, value in begin.items():
                getattr(head, name).set_data(mx.nd.array(value, dtype="float64"))
            with mx.autograd.record():
                found = head(x, label)
                loss = found[0] if isinstance(found, (list, tuple)) else found
            loss.backward()

        again()
        names = learned(head)
        for name in names:
            assert_close(getattr(head, name).grad().asnumpy(), expected[name], 1e-12, name)
        for gone in (names[:1], names):
            for name in gone:
                getattr(head, name).grad_req = "null"
            x.attach_grad()
            again()
            assert_close(x.grad.asnumpy(), expected["embedding"], 1e-12)
