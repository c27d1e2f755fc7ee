"""One suite over all heads: what LOSSES asks of every one of them."""

import numpy as np
import pytest

from lossbench import heads, registry
from lossbench._mxnet import mx
from tests.heads import cases, reference

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])  # class 2 is absent

pytestmark = pytest.mark.filterwarnings("ignore:.* keeps the loss:UserWarning")
every_case = pytest.mark.parametrize("case", cases.CASES, ids=str)
every_head = pytest.mark.parametrize("case", [case for case in cases.CASES if not case.numbers_only], ids=str)


def built(case, rng, dtype="float64", num_classes=C, embedding_size=D, **more):
    head = case.build(num_classes, embedding_size, **more)
    head.initialize()
    cases.randomise(head, rng)
    head.cast(dtype)
    return head


def assert_close(actual, expected, tolerance, what=""):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=tolerance, err_msg=what)


def assert_matches_reference(case, head, embedding, label=LABEL, tolerance=1e-9, gradient_tolerance=2e-6, **options):
    """Loss, logits and every gradient of a float64 head against the second implementation."""
    rng = np.random.default_rng(embedding.size)
    weight, logits_weight = rng.uniform(0.5, 1.5, len(label)), rng.normal(size=(len(label), head.num_classes))
    parameters = cases.values(head)
    loss, logits = case.expected(parameters, embedding, label, **options)
    actual_loss, actual_logits, gradient = cases.gradients(head, embedding, label, weight)
    assert_close(actual_loss, loss, tolerance, "loss")
    assert_close(actual_logits, logits, tolerance, "logits")
    _, _, logits_gradient = cases.gradients(head, embedding, label, logits_weight=logits_weight)

    moved = {name: parameters[name] for name in cases.learned(head)}

    def evaluate(arrays):
        arrays = dict(arrays)
        x = arrays.pop("embedding")
        return case.expected({**parameters, **arrays}, x, label, **options)

    arrays = {"embedding": embedding, **moved}
    expected = reference.gradients(lambda a: float(evaluate(a)[0] @ weight), arrays)
    expected_logits = reference.gradients(lambda a: float((evaluate(a)[1] * logits_weight).sum()), arrays)
    for name in arrays:
        assert_close(gradient[name], expected[name], gradient_tolerance, f"gradient of the loss for {name}")
        assert_close(logits_gradient[name], expected_logits[name], gradient_tolerance, f"of the logits for {name}")


@every_case
def test_loss_logits_and_gradients_are_those_of_the_second_implementation(case, rng):
    head = built(case, rng)
    assert_matches_reference(case, head, rng.normal(size=(B, D)))


@every_head
def test_label_smoothing_is_that_of_the_second_implementation(case, rng):
    head = built(case, rng, label_smoothing=0.2)
    assert_matches_reference(case, head, rng.normal(size=(B, D)), smoothing=0.2)


@every_case
def test_one_sample_one_class_and_one_dimension(case, rng):
    assert_matches_reference(case, built(case, rng), rng.normal(size=(1, D)), LABEL[:1])
    assert_matches_reference(case, built(case, rng, num_classes=1), rng.normal(size=(2, D)), np.zeros(2, int))
    # In one dimension every cosine is 1 or -1, where a sine has half the digits.
    one_dimension = built(case, rng, embedding_size=1)
    assert_matches_reference(case, one_dimension, rng.normal(size=(B, 1)), LABEL, 1e-5, 1e-3)


@every_head
def test_predict_and_score_are_the_logits_and_need_no_label(case, rng):
    head = built(case, rng)
    embedding = rng.normal(size=(B, D))
    x = mx.nd.array(embedding, dtype="float64")
    _, logits = head(x, mx.nd.array(LABEL))
    _, other = head(x, mx.nd.array((LABEL + 1) % C))
    _, expected = case.expected(cases.values(head), embedding, LABEL)
    np.testing.assert_array_equal(logits.asnumpy(), other.asnumpy())
    for hybridised in (False, True):
        head.hybridize(hybridised)
        head.cast("float32")
        head.predict(x.astype("float32"))
        head.cast("float64")  # a graph of the other type must not stay
        for size in (B, 2, B):
            assert_close(head.predict(x[:size]).asnumpy(), expected[:size], 1e-9)
        assert (head._predictor._cached_op is not None) == hybridised
    assert_close(head.describe()["score"](embedding), expected, 1e-9)


class Outer(mx.gluon.HybridBlock):
    """A foreign model with a head inside."""

    def __init__(self, head):
        super().__init__()
        with self.name_scope():
            self.dense = mx.gluon.nn.Dense(D, in_units=D)
            self.head = head

    def hybrid_forward(self, F, image, label):
        embedding = self.dense(image)
        loss, logits = self.head(embedding, label)
        return loss, logits, embedding


