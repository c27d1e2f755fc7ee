"""The contract suite for everybody's loss: `check_head(MyHead)` and `check_regularizer(MyRegularizer)`.

Each rule is a function that builds the block anew and asserts one thing; the names of the rules are what ``exceptions``
name. Our own losses are held to the same rules.
"""

from __future__ import annotations

import inspect
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from lossbench import _gluon
from lossbench._mxnet import mx
from lossbench.errors import UserError

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
    reference: Optional[Callable] = None
    seed: int = 0

    def __str__(self):
        return "-".join([self.block.__name__, *(f"{key}={value}" for key, value in self.options.items())])

    def rng(self):
        return np.random.default_rng([self.seed, 1])

    def build(self, num_classes=C, embedding_size=D, **more):
        options = {**self.options, **more}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* keeps the loss", UserWarning)
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


def away_from_zero(x):
    """Values whose size is at least 1/2: in shorter vectors the epsilon of a length shows."""
    return np.where(x < 0, x - 0.5, x + 0.5)


def predict(subject):
    """`predict` and `score` are the logits, and need no label."""
    rng = subject.rng()
    head, embedding = subject.built(rng), rng.normal(size=(B, D))
    x = mx.nd.array(embedding, dtype="float64")
    _, logits = head(x, mx.nd.array(LABEL))
    _, other = head(x, mx.nd.array((LABEL + 1) % C))
    np.testing.assert_array_equal(logits.asnumpy(), other.asnumpy(), err_msg="logits depend on the label")
    expected = logits.asnumpy()
    for hybridized in (False, True):
        head.hybridize(hybridized)
        for size in (B, 2, B):
            assert_close(head.predict(x[:size]).asnumpy(), expected[:size], 1e-9, "predict")
    assert_close(head.describe()["score"](embedding), expected, 1e-9, "score")


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


def hybridized(subject):
    """Hybridized equals eager over several steps, also when scheduled values move and states do."""
    for static in (False, True):
        rng = subject.rng()
        head = subject.built(rng)
        outer = Outer(head)
        outer.dense.initialize(mx.init.Normal(1.0))
        outer.cast("float64")
        image, label = mx.nd.array(rng.normal(size=(B, D)), dtype="float64"), mx.nd.array(LABEL)
        start, begin = head.scheduled(), values(head)

        def three_calls(head=head, outer=outer, image=image, label=label, start=start, begin=begin):
            for name, value in begin.items():
                getattr(head, name).set_data(mx.nd.array(value, dtype="float64"))
            results = []
            for factor in (1.0, 0.5, 0.25):
                for name, value in start.items():
                    head.set_scheduled(name, value * factor)
                mx.random.seed(7)
                with mx.autograd.record():
                    loss, logits, _ = outer(image, label)
                loss.backward()
                grads = [p.grad().asnumpy() for p in outer.collect_params().values() if p.grad_req != "null"]
                results.append([loss.asnumpy(), logits.asnumpy(), *values(head).values(), *grads])
            return results

        eager = three_calls()
        outer.hybridize(static_alloc=static, static_shape=static)
        compiled = three_calls()
        for one, other in zip(eager, compiled):
            for a, b in zip(one, other):
                assert_close(b, a, 1e-12, "hybridized differs from eager")
        if any(value > 0 for value in start.values()):
            assert not np.allclose(eager[0][0], eager[1][0]), "the scheduled values have no effect"


def state(subject):
    """States move while training alone, are saved and loaded, and stand still in evaluation."""
    head = subject.build()
    names = list(head.state()) if hasattr(head, "state") else []
    if not names:
        return
    for compiled in (False, True):
        rng = subject.rng()
        head = subject.built(rng, "float32")
        head.hybridize(compiled, static_alloc=compiled, static_shape=compiled)
        x, label = mx.nd.array(rng.normal(size=(B, D))), mx.nd.array(LABEL)
        before = {name: values(head)[name] for name in names}
        head(x, label)
        head.predict(x)
        with mx.autograd.record(train_mode=False):
            head(x, label)
        for name in names:
            np.testing.assert_array_equal(values(head)[name], before[name], err_msg=f"{name} moved in evaluation")
        gradients(head, x.asnumpy(), LABEL)
        after = {name: values(head)[name] for name in names}
        assert any((after[name] != before[name]).any() for name in names), "no state moved in training"
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "head.params")
            head.save_parameters(path)
            other = subject.build()
            other.load_parameters(path)
        for name in names:
            np.testing.assert_array_equal(values(other)[name], after[name], err_msg=f"{name} is not saved")


