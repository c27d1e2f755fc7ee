"""L-GM: the precision of its distances, its variance, and what earlier ports got wrong."""

import numpy as np
import pytest

from lossbench._mxnet import mx
from lossbench.heads import LGM, Softmax
from tests.heads import cases

every_variance = pytest.mark.parametrize("variance", ["identity", "isotropic", "diagonal"])


def lgm(mean, log_variance=None, *, variance="identity", dtype="float64", **options):
    """A head with the given means and log variances."""
    mean = np.asarray(mean, dtype=np.float64)
    head = LGM(*mean.shape, variance=variance, **options)
    head.initialize()
    head.cast(dtype)
    head.mean.set_data(mx.nd.array(mean, dtype=dtype))
    if log_variance is not None:
        head.set_log_variance(np.asarray(log_variance))
    return head


def training(head, images, labels, steps, learning_rate):
    """Train a small network and the head together; return the last loss."""
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(16), mx.gluon.nn.BatchNorm(), mx.gluon.nn.Activation("relu"))
    net.add(mx.gluon.nn.Dense(head.embedding_size))
    net.initialize(mx.init.Xavier())
    net.hybridize()
    head.hybridize(static_alloc=True, static_shape=True)
    parameters = {**net.collect_params(), **head.collect_params()}
    trainer = mx.gluon.Trainer(parameters, "nag", {"learning_rate": learning_rate, "momentum": 0.9, "wd": 5e-4})
    images, labels = mx.nd.array(images), mx.nd.array(labels)
    for _ in range(steps):
        with mx.autograd.record():
            loss, _ = head(net(images), labels)
        loss.backward()
        trainer.step(len(labels))
    return loss.asnumpy()


@every_variance
def test_float32_keeps_1e_3_where_embeddings_and_means_share_an_offset(variance, rng):
    classes, size, rows = 50, 64, 20
    mean = 100 + rng.normal(size=(classes, size))
    label = rng.integers(0, classes, rows)
    for spread in (1.0, 0.1):
        embedding = (mean[label] + spread * rng.normal(size=(rows, size))).astype(np.float32)
        head = lgm(mean, variance=variance, dtype="float32")
        if variance != "identity":
            head.set_log_variance(rng.normal(size=head.raw_log_variance.shape))
        loss, logits, gradient = cases.gradients(head, embedding, label)
        head.cast("float64")
        exact = cases.gradients(head, embedding.astype(np.float64), label)
        np.testing.assert_allclose(loss, exact[0], rtol=1e-3)
        np.testing.assert_allclose(logits, exact[1], rtol=1e-3)
        for name, value in exact[2].items():
            np.testing.assert_allclose(gradient[name], value, rtol=0, atol=1e-3 * np.abs(value).max(), err_msg=name)


def test_the_true_class_keeps_its_digits_where_classes_are_far_apart(rng):
    mean = 300 * rng.normal(size=(10, 16))
    label = np.arange(10)
    embedding = (mean + 0.1 * rng.normal(size=mean.shape)).astype(np.float32)
    head = lgm(mean, dtype="float32", likelihood_weight=1.0)
    expected = 0.5 * ((embedding - head.mean.data().asnumpy().astype(np.float64)) ** 2).sum(axis=1)
    loss, _ = head(mx.nd.array(embedding), mx.nd.array(label))
    np.testing.assert_allclose(loss.asnumpy(), expected, rtol=1e-4)


@every_variance
def test_no_distance_is_negative(variance, rng):
    """On its own mean the expanded square is rounded to either side of 0."""
    mean = 30 * rng.normal(size=(200, 64))
    head = lgm(mean, variance=variance, dtype="float32")
    half_log_det = 0.0
    if variance != "identity":
        head.set_log_variance(rng.uniform(-1, 1, size=head.raw_log_variance.shape))
        half_log_det = 0.5 * np.broadcast_to(head.log_variance().asnumpy(), mean.shape).sum(axis=1)
    distance = -head.predict(head.mean.data()).asnumpy() - half_log_det
    assert distance.min() > -1e-4
    loss, _ = head(head.mean.data(), mx.nd.arange(200))
    assert np.isfinite(loss.asnumpy()).all()