@every_head
@pytest.mark.parametrize("static", [False, True])
def test_hybridised_equals_eager_also_when_scheduled_values_move(case, rng, static):
    head = built(case, rng)
    outer = Outer(head)
    outer.dense.initialize(mx.init.Normal(1.0))
    outer.cast("float64")
    image, label = mx.nd.array(rng.normal(size=(B, D)), dtype="float64"), mx.nd.array(LABEL)
    start = head.scheduled()

    def three_calls():
        results = []
        for factor in (1.0, 0.5, 0.25):
            for name, value in start.items():
                head.set_scheduled(name, value * factor)
            with mx.autograd.record():
                loss, logits, _ = outer(image, label)
            loss.backward()
            grads = [p.grad().asnumpy() for p in outer.collect_params().values() if p.grad_req != "null"]
            results.append([loss.asnumpy(), logits.asnumpy(), *grads])
        return results

    eager = three_calls()
    outer.hybridize(static_alloc=static, static_shape=static)
    hybridised = three_calls()
    for one, other in zip(eager, hybridised):
        for a, b in zip(one, other):
            assert_close(b, a, 1e-12)
    if any(value > 0 for value in start.values()):
        assert not np.allclose(eager[0][0], eager[1][0]), "the scheduled values have no effect"
    alone = case.build(C, D)
    alone.initialize()
    alone.hybridize(static_alloc=static, static_shape=static)
    alone.cast("float64")
    for name, parameter in alone._reg_params.items():
        parameter.set_data(getattr(head, name).data())
    assert_close(alone(outer.dense(image), label)[0].asnumpy(), eager[2][0], 1e-12)


@every_head
def test_two_devices_equal_one(case, rng):
    devices = [mx.cpu(0), mx.cpu(1)]
    one = built(case, rng)
    two = case.build(C, D)
    two.initialize(ctx=devices)
    two.cast("float64")
    for name, parameter in two._reg_params.items():
        parameter.set_data(getattr(one, name).data())
    embedding = rng.normal(size=(B, D))
    _, _, expected = cases.gradients(one, embedding, LABEL)
    for hybridised in (False, True):
        two.hybridize(hybridised)
        shards = [
            (mx.nd.array(x, ctx=device, dtype="float64"), mx.nd.array(y, ctx=device))
            for x, y, device in zip(np.split(embedding, [2]), np.split(LABEL, [2]), devices)
        ]
        with mx.autograd.record():
            losses = [two(x, y)[0] for x, y in shards]
        mx.autograd.backward(losses)
        for name in cases.learned(one):
            total = sum(gradient.asnumpy() for gradient in getattr(two, name).list_grad())
            assert_close(total, expected[name], 1e-12, name)
        for x, _ in shards:
            assert two.predict(x).context == x.context
    for name, value in one.scheduled().items():
        two.set_scheduled(name, value / 2)
        assert {float(array.asscalar()) for array in getattr(two, name).list_data()} == {value / 2}


@every_head
@pytest.mark.parametrize("hybridised", [False, True])
def test_float16_embeddings_are_computed_in_float32(case, rng, hybridised):
    head = built(case, rng, "float32")
    head.hybridize(hybridised)
    embedding = rng.normal(size=(B, D)).astype(np.float16)
    expected = cases.gradients(head, embedding.astype(np.float32), LABEL)
    outer = Outer(head)
    outer.head.cast("float16")
    assert all(parameter.data().dtype == np.float32 for parameter in head.collect_params().values())
    label = mx.nd.array([4, 3, 1, 1, 0, 3], dtype="int64")
    head(mx.nd.array(embedding, dtype="float16"), label)
    loss, logits, gradient = cases.gradients(head, embedding, LABEL)
    assert (loss.dtype, logits.dtype, gradient["embedding"].dtype) == (np.float32, np.float32, np.float16)
    np.testing.assert_array_equal(loss, expected[0])
    np.testing.assert_array_equal(logits, expected[1])
    np.testing.assert_allclose(gradient["embedding"], expected[2]["embedding"], rtol=1e-3, atol=1e-6)
    assert head.predict(mx.nd.array(embedding, dtype="float16")).dtype == np.float32


