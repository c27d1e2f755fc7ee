"""What a rule works with: the class under test, its gradients, differences, and assertions with a tolerance."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lossbench import _gluon
from lossbench._mxnet import mx

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])  # class 2 is absent


@dataclass
class Subject:
    """A class under test with the options that it is built with.

    Parameters
    ----------
    block : class
    options : dict
    reference : callable, optional
        ``reference(embedding, label, parameters, **options)`` returns the loss (B,) and the logits (B, C), or of a
        regularizer the penalty (B,), in NumPy float64; ``parameters`` are arrays by attribute name, states as they are
        before the step. Where it takes ``fixed``, that is the pair of embedding and parameters at which what carries no
        gradient is evaluated.
    seed : int
    """

    block: Any
    options: dict = field(default_factory=dict)
    reference: Callable | None = None
    seed: int = 0

    def __str__(self):
        return "-".join([self.block.__name__, *(f"{key}={value}" for key, value in self.options.items())])

    def rng(self):
        return np.random.default_rng([self.seed, 1])

    def build(self, num_classes=C, embedding_size=D, **more):
        options = {**self.options, **more}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* keeps the (loss|cross-entropy)", UserWarning)
            create = getattr(self.block, "create", None)
            return (
                create(num_classes, embedding_size, **options)
                if create
                else self.block(num_classes, embedding_size, **options)
            )

    def built(self, rng, dtype="float64", ctx=None, **more):
        """The block with random class parameters, in a type."""
        mx.random.seed(self.seed)
        block = self.build(**more)
        block.initialize(ctx=ctx)
        for parameter in block.collect_params().values():
            if parameter.shape != (1,):
                values = parameter.list_data()[0].asnumpy()
                parameter.set_data(mx.nd.array(values * 0.5 + rng.normal(size=values.shape), dtype=values.dtype))
        block.cast(dtype)
        return block

    def expected(self, parameters, embedding, label, fixed=None, **more):
        assert self.reference is not None
        more = {**self.options, **more}
        if "fixed" in inspect.signature(self.reference).parameters:
            more["fixed"] = fixed or (embedding, parameters)
        found = self.reference(embedding, label, parameters, **more)
        return found if isinstance(found, tuple) else (found, np.zeros((len(label), 1)))


def values(block) -> dict:
    """Parameters by attribute name, NumPy float64."""
    own = _gluon.own_parameters(block)
    return {name: parameter.list_data()[0].asnumpy().astype(np.float64) for name, parameter in own.items()}


def learned(block) -> list:
    return [name for name, parameter in _gluon.own_parameters(block).items() if parameter.grad_req != "null"]


def gradients(block, embedding, label, row_weight=None, logits_weight=None):
    """Loss, logits (None of a regularizer) and the gradient of every input and learned parameter, as NumPy."""
    embedding = mx.nd.array(embedding, dtype=embedding.dtype)
    embedding.attach_grad()
    for name in learned(block):  # some parameters are in the loss alone
        getattr(block, name).zero_grad()
    label = label if isinstance(label, mx.nd.NDArray) else mx.nd.array(label, dtype="int32")
    with mx.autograd.record():
        found = block(embedding, label)
        loss, logits = found if isinstance(found, (list, tuple)) else (found, None)
        rows = loss if row_weight is None else loss * mx.nd.array(row_weight, dtype=loss.dtype)
        total = rows if logits_weight is None else (logits * mx.nd.array(logits_weight, dtype=logits.dtype)).sum()
    total.backward()
    moved = {name: getattr(block, name).grad().asnumpy() for name in learned(block)}
    logits = None if logits is None else logits.asnumpy()
    return loss.asnumpy(), logits, {"embedding": embedding.grad.asnumpy(), **moved}


def central_differences(function, arrays, step=1e-6) -> dict:
    """Gradients of a scalar function of named arrays, one component at a time."""
    result = {}
    for name, array in arrays.items():
        result[name] = np.empty_like(array)
        for index in np.ndindex(array.shape):
            found = []
            for sign in (1, -1):
                moved = array.copy()
                moved[index] += sign * step
                found.append(function({**arrays, name: moved}))
            result[name][index] = (found[0] - found[1]) / (2 * step)
    return result


def assert_close(actual, expected, tolerance, what=""):
    """Equal within a tolerance relative to the largest value, 1 at least."""
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=tolerance, err_msg=what)


def assert_raises(error, call, text):
    """Assert that a call raises an error whose message holds a text."""
    said = None
    try:
        call()
    except error as raised:
        said = str(raised)
    assert said is not None, f"no {error.__name__} with {text!r} was raised"
    assert text in said, f"the message must hold {text!r}, got {said!r}"


def assert_matches_reference(subject, block, embedding, label=LABEL, tolerance=1e-9, gradient_tolerance=2e-6, **more):
    """Loss, logits and every gradient of a float64 block against the reference, whose gradients are differences."""
    rng = np.random.default_rng(embedding.size)
    weight = rng.uniform(0.5, 1.5, len(label))
    parameters = values(block)
    loss, logits = subject.expected(parameters, embedding, label, **more)
    actual_loss, actual_logits, gradient = gradients(block, embedding, label, weight)
    assert_close(actual_loss, loss, tolerance, "loss")
    arrays = {"embedding": embedding, **{name: parameters[name] for name in learned(block)}}
    fixed = embedding, parameters

    def evaluate(moved):
        moved = dict(moved)
        x = moved.pop("embedding")
        return subject.expected({**parameters, **moved}, x, label, fixed, **more)

    expected = central_differences(lambda a: float(evaluate(a)[0] @ weight), arrays)
    for name in arrays:
        assert_close(gradient[name], expected[name], gradient_tolerance, f"gradient of the loss for {name}")
    if actual_logits is None:
        return
    assert_close(actual_logits, logits, tolerance, "logits")
    for name, value in parameters.items():  # the states that moved
        getattr(block, name).set_data(mx.nd.array(value, dtype="float64"))
    logits_weight = rng.normal(size=logits.shape)
    _, _, gradient = gradients(block, embedding, label, logits_weight=logits_weight)
    expected = central_differences(lambda a: float((evaluate(a)[1] * logits_weight).sum()), arrays)
    for name in arrays:
        assert_close(gradient[name], expected[name], gradient_tolerance, f"gradient of the logits for {name}")


def away_from_zero(x):
    """Values whose size is at least 1/2: in shorter vectors the epsilon of a length shows."""
    return np.where(x < 0, x - 0.5, x + 0.5)


def finite(head, embedding, label, what):
    """Assert that loss, logits and gradients are finite; return the loss and the gradients."""
    loss, logits, gradient = gradients(head, np.asarray(embedding, np.float32), label)
    found = {"loss": loss, **({} if logits is None else {"logits": logits}), **gradient}
    for name, value in found.items():
        assert np.isfinite(value).all(), f"{name} is not finite: {what}"
    return loss, gradient


class Outer(mx.gluon.HybridBlock):
    """A foreign model with a loss inside."""

    def __init__(self, head):
        super().__init__()
        with self.name_scope():
            self.dense = mx.gluon.nn.Dense(D, in_units=D)
            self.head = head

    def hybrid_forward(self, F, image, label):
        embedding = self.dense(image)
        found = self.head(embedding, label)
        loss, logits = found if isinstance(found, (list, tuple)) else (found, embedding)
        return loss, logits, embedding


class Within(mx.gluon.HybridBlock):
    """A block that hands everything on to the one within."""

    def __init__(self, inner):
        super().__init__()
        with self.name_scope():
            self.inner = inner

    def hybrid_forward(self, F, *arrays):
        return self.inner(*arrays)


def loss_of(found):
    """The loss, or of a regularizer the penalty, as NumPy."""
    return (found[0] if isinstance(found, (list, tuple)) else found).asnumpy()
