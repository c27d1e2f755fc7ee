"""Rules about behavior: eager and hybridized, states, devices, labels, files, arguments, memory.

A rule takes a `Subject` and asserts one thing.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np

from lossbench._mxnet import mx
from lossbench.errors import UserError
from lossbench.testing.subject import (
    LABEL,
    B,
    C,
    D,
    Outer,
    Within,
    assert_close,
    assert_raises,
    gradients,
    learned,
    loss_of,
    values,
)


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


def forms(subject):
    """Labels (B, 1) of any type and embeddings (B, D, 1, 1) are taken, eager and within a compiled block."""
    rng = subject.rng()
    block, embedding = subject.built(rng, "float32"), mx.nd.array(rng.normal(size=(B, D)))
    outer, begin = Within(block), values(block)
    for compiled in (False, True):
        outer.hybridize(compiled)
        expected = loss_of(outer(embedding, mx.nd.array(LABEL)))
        column, image = mx.nd.array(LABEL).reshape((B, 1)), embedding.reshape((B, D, 1, 1))
        given = [(embedding, column), (image, mx.nd.array(LABEL))]
        types = ("int8", "uint8", "int32", "int64", "float16", "float64")
        for x, y in [*given, *((embedding, column.astype(dtype)) for dtype in types)]:
            np.testing.assert_array_equal(loss_of(outer(x, y)), expected)
        if hasattr(block, "predict"):
            np.testing.assert_array_equal(block.predict(image).asnumpy(), block.predict(embedding).asnumpy())
    for name, value in begin.items():
        np.testing.assert_array_equal(values(block)[name], value, err_msg=name)


def misfits(subject):
    """One-hot labels and embeddings of another size are refused by name, eager and within a compiled block."""
    block, where = subject.built(subject.rng(), "float32"), subject.block.__name__
    good, label = mx.nd.ones((B, D)), mx.nd.array(LABEL)
    one_hot = (
        f"{where}: `label` must have shape (batch size,), one class id per embedding, got ({B}, {C}). Pass class ids"
    )
    size = f"{where}: `embedding` must have shape (batch size, {D}), got ({B}, {D + 1}). Flatten or project"
    misfit = [(good, mx.nd.one_hot(label, C), one_hot)]
    if hasattr(block, "embedding_size"):
        misfit.append((mx.nd.ones((B, D + 1)), label, size))
    for x, y, text in misfit:
        for compiled in (False, True):
            outer = Within(block)
            outer.hybridize(compiled)
            said = text if compiled else text.replace("(batch size,)", f"({B},)")
            assert_raises(UserError, lambda outer=outer, x=x, y=y: outer(x, y), said)
    for x, y, name in [(np.ones((B, D)), label, "embedding"), (good, LABEL, "label")]:
        assert_raises(
            UserError, lambda x=x, y=y: block(x, y), f"{where}: `{name}` must be an MXNet array, got 'ndarray'"
        )


def numpy_arrays(subject):
    """Under `npx.set_np()` it takes arrays of `mx.np`, gives such, and learns the same."""
    rng = subject.rng()
    embedding = rng.normal(size=(B, D)).astype(np.float32)
    block = subject.built(rng, "float32")
    begin, plain = values(block), gradients(block, embedding, LABEL)
    with mx.util.np_shape(True), mx.util.np_array(True):
        for compiled in (False, True):
            block = subject.build()
            block.initialize()
            for name, value in begin.items():
                getattr(block, name).set_data(mx.np.array(value))
            for name, value in block.scheduled().items():
                block.set_scheduled(name, value)
            outer = Within(block)
            outer.hybridize(compiled)
            x = mx.np.array(embedding)
            x.attach_grad()
            with mx.autograd.record():
                found = outer(x, mx.np.array(LABEL))
                loss = found[0] if isinstance(found, (list, tuple)) else found
            loss.backward()
            assert isinstance(loss, mx.np.ndarray)
            assert_close(loss.asnumpy(), plain[0], 1e-6, "loss")
            assert_close(x.grad.asnumpy(), plain[2]["embedding"], 1e-6, "gradient of the embedding")
            for name in learned(block):
                assert_close(getattr(block, name).grad().asnumpy(), plain[2][name], 1e-6, name)
            if hasattr(block, "predict"):
                assert isinstance(block.predict(x), mx.np.ndarray)
                assert_close(block.predict(x).asnumpy(), found[1].asnumpy(), 1e-6, "predict")
                block.describe()["score"](embedding)


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