@every_head
def test_float32_is_close_to_float64(case, rng):
    head = built(case, rng, "float32", embedding_size=64)
    embedding = rng.normal(size=(B, 64)).astype(np.float32)
    loss, logits, gradient = cases.gradients(head, embedding, LABEL)
    head.cast("float64")
    assert all(parameter.data().dtype == np.float64 for parameter in head.collect_params().values())
    expected_loss, expected_logits, expected = cases.gradients(head, embedding.astype(np.float64), LABEL)
    assert expected_loss.dtype == np.float64
    assert_close(loss, expected_loss, 1e-5)
    assert_close(logits, expected_logits, 1e-5)
    for name, value in expected.items():
        assert_close(gradient[name], value, 1e-4, name)


def assert_finite(head, embedding, label, what):
    loss, logits, gradient = cases.gradients(head, embedding.astype(np.float32), label)
    for name, value in {"loss": loss, "logits": logits, **gradient}.items():
        assert np.isfinite(value).all(), f"{name} is not finite: {what}"
    return loss, gradient


@every_head
@pytest.mark.parametrize("size", [2, 64, 512])
def test_finite_where_an_embedding_lies_on_a_weight_or_opposite(case, rng, size):
    classes = 50
    head = built(case, rng, "float32", classes, size)
    prototypes = head.prototypes().asnumpy()
    label = np.arange(classes)
    for factor in (1.0, -1.0, 3.7, 1e-3, -40.0):
        assert_finite(head, factor * prototypes, label, f"true class, times {factor}")
        assert_finite(head, factor * prototypes, (label + 1) % classes, f"another class, times {factor}")


@every_case
def test_finite_at_zero_and_far_away(case, rng):
    head = built(case, rng, "float32")
    embedding = rng.normal(size=(B, D))
    assert_finite(head, np.zeros((B, D)), LABEL, "zero embeddings")
    embedding[2] = 0
    assert_finite(head, embedding, LABEL, "one zero embedding")
    for factor in (1e-20, 1e-4, 1e4):
        assert_finite(head, embedding * factor, LABEL, f"embeddings times {factor}")
    name = cases.learned(head)[0]
    weight = getattr(head, name).data()
    weight[1] = 0
    assert_finite(head, embedding, LABEL, "one zero class")
    weight[:] = 0
    assert_finite(head, embedding, LABEL, "all classes zero")
    assert_finite(head, np.zeros((B, D)), LABEL, "everything zero")


@every_head
def test_an_absent_class_moves_only_by_the_softmax(case, rng):
    head = built(case, rng)
    _, _, gradient = cases.gradients(head, rng.normal(size=(B, D)), LABEL)
    weight = gradient[cases.learned(head)[0]]
    assert np.isfinite(weight).all()
    assert np.abs(weight[2]).max() > 0


@every_head
@pytest.mark.parametrize("hybridised", [False, True])
def test_a_frozen_head_still_moves_the_embedding_and_a_frozen_embedding_the_head(case, rng, hybridised):
    head = built(case, rng)
    embedding, label = rng.normal(size=(B, D)), mx.nd.array(LABEL)
    _, _, expected = cases.gradients(head, embedding, LABEL)
    head.hybridize(hybridised)
    x = mx.nd.array(embedding, dtype="float64")
    with mx.autograd.record():
        loss, _ = head(x, label)
    loss.backward()
    names = cases.learned(head)
    for name in names:
        assert_close(getattr(head, name).grad().asnumpy(), expected[name], 1e-12, name)
    for frozen in (names[:1], names):
        for name in frozen:
            getattr(head, name).grad_req = "null"
        x.attach_grad()
        with mx.autograd.record():
            loss, _ = head(x, label)
        loss.backward()
        assert_close(x.grad.asnumpy(), expected["embedding"], 1e-12)


@every_head
@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
@pytest.mark.parametrize("hybridised", [False, True])
def test_a_label_outside_the_classes_makes_its_row_nan_whatever_its_type(case, rng, dtype, hybridised):
    head = built(case, rng)
    head.hybridize(hybridised)
    embedding = rng.normal(size=(B, D))
    good = cases.gradients(head, embedding, mx.nd.array(LABEL, dtype=dtype))
    assert np.isfinite(good[0]).all()
    wrong = LABEL.copy()
    wrong[1], wrong[4] = C, -1
    loss, logits, gradient = cases.gradients(head, embedding, mx.nd.array(wrong, dtype=dtype))
    np.testing.assert_array_equal(np.isnan(loss), [False, True, False, False, True, False])
    np.testing.assert_array_equal(loss[[0, 2, 3, 5]], good[0][[0, 2, 3, 5]])
    np.testing.assert_array_equal(logits, good[1])
    assert np.abs(gradient["embedding"][[1, 4]]).max() == 0
    message = rf"`label` must be a whole number in \[0, {C}\), got 5\.?0? at position 1 \(2 of 6 labels are outside\)"
    for labels in (wrong.astype(dtype), mx.nd.array(wrong, dtype=dtype)):
        with pytest.raises(ValueError, match=message):
            head.check_labels(labels)
    head.check_labels(LABEL)
    head.check_labels(np.array([]))