@pytest.mark.parametrize(
    ("embedding", "expected", "slope"),
    [((13, 0), 60.0, 20.0), ((16, 0), 120.0, 20.0), ((0, 100), 0, 0), ((5, 0), 0, 0)],
)
def test_log_probabilities_are_exact_at_any_distance(embedding, expected, slope):
    """LeeJuly30's and gluonfr's ports say 18.42 to the first three, with gradient 0, and 0.0027 to the last."""
    head = lgm([[0, 0], [20, 0]], dtype="float32", margin=0, likelihood_weight=0)
    loss, _, gradient = cases.gradients(head, np.array([embedding], dtype=np.float32), np.array([0]))
    np.testing.assert_allclose(loss, [expected], rtol=1e-5, atol=3e-6)  # oneDNN's log_softmax is that far off
    np.testing.assert_allclose(gradient["embedding"], [[slope, 0]], rtol=1e-5, atol=3e-4)


@pytest.mark.parametrize(("size", "variance"), [(64, 0.1), (128, 0.5), (256, 2.0), (512, 1.0)])
def test_the_log_determinant_is_a_sum_of_logarithms(size, variance):
    """A product of 64 variances of 0.1 is 0 in float32, one of 256 of 2 is infinite."""
    head = lgm(np.zeros((2, size)), np.full((2, size), np.log(variance)), variance="diagonal", dtype="float32")
    _, logits = head(mx.nd.zeros((1, size)), mx.nd.zeros(1))
    np.testing.assert_allclose(logits.asnumpy(), -0.5 * size * np.log(variance), rtol=1e-5, atol=1e-4)


def test_the_log_determinant_enters_logits_and_likelihood(rng):
    """The authors' own code has neither."""
    embedding, mean = rng.normal(size=(1, 3)), rng.normal(size=(2, 3))
    log_variance = np.array([[0.5], [-0.3]])
    head = lgm(mean, log_variance, variance="isotropic", margin=0, likelihood_weight=1.0)
    loss, logits = head(mx.nd.array(embedding, dtype="float64"), mx.nd.array([0]))
    distance = 0.5 * ((embedding - mean) ** 2).sum(axis=1) * np.exp(-log_variance[:, 0])
    expected = -distance - 1.5 * log_variance[:, 0]
    np.testing.assert_allclose(logits.asnumpy(), [expected])
    entropy = np.log(np.exp(expected).sum()) - expected[0]
    np.testing.assert_allclose(loss.asnumpy(), entropy + distance[0] + 1.5 * 0.5)


def test_a_variance_of_one_does_not_scale_the_distance(rng):
    """yuyijie1995's port sums 1/var over the dimensions: its logits are D times too large."""
    embedding, mean = mx.nd.array(rng.normal(size=(4, 10)), dtype="float64"), rng.normal(size=(3, 10))
    expected = lgm(mean).predict(embedding).asnumpy()
    for variance, columns in (("isotropic", 1), ("diagonal", 10)):
        head = lgm(mean, np.zeros((3, columns)), variance=variance)
        np.testing.assert_allclose(head.predict(embedding).asnumpy(), expected)


def test_the_margin_does_not_count_calls(rng):
    """A Python step counter is frozen by hybridize and advanced by validation and by every device."""
    head = LGM(3, 2)
    head.initialize()
    head.hybridize(static_alloc=True, static_shape=True)
    embedding, label = mx.nd.array(rng.normal(size=(4, 2))), mx.nd.array([0, 1, 2, 0])
    first = head(embedding, label)[0].asnumpy()
    for _ in range(50):
        last = head(embedding, label)[0].asnumpy()
    np.testing.assert_array_equal(first, last)
    head.set_scheduled("margin", 0.0)
    head.set_scheduled("likelihood_weight", 0.0)
    assert (head(embedding, label)[0].asnumpy() < first).all()