def devices(subject):
    """Two devices equal one."""
    contexts = [mx.cpu(0), mx.cpu(1)]
    rng = subject.rng()
    one = subject.built(rng)
    two = subject.build()
    two.initialize(ctx=contexts)
    two.cast("float64")
    for name, value in values(one).items():
        getattr(two, name).set_data(mx.nd.array(value, dtype="float64"))
    embedding = rng.normal(size=(B, D))
    _, _, expected = gradients(one, embedding, LABEL)
    for compiled in (False, True):
        two.hybridize(compiled)
        shards = [
            (mx.nd.array(x, ctx=context, dtype="float64"), mx.nd.array(y, ctx=context))
            for x, y, context in zip(np.split(embedding, [2]), np.split(LABEL, [2]), contexts)
        ]
        with mx.autograd.record():
            losses = [two(x, y) for x, y in shards]
            losses = [found[0] if isinstance(found, (list, tuple)) else found for found in losses]
        mx.autograd.backward(losses)
        for name in learned(one):
            total = sum(gradient.asnumpy() for gradient in getattr(two, name).list_grad())
            assert_close(total, expected[name], 1e-12, name)
    for name, value in one.scheduled().items():
        two.set_scheduled(name, value / 2)
        assert {float(array.asscalar()) for array in getattr(two, name).list_data()} == {value / 2}


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


def finite(head, embedding, label, what):
    """Assert that loss, logits and gradients are finite; return the loss and the gradients."""
    loss, logits, gradient = gradients(head, np.asarray(embedding, np.float32), label)
    found = {"loss": loss, **({} if logits is None else {"logits": logits}), **gradient}
    for name, value in found.items():
        assert np.isfinite(value).all(), f"{name} is not finite: {what}"
    return loss, gradient


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


def wrong_labels(subject):
    """A label outside of the classes makes its row NaN whatever its type, and `check_labels` names it."""
    for dtype in ("int32", "int64", "float32"):
        for compiled in (False, True):
            rng = subject.rng()
            head = subject.built(rng)
            head.hybridize(compiled)
            embedding, begin = rng.normal(size=(B, D)), values(head)
            good = gradients(head, embedding, mx.nd.array(LABEL, dtype=dtype))
            assert np.isfinite(good[0]).all()
            for name, value in begin.items():
                getattr(head, name).set_data(mx.nd.array(value, dtype="float64"))
            wrong = LABEL.copy()
            wrong[1], wrong[4] = C, -1
            loss, logits, gradient = gradients(head, embedding, mx.nd.array(wrong, dtype=dtype))
            np.testing.assert_array_equal(np.isnan(loss), [False, True, False, False, True, False])
            np.testing.assert_array_equal(loss[[0, 2, 3, 5]], good[0][[0, 2, 3, 5]])
            np.testing.assert_array_equal(logits, good[1])
            assert np.abs(gradient["embedding"][[1, 4]]).max() == 0
            text = f"`label` must be a whole number in [0, {C}), got 5"
            for labels in (wrong.astype(dtype), mx.nd.array(wrong, dtype=dtype)):
                assert_raises(UserError, lambda labels=labels, head=head: head.check_labels(labels), text)
            head.check_labels(LABEL)
            head.check_labels(np.array([]))


def fractional_labels(subject):
    """A label that is no whole number is no class."""
    rng = subject.rng()
    head = subject.built(rng)
    loss, _ = head(mx.nd.array(rng.normal(size=(3, D)), dtype="float64"), mx.nd.array([1, 1.5, float("nan")]))
    np.testing.assert_array_equal(np.isnan(loss.asnumpy()), [False, True, True])
    assert_raises(UserError, lambda: head.check_labels(np.array([1, 1.5, np.nan])), "got 1.5 at position 1 (2 of 3")