@every_head
def test_a_fractional_label_is_refused(case, rng):
    head = built(case, rng)
    loss, _ = head(mx.nd.array(rng.normal(size=(3, D)), dtype="float64"), mx.nd.array([1, 1.5, float("nan")]))
    np.testing.assert_array_equal(np.isnan(loss.asnumpy()), [False, True, True])
    with pytest.raises(ValueError, match=r"got 1\.5 at position 1 \(2 of 3"):
        head.check_labels(np.array([1, 1.5, np.nan]))


@every_head
def test_saved_and_loaded_it_is_the_same_head(case, rng, tmp_path):
    head = built(case, rng, "float32")
    for name, value in head.scheduled().items():
        head.set_scheduled(name, value / 2)
    path = str(tmp_path / "head.params")
    embedding = rng.normal(size=(B, D)).astype(np.float32)
    x = mx.nd.array(embedding)
    predicted = head.predict(x).asnumpy()  # the predictor exists: the file must not hold its parameters again
    head.save_parameters(path)
    assert sorted(mx.nd.load(path)) == sorted(head._reg_params)
    other = case.build(C, D)
    other.load_parameters(path)
    assert other.scheduled() == head.scheduled()
    for one, two in zip(cases.gradients(head, embedding, LABEL)[:2], cases.gradients(other, embedding, LABEL)[:2]):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(other.predict(x).asnumpy(), predicted)


@every_head
@pytest.mark.filterwarnings("ignore:Cannot decide type for the following arguments:UserWarning")  # any block's import
def test_exported_it_predicts_from_an_embedding_alone(case, rng, tmp_path):
    head = built(case, rng, "float32")
    head.export(str(tmp_path / "head"))
    block = mx.gluon.SymbolBlock.imports(
        str(tmp_path / "head-symbol.json"), ["data"], str(tmp_path / "head-0000.params")
    )
    x = mx.nd.array(rng.normal(size=(3, D)))
    np.testing.assert_allclose(block(x).asnumpy(), head.predict(x).asnumpy(), rtol=1e-6, atol=1e-6)


@every_head
def test_parameters_keep_their_own_initialisers(case, seed):
    def start(initializer, **more):
        mx.random.seed(seed)
        head = case.build(400, 100, **more)
        net = mx.gluon.nn.HybridSequential()
        net.add(head)
        net.initialize(initializer)
        return cases.values(head)

    one, other = start(mx.init.Zero()), start(mx.init.One())
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])
    matrix = next(iter(one.values()))
    assert matrix.std() > 0.01
    name = next(iter(one))
    assert np.all(start(mx.init.Zero(), weight_initializer=mx.init.Constant(0.5))[name] == 0.5)
    assert np.all(start(mx.init.Zero(), weight_initializer="ones")[name] == 1)


@every_head
def test_scheduled_values_are_parameters_without_gradient(case):
    head = case.build(C, D)
    scheduled = head.scheduled()
    for name, value in scheduled.items():
        head.set_scheduled(name, value / 2)  # before initialisation, too
    head.initialize()
    assert head.scheduled() == {name: value / 2 for name, value in scheduled.items()}
    head.collect_params().setattr("grad_req", "write")
    for name in scheduled:
        parameter = getattr(head, name)
        assert (parameter.grad_req, parameter.shape, parameter.wd_mult) == ("null", (1,), 0.0)
        with pytest.raises(ValueError, match=rf"{type(head).__name__}: `{name}` must be .*, got -1"):
            head.set_scheduled(name, -1)
        with pytest.raises(ValueError, match=rf"`{name}` must .*, got nan"):
            head.set_scheduled(name, float("nan"))
    with pytest.raises(ValueError, match=r"`name` must be a scheduled value of this block \(.*\), got 'temperature'"):
        head.set_scheduled("temperature", 1)


@every_head
def test_describe_is_numpy(case, rng):
    head = built(case, rng, "float32")
    description = head.describe()
    assert description["metric"] in ("euclidean", "cosine", "density")
    assert description["prototypes"].shape == (C, D) == head.prototypes().shape
    for name, value in description.items():
        assert isinstance(value, (np.ndarray, float, str)) or callable(value), name
    copy = head.prototypes()
    copy[:] = 0
    assert np.abs(head.prototypes().asnumpy()).max() > 0