def test_identity_without_margin_is_softmax_with_a_bias(rng):
    head, plain = LGM(5, 4, margin=0, likelihood_weight=0), Softmax(5, 4, use_bias=True)
    for block in (head, plain):
        block.initialize()
        block.cast("float64")
    mean = rng.normal(size=(5, 4))
    head.mean.set_data(mx.nd.array(mean))
    plain.weight.set_data(mx.nd.array(mean))
    plain.bias.set_data(mx.nd.array(-0.5 * (mean**2).sum(axis=1)))
    embedding, label = rng.normal(size=(6, 4)), np.array([0, 1, 2, 3, 4, 0])
    loss, logits, gradient = cases.gradients(head, embedding, label)
    expected_loss, expected_logits, expected = cases.gradients(plain, embedding, label)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    np.testing.assert_allclose(logits, expected_logits - 0.5 * (embedding**2).sum(axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(gradient["embedding"], expected["embedding"], rtol=1e-5, atol=1e-7)
    through_bias = expected["weight"] - expected["bias"][:, None] * mean
    np.testing.assert_allclose(gradient["mean"], through_bias, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(100, 64), (10, 512), (64, 64)])
def test_means_start_with_the_standard_deviation_of_caffes_msra(shape):
    head = LGM(*shape)
    head.initialize(mx.init.Zero())
    assert head.mean.data().asnumpy().std() == pytest.approx(np.sqrt(2 / shape[1]), rel=0.05)


@pytest.mark.parametrize(("variance", "shape"), [("isotropic", (5, 1)), ("diagonal", (5, 4))])
def test_the_log_variance_starts_at_0_above_its_floor_and_can_be_set(variance, shape, rng):
    head = LGM(5, 4, variance=variance)
    head.initialize(mx.init.One())
    assert head.raw_log_variance.shape == shape
    np.testing.assert_allclose(head.log_variance().asnumpy(), np.zeros(shape), atol=1e-6)
    wanted = rng.uniform(-3.9, 30, size=shape)
    for value in (wanted, mx.nd.array(wanted)):
        head.set_log_variance(value)
        np.testing.assert_allclose(head.log_variance().asnumpy(), wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(head.describe()["log_variance"], head.log_variance().asnumpy())
    for value, rule in [
        (wanted.T[:, :2], "have shape"),
        (wanted * 0 - 4, "be finite and above the floor -4, got -4.0"),
    ]:
        with pytest.raises(ValueError, match=f"LGM: `log_variance` must {rule}"):
            head.set_log_variance(value)
    with pytest.raises(ValueError, match="above the floor"):
        head.set_log_variance(np.full(shape, np.nan))


def test_the_identity_has_no_variance_to_set():
    head = LGM(5, 4)
    head.initialize()
    assert sorted(head._reg_params) == ["likelihood_weight", "margin", "mean"]
    np.testing.assert_array_equal(head.log_variance().asnumpy(), np.zeros((5, 1)))
    with pytest.raises(ValueError, match="`variance` must be learned to set the log variance, got 'identity'"):
        head.set_log_variance(np.zeros((5, 1)))


@pytest.mark.parametrize("floor", [-1.0, -4.0, -20.0])
def test_precision_is_exact_from_the_floor_to_large_variances(floor):
    above = np.array([1e-3, 0.5, 1.0, 4.0, 15.0, 40.0])
    head = lgm(np.zeros((6, 1)), floor + above[:, None], variance="diagonal", log_variance_floor=floor, dtype="float32")
    distance = -head.predict(mx.nd.ones((1, 1))).asnumpy()[0] - 0.5 * head.log_variance().asnumpy()[:, 0]
    # Against the log variance that the head holds: float32 resolves `above` no better than that.
    expected = 0.5 * np.exp(-head.log_variance().asnumpy()[:, 0].astype(np.float64))
    np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize("variance", ["isotropic", "diagonal"])
def test_at_the_floor_the_variance_is_not_dead(variance, rng):
    head = lgm(np.zeros((3, 4)), variance=variance)
    head.raw_log_variance.set_data(mx.nd.full(head.raw_log_variance.shape, -3.0))
    _, _, gradient = cases.gradients(head, rng.normal(size=(5, 4)) + 2, np.array([0, 1, 2, 0, 1]))
    assert head.log_variance().asnumpy().min() > -4
    assert np.abs(gradient["raw_log_variance"]).min() > 0


@pytest.mark.parametrize("variance", ["isotropic", "diagonal"])
def test_training_with_a_fast_variance_stays_finite(variance, rng):
    """The likelihood has no lower bound: without a floor the variances of these tight classes go to 0."""
    label = rng.integers(0, 4, 64)
    images = rng.normal(size=(4, 8))[label] + 0.01 * rng.normal(size=(64, 8))
    head = LGM(4, 16, variance=variance, variance_lr_mult=1)
    head.initialize()
    loss = training(head, images, label, steps=250, learning_rate=0.05)
    log_variance = head.log_variance().asnumpy()
    assert np.isfinite(loss).all()
    assert loss.mean() < -0.5
    assert -4 <= log_variance.min() < -1


@pytest.mark.parametrize("variance", ["isotropic", "diagonal"])
def test_the_natural_gradient_is_the_gradient_times_a_small_variance(variance, rng):
    mean, label = rng.normal(size=(5, 4)), np.array([0, 1, 1, 4, 3])
    embedding, log_variance = rng.normal(size=(5, 4)), rng.uniform(-3, 2, size=(5, 1 if variance == "isotropic" else 4))
    plain, natural = (
        cases.gradients(lgm(mean, log_variance, variance=variance, natural_gradient=chosen), embedding, label)
        for chosen in (False, True)
    )
    np.testing.assert_array_equal(plain[0], natural[0])
    np.testing.assert_array_equal(plain[1], natural[1])
    factor = np.exp(np.minimum(log_variance, 0))
    assert factor.min() < 0.9 < factor.max()
    np.testing.assert_allclose(natural[2]["mean"], factor * plain[2]["mean"], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(natural[2]["embedding"], factor[label] * plain[2]["embedding"], rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(natural[2]["raw_log_variance"], plain[2]["raw_log_variance"])


@pytest.mark.parametrize("variance", ["isotropic", "diagonal"])
def test_a_fast_variance_does_not_upset_a_high_learning_rate(variance, rng):
    """Without the natural gradient the isotropic one ends in NaN here, whatever the seed."""
    label = rng.integers(0, 4, 64)
    images = rng.normal(size=(4, 8))[label] + 0.01 * rng.normal(size=(64, 8))
    head = LGM(4, 3, variance=variance, variance_lr_mult=1)  # which switches the natural gradient on
    head.initialize()
    loss = training(head, images, label, steps=250, learning_rate=0.1)
    assert np.isfinite(loss).all()
    assert loss.mean() < -0.3
    assert -4 <= head.log_variance().asnumpy().min() < -1


def test_multipliers_reach_the_parameters():
    head = LGM(3, 2, variance="diagonal", variance_lr_mult=0.06, mean_lr_mult=2, mean_wd_mult=1)
    assert (head.mean.lr_mult, head.mean.wd_mult) == (2, 1)
    assert (head.raw_log_variance.lr_mult, head.raw_log_variance.wd_mult) == (0.06, 0)
    default = LGM(3, 2, variance="diagonal")
    assert (default.mean.lr_mult, default.mean.wd_mult, default.raw_log_variance.lr_mult) == (1, 0, 0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": -0.1}, "`margin` must be at least 0, got -0.1"),
        ({"likelihood_weight": -1}, "`likelihood_weight` must be at least 0, got -1"),
        ({"likelihood_weight": float("inf")}, "`likelihood_weight` must be at least 0, got inf"),
        ({"variance": "full"}, "`variance` must be one of identity, isotropic, diagonal, got 'full'"),
        ({"log_variance_floor": 0}, r"`log_variance_floor` must be in \[-50, 0\), got 0"),
        ({"variance_lr_mult": -1}, "`variance_lr_mult` must be at least 0, got -1"),
        ({"mean_wd_mult": "1"}, "`mean_wd_mult` must be at least 0, got '1'"),
        ({"margin": True}, "`margin` must be at least 0, got True"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^LGM: {message}. .+"):
        LGM(3, 2, **options)