def saved(subject):
    """Saved and loaded, it is the same block."""
    rng = subject.rng()
    head = subject.built(rng, "float32")
    for name, value in head.scheduled().items():
        head.set_scheduled(name, value / 2)
    embedding = rng.normal(size=(B, D)).astype(np.float32)
    x = mx.nd.array(embedding)
    predicted = head.predict(x).asnumpy() if hasattr(head, "predict") else None
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "head.params")
        head.save_parameters(path)
        assert sorted(mx.nd.load(path)) == sorted(values(head)), "a file must hold each parameter once"
        other = subject.build()
        other.load_parameters(path)
    assert other.scheduled() == head.scheduled()
    if predicted is not None:
        np.testing.assert_array_equal(other.predict(x).asnumpy(), predicted)
    for one, two in zip(gradients(head, embedding, LABEL)[:2], gradients(other, embedding, LABEL)[:2]):
        np.testing.assert_array_equal(one, two)


def exported(subject):
    """Exported, it predicts from an embedding alone."""
    rng = subject.rng()
    head = subject.built(rng, "float32")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)  # any block's import says so
        path = Path(folder) / "head"
        head.export(str(path))
        block = mx.gluon.SymbolBlock.imports(f"{path}-symbol.json", ["data"], f"{path}-0000.params")
    x = mx.nd.array(rng.normal(size=(3, D)))
    np.testing.assert_allclose(block(x).asnumpy(), head.predict(x).asnumpy(), rtol=1e-6, atol=1e-6)


def initializers(subject):
    """Parameters keep their own initializers inside of a network that is initialized otherwise."""

    def start(initializer, **more):
        mx.random.seed(subject.seed)
        head = subject.build(400, 100, **more)
        net = mx.gluon.nn.HybridSequential()
        net.add(head)
        net.initialize(initializer)
        return values(head)

    one, other = start(mx.init.Zero()), start(mx.init.One())
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])
    name, matrix = next((name, value) for name, value in one.items() if value.ndim == 2)
    assert matrix.std() > 0.01
    assert np.all(start(mx.init.Zero(), weight_initializer=mx.init.Constant(0.5))[name] == 0.5)
    assert np.all(start(mx.init.Zero(), weight_initializer="ones")[name] == 1)


def scheduled(subject):
    """Scheduled values are parameters without gradient, within their range."""
    block = subject.build()
    start = block.scheduled()
    for name, value in start.items():
        block.set_scheduled(name, value / 2)  # before initialization, too
    block.initialize()
    assert block.scheduled() == {name: value / 2 for name, value in start.items()}
    block.collect_params().setattr("grad_req", "write")
    where = type(block).__name__
    for name in start:
        parameter = getattr(block, name)
        assert (parameter.grad_req, parameter.shape, parameter.wd_mult) == ("null", (1,), 0.0)
        for bad in (-1, float("nan")):
            text = f"{where}: `{name}` must "
            assert_raises(UserError, lambda name=name, bad=bad: block.set_scheduled(name, bad), text)
    text = "`name` must be a scheduled value of this block ("
    assert_raises(UserError, lambda: block.set_scheduled("no such value", 1), text)


def described(subject):
    """What it says of itself is NumPy, and a copy."""
    head = subject.built(subject.rng(), "float32")
    description = head.describe()
    assert description["metric"] in ("euclidean", "cosine", "density")
    assert description["prototypes"].shape == (C, D) == head.prototypes().shape
    for name, value in description.items():
        assert isinstance(value, (np.ndarray, float, str)) or callable(value), name
    copy = head.prototypes()
    copy[:] = 0
    assert np.abs(head.prototypes().asnumpy()).max() > 0, "prototypes() hands out the parameter itself"