@every_head
def test_bad_arguments_name_argument_rule_value_and_way_out(case, rng):
    class_name = type(case.build(C, D)).__name__
    for arguments, message in [
        ({"num_classes": 0}, "`num_classes` must be an integer of at least 1, got 0"),
        ({"num_classes": 2.0}, "`num_classes` must be an integer of at least 1, got 2.0"),
        ({"embedding_size": -3}, "`embedding_size` must be an integer of at least 1, got -3"),
        ({"label_smoothing": 1.0}, r"`label_smoothing` must be in \[0, 1\), got 1.0"),
        ({"label_smoothing": -0.1}, r"`label_smoothing` must be in \[0, 1\), got -0.1"),
    ]:
        with pytest.raises(ValueError, match=f"^{class_name}: {message}. .+"):
            case.build(**arguments)
    with pytest.raises(TypeError, match="temperature"):
        case.build(temperature=1)
    head = built(case, rng, "float32")
    for shape in [(B, D + 1), (B, D, 1), (D,)]:
        with pytest.raises(ValueError, match=rf"{class_name}: `embedding` must have shape \(batch size, {D}\), got"):
            head(mx.nd.zeros(shape), mx.nd.zeros((B,)))
        with pytest.raises(ValueError, match=rf"{class_name}: `embedding` must have shape \(batch size, {D}\), got"):
            head.predict(mx.nd.zeros(shape))
    with pytest.raises(
        ValueError, match=rf"`label` must have shape \({B},\), one class id per embedding, got \(6, 5\)"
    ):
        head(mx.nd.zeros((B, D)), mx.nd.zeros((B, C)))
    with pytest.raises(ValueError, match="`dtype` must be a float type, got 'int32'"):
        head.cast("int32")
    assert repr(head).startswith(f"{class_name}(num_classes=5, embedding_size=4")


@every_head
def test_no_array_is_as_large_as_batch_times_classes_times_dimensions(case):
    head = case.build(23, 29)
    embedding, label = mx.sym.var("embedding"), mx.sym.var("label")
    symbol = mx.sym.Group(head(embedding, label))
    internals = symbol.get_internals()
    _, shapes, _ = internals.infer_shape(embedding=(31, 29), label=(31,))
    assert max(np.prod(shape) for shape in shapes) <= 31 * 29


@pytest.mark.parametrize("fault", ["loss", "gradient", "true class", "margin", "row"])
def test_a_planted_error_is_caught(fault, rng, monkeypatch):
    """The comparison itself: five small faults in the shared arithmetic, each of which it must refuse."""
    from lossbench import ops

    case = next(case for case in cases.CASES if case.name == "lgm" and case.options.get("variance") == "diagonal")
    original = ops.cross_entropy

    def faulty(F, logits, label, num_classes, smoothing, focusing):
        if fault == "true class":
            return original(F, logits, (label + 1) % num_classes, num_classes, smoothing, focusing)
        loss = original(F, logits, label, num_classes, smoothing, focusing)
        if fault == "loss":
            return loss * (1 + 1e-6)
        if fault == "gradient":
            return F.BlockGrad(loss) + (loss - F.BlockGrad(loss)) * (1 + 1e-4)
        return F.concat(
            F.slice_axis(loss, axis=0, begin=1, end=None), F.slice_axis(loss, axis=0, begin=0, end=1), dim=0
        )

    if fault == "margin":
        monkeypatch.setattr(ops, "with_true_class", lambda F, logits, *_: logits)
        faulty = original
    monkeypatch.setattr(ops, "cross_entropy", faulty)
    head = built(case, rng)
    with pytest.raises(AssertionError, match=r"loss|gradient"):
        assert_matches_reference(case, head, rng.normal(size=(B, D)))


def test_every_name_builds_from_a_config_and_has_a_case(rng):
    assert {case.name for case in cases.CASES} | {"cosface", "sphereface"} >= set(heads.HEADS)
    for name, head_class in heads.HEADS.items():
        config = {"name": name, "loss_weight": 2.0, "label_smoothing": 0.1}
        head = heads.build(config, num_classes=C, embedding_size=D)
        assert type(head) is head_class
        assert head.label_smoothing == 0.1
        assert head.config_name == heads.HEADS[head.config_name].config_name
        assert getattr(heads, head_class.__name__) is head_class
    with pytest.raises(ValueError, match="heads: `name` must be one of .*lgm.*, got 'lgn'"):
        heads.build({"name": "lgn"}, C, D)
    with registry.added(heads={"mine": heads.Softmax}):
        own = heads.build({"name": "mine", "use_bias": True}, C, D)
    assert "bias" in own._reg_params