def arguments(subject):
    """A bad argument is an error that names it; an unknown one is a TypeError."""
    where = type(subject.build()).__name__
    for more, text in [
        ({"num_classes": 0}, "`num_classes` must be an integer of at least 1, got 0"),
        ({"num_classes": 2.0}, "`num_classes` must be an integer of at least 1, got 2.0"),
        ({"embedding_size": -3}, "`embedding_size` must be an integer of at least 1, got -3"),
    ]:
        assert_raises(UserError, lambda more=more: subject.build(**more), f"{where}: {text}")
    assert_raises(TypeError, lambda: subject.build(no_such_option=1), "no_such_option")
    head = subject.built(subject.rng(), "float32")
    text = f"{where}: `embedding` must have shape (batch size, {D}), got"
    for shape in [(B, D + 1), (B, D, 1), (D,)]:
        assert_raises(UserError, lambda shape=shape: head(mx.nd.zeros(shape), mx.nd.zeros((B,))), text)
        assert_raises(UserError, lambda shape=shape: head.predict(mx.nd.zeros(shape)), text)
    text = f"`label` must have shape ({B},), one class id per embedding, got ({B}, {C})"
    assert_raises(UserError, lambda: head(mx.nd.zeros((B, D)), mx.nd.zeros((B, C))), text)
    assert_raises(UserError, lambda: head.cast("int32"), "`dtype` must be a float type, got 'int32'")
    assert repr(head).startswith(f"{where}(num_classes={C}, embedding_size={D}")


def memory(subject):
    """No array is as large as batch times classes times dimensions."""
    head = subject.build(23, 29)
    symbol = mx.sym.Group(head(mx.sym.var("embedding"), mx.sym.var("label")))
    _, shapes, _ = symbol.get_internals().infer_shape(embedding=(31, 29), label=(31,))
    assert max(np.prod(shape) for shape in shapes) <= 31 * 29 * getattr(head, "sub_centers", 1)


HEAD_RULES = {
    rule.__name__: rule
    for rule in (
        *(reference, differences, smoothing, focusing, small, predict, hybridized, state, devices, float16, float32),
        *(on_a_prototype, extremes, absent_class, frozen, wrong_labels, fractional_labels, saved, exported),
        *(initializers, scheduled, described, arguments, memory),
    )
}
REGULARIZER_RULES = {
    rule.__name__: rule
    for rule in (
        reference,
        differences,
        hybridized,
        state,
        devices,
        float16,
        float32,
        extremes,
        frozen,
        saved,
        scheduled,
    )
}


def check_head(head, reference: Optional[Callable] = None, options=({},), exceptions=(), seed: int = 0) -> None:
    """Hold a head to the contract.

    Parameters
    ----------
    head : class
        Built as ``head(num_classes, embedding_size, **options)``.
    reference : callable, optional
        A second implementation, see `Subject`; without it, gradients are held against differences of the loss itself.
    options : iterable of dict
        The ways to build it that are worth a check of their own.
    exceptions : iterable of str
        Rules that do not hold for it, by name, beside those that the class itself names.
    seed : int

    Raises
    ------
    AssertionError
        The first rule that is broken, by name.

    Examples
    --------
    >>> from lossbench.heads import Softmax
    >>> check_head(Softmax, exceptions=["small"])
    """
    _check(head, HEAD_RULES, reference, options, exceptions, seed)


def check_regularizer(regularizer, reference=None, options=({},), exceptions=(), seed: int = 0) -> None:
    """Hold a regularizer to the contract; the arguments are those of `check_head`."""
    _check(regularizer, REGULARIZER_RULES, reference, options, exceptions, seed)


def _check(block, rules, reference, options, exceptions, seed):
    left_out = {*exceptions, *getattr(block, "exceptions", ())}
    unknown = left_out - set(rules)
    if unknown:
        raise UserError(
            f"testing: exceptions must name rules ({', '.join(rules)}), got {', '.join(sorted(unknown))}. "
            "Each is a function of lossbench.testing."
        )
    for chosen in options:
        subject = Subject(block, dict(chosen), reference, seed)
        for name, rule in rules.items():
            if name in left_out:
                continue
            try:
                rule(subject)
            except Exception as error:
                raise AssertionError(f"{subject} breaks the rule {name!r}: {rule.__doc__}\n{error}") from error
