"""Center loss and ring loss: the contract, the published updates, and what earlier implementations got wrong."""

import numpy as np
import pytest

from lossbench import registry, regularizers, testing
from lossbench._mxnet import mx
from lossbench.heads import LGM, Softmax
from lossbench.regularizers import CenterLoss, RingLoss
from tests.heads import reference

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])

BUILD = {
    "center": lambda **options: CenterLoss(C, D, **{"loss_weight": 0.3, **options}),
    "ring": lambda **options: RingLoss(**{"loss_weight": 0.3, "radius": 1.5, **options}),
}
every_regularizer = pytest.mark.parametrize("name", BUILD)


def built(name, rng, dtype="float64", ctx=None, **options):
    regularizer = BUILD[name](**options)
    regularizer.initialize(ctx=ctx)
    regularizer.cast(dtype)
    if name == "center":
        regularizer.centers.set_data(mx.nd.array(rng.normal(size=(C, D)), dtype=dtype))
    return regularizer


def learned(regularizer):
    return {"center": "centers", "ring": "radius"}[regularizer.config_name]


def run(regularizer, embedding, label=LABEL):
    """Penalty, gradient of the embedding, gradient of the parameter."""
    x = mx.nd.array(embedding, dtype=embedding.dtype)
    x.attach_grad()
    with mx.autograd.record():
        penalty = regularizer(x, mx.nd.array(label))
    penalty.backward()
    parameter = getattr(regularizer, learned(regularizer))
    return penalty.asnumpy(), x.grad.asnumpy(), parameter.grad().asnumpy()


def expected_penalty(regularizer, embedding, label=LABEL):
    """Sample by sample in float64."""
    weight = regularizer.scheduled()["loss_weight"]
    if regularizer.config_name == "center":
        centers = regularizer.centers.data().asnumpy()
        return np.array([weight * 0.5 * sum((x - centers[y]) ** 2) for x, y in zip(embedding, label)])
    radius = regularizer.radius.data().asscalar()
    return np.array([weight * 0.5 * (reference.norm(x) - radius) ** 2 for x in embedding])


def paper_update(centers, embedding, label, alpha):
    """c_j - alpha sum (c_j - x_i) / (1 + n_j), class by class."""
    moved = centers.copy()
    for j in range(len(centers)):
        own = embedding[label == j]
        moved[j] -= alpha * sum((centers[j] - x for x in own), np.zeros(centers.shape[1])) / (1 + len(own))
    return moved


def ring(embedding, label, parameters, **_):
    """Ring loss, sample by sample."""
    (weight,), (radius,) = parameters["loss_weight"], parameters["radius"]
    return np.array([weight * 0.5 * (reference.norm(x) - max(radius, 1e-3)) ** 2 for x in embedding])


SECOND = {RingLoss: (ring, {"loss_weight": 0.3, "radius": 1.5})}


@pytest.mark.parametrize("regularizer", dict.fromkeys(registry.REGULARIZERS.built_in().values()))
def test_the_contract(regularizer):
    second, options = SECOND.get(regularizer, (None, {}))
    testing.check_regularizer(regularizer, second, [options])


@every_regularizer
def test_penalty_and_embedding_gradient_are_those_of_the_second_implementation(name, rng):
    regularizer = built(name, rng)
    embedding = rng.normal(size=(B, D))
    penalty, gradient, _ = run(regularizer, embedding)
    np.testing.assert_allclose(penalty, expected_penalty(regularizer, embedding), rtol=1e-9)
    arrays = {"embedding": embedding}
    total = reference.gradients(lambda a: expected_penalty(regularizer, a["embedding"]).sum(), arrays)
    np.testing.assert_allclose(gradient, total["embedding"], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss_weight", [0.0, 0.003, 1.0, 50.0])
@pytest.mark.parametrize("hybridized", [False, True])
def test_trainer_step_is_exactly_the_papers_update_of_the_centers(loss_weight, hybridized, rng):
    center = built("center", rng, loss_weight=loss_weight, alpha=0.4)
    if hybridized:
        center.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(center.collect_params(), "sgd", {"learning_rate": center.alpha})
    for size in (6, 6, 3, 1):  # a short batch, too
        embedding, label = rng.normal(size=(size, D)), rng.integers(0, C - 1, size)  # class 4 is always absent
        before = center.centers.data().asnumpy()
        run(center, embedding, label)
        trainer.step(size)
        np.testing.assert_allclose(
            center.centers.data().asnumpy(), paper_update(before, embedding, label, 0.4), rtol=1e-6, atol=1e-6
        )  # an optimizer holds its learning rate in float32


def test_published_example_of_the_center_loss():
    """ShownX's port has losses 0.25, 2.25, 8 and centers (0.3333, 0), (0, 0.6667): it divides by the class counts."""
    center = CenterLoss(2, 2, loss_weight=1, alpha=0.5, weight_initializer="zeros")
    center.initialize()
    trainer = mx.gluon.Trainer(center.collect_params(), "sgd", {"learning_rate": 0.5})
    penalty, gradient, _ = run(center, np.array([[1, 0], [3, 0], [0, 4]], np.float32), np.array([0, 0, 1]))
    trainer.step(3)
    np.testing.assert_allclose(penalty, [0.5, 4.5, 8.0])
    np.testing.assert_allclose(gradient, [[1, 0], [3, 0], [0, 4]])
    np.testing.assert_allclose(center.prototypes().asnumpy(), [[2 / 3, 0], [0, 1]], rtol=1e-6)


def test_on_two_devices_the_centers_take_the_weighted_mean_of_the_shards_updates(rng):
    devices = [mx.cpu(0), mx.cpu(1)]
    center = built("center", rng, ctx=devices)
    center.hybridize()
    settings = {"learning_rate": center.alpha}
    trainer = mx.gluon.Trainer(center.collect_params(), "sgd", settings, kvstore="device", update_on_kvstore=False)
    embedding, before = rng.normal(size=(B, D)), center.centers.list_data()[0].asnumpy()
    shards = [(embedding[:2], LABEL[:2]), (embedding[2:], LABEL[2:])]
    with mx.autograd.record():
        penalties = [
            center(mx.nd.array(x, ctx=d, dtype="float64"), mx.nd.array(y, ctx=d)) for (x, y), d in zip(shards, devices)
        ]
    mx.autograd.backward(penalties)
    trainer.step(B)
    expected = sum(len(x) / B * paper_update(before, x, y, center.alpha) for x, y in shards)
    for copy in center.centers.list_data():
        np.testing.assert_allclose(copy.asnumpy(), expected, rtol=1e-6)


def test_on_two_devices_the_ring_is_that_of_one(rng):
    embedding = rng.normal(size=(B, D))
    expected = run(built("ring", rng), embedding)[2]
    devices = [mx.cpu(0), mx.cpu(1)]
    ring = built("ring", rng, ctx=devices)
    with mx.autograd.record():
        penalties = [
            ring(mx.nd.array(x, ctx=d, dtype="float64"), mx.nd.array(y, ctx=d))
            for x, y, d in zip(np.split(embedding, [2]), np.split(LABEL, [2]), devices)
        ]
    mx.autograd.backward(penalties)
    np.testing.assert_allclose(sum(g.asnumpy() for g in ring.radius.list_grad()), expected, rtol=1e-12)
    ring.calibrate(mx.nd.array([[3, 4]], dtype="float64"))
    assert [radius.asscalar() for radius in ring.radius.list_data()] == [5, 5]


def test_centers_are_kept_out_of_clipping_schedule_momentum_and_decay():
    center = CenterLoss(C, D, alpha=0.3)
    (group,) = center.default_groups()
    assert group == {
        "name": "centers",
        "pattern": "centers$",
        "optimizer": "sgd",
        "learning_rate": 0.3,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "clip_global_norm": 0.0,
        "schedule": False,
    }
    assert center.centers.wd_mult == 0


def test_frozen_centers_still_draw_the_embeddings(rng):
    center = built("center", rng)
    expected = run(center, np.ones((B, D)))[:2]
    center.centers.grad_req = "null"
    for hybridized in (False, True):
        center.hybridize(hybridized)
        x = mx.nd.ones((B, D), dtype="float64")
        x.attach_grad()
        with mx.autograd.record():
            penalty = center(x, mx.nd.array(LABEL))
        penalty.backward()
        np.testing.assert_array_equal(penalty.asnumpy(), expected[0])
        np.testing.assert_array_equal(x.grad.asnumpy(), expected[1])


def test_the_likelihood_of_the_identity_lgm_is_the_center_loss(rng):
    center = built("center", rng, loss_weight=0.7)
    embedding, label = mx.nd.array(rng.normal(size=(B, D)), dtype="float64"), mx.nd.array(LABEL)
    losses = []
    for weight in (0.7, 0.0):
        head = LGM(C, D, margin=0, likelihood_weight=weight)
        head.initialize()
        head.cast("float64")
        head.mean.set_data(center.centers.data())
        losses.append(head(embedding, label)[0].asnumpy())
    np.testing.assert_allclose(center(embedding, label).asnumpy(), losses[0] - losses[1], rtol=1e-9)


class Outer(mx.gluon.HybridBlock):
    """A foreign model with a head and a regularizer inside."""

    def __init__(self, head, regularizer):
        super().__init__()
        with self.name_scope():
            self.dense = mx.gluon.nn.Dense(D, in_units=D)
            self.head, self.regularizer = head, regularizer

    def hybrid_forward(self, F, image, label):
        embedding = self.dense(image)
        return self.head(embedding, label)[0] + self.regularizer(embedding, label)


@every_regularizer
@pytest.mark.parametrize("static", [False, True])
def test_hybridized_equals_eager_also_when_the_loss_weight_moves(name, static, rng):
    regularizer, head = built(name, rng), Softmax(C, D)
    outer = Outer(head, regularizer)
    head.initialize()
    outer.dense.initialize(mx.init.Normal(1.0))
    outer.cast("float64")
    image, label = mx.nd.array(rng.normal(size=(B, D)), dtype="float64"), mx.nd.array(LABEL)

    def three_calls():
        results = []
        for weight in (0.3, 0.6, 0.0):
            regularizer.set_scheduled("loss_weight", weight)
            with mx.autograd.record():
                loss = outer(image, label)
            loss.backward()
            gradients = [p.grad().asnumpy() for p in outer.collect_params().values() if p.grad_req != "null"]
            results.append([loss.asnumpy(), *gradients])
        return results

    eager = three_calls()
    outer.hybridize(static_alloc=static, static_shape=static)
    for one, other in zip(eager, three_calls()):
        for a, b in zip(one, other):
            np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)
    assert not np.allclose(eager[0][0], eager[1][0])
    regularizer.hybridize(static_alloc=static, static_shape=static)
    regularizer(outer.dense(image), label)  # alone, too, and without a warning


@every_regularizer
def test_float16_embeddings_are_computed_in_float32(name, rng):
    regularizer = built(name, rng, "float16")
    embedding = rng.normal(size=(B, D)).astype(np.float16)
    penalty, gradient, parameter = run(regularizer, embedding)
    expected = run(regularizer, embedding.astype(np.float32))
    assert (penalty.dtype, gradient.dtype, parameter.dtype) == (np.float32, np.float16, np.float32)
    np.testing.assert_array_equal(penalty, expected[0])
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-3, atol=1e-5)


@every_regularizer
@pytest.mark.parametrize("factor", [0.0, 1e-20, 1.0, 1e4])
def test_finite_at_zero_and_far_away(name, factor, rng):
    for found in run(built(name, rng, "float32"), (factor * rng.normal(size=(B, D))).astype(np.float32)):
        assert np.isfinite(found).all()


@every_regularizer
def test_saved_and_loaded_it_is_the_same(name, rng, tmp_path):
    regularizer = built(name, rng, "float32")
    regularizer.set_scheduled("loss_weight", 0.125)
    path = str(tmp_path / "regularizer.params")
    regularizer.save_parameters(path)
    other = BUILD[name]()
    other.load_parameters(path)
    assert other.scheduled() == {"loss_weight": 0.125}
    x, label = mx.nd.array(rng.normal(size=(B, D))), mx.nd.array(LABEL)
    np.testing.assert_array_equal(regularizer(x, label).asnumpy(), other(x, label).asnumpy())


@every_regularizer
def test_built_from_a_config_and_bad_arguments(name):
    (regularizer,) = regularizers.build([{"name": name, "loss_weight": 0.25}], C, D)
    assert regularizer.config_name == name
    assert regularizer.scheduled() == {"loss_weight": 0.25}
    regularizer.initialize()
    class_name = type(regularizer).__name__
    with pytest.raises(ValueError, match=f"{class_name}: `loss_weight` must be at least 0, got -1. .+"):
        BUILD[name](loss_weight=-1)
    with pytest.raises(ValueError, match=f"{class_name}: `embedding` must have shape"):
        regularizer(mx.nd.zeros((B, D, 1)), mx.nd.zeros(B))
    with pytest.raises(ValueError, match=f"{class_name}: `label` must have shape"):
        regularizer(mx.nd.zeros((B, D)), mx.nd.zeros(B - 1))


def test_unknown_names_and_bad_options():
    with pytest.raises(ValueError, match="regularizers: `name` must be one of center, ring, got 'centre'"):
        regularizers.build([{"name": "centre"}], C, D)
    for options, message in [
        ({"alpha": 1.5}, r"`alpha` must be in \[0, 1\], got 1.5"),
        ({"alpha": -0.1}, r"`alpha` must be in \[0, 1\], got -0.1"),
        ({"num_classes": 0}, "`num_classes` must be an integer of at least 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=f"^CenterLoss: {message}. .+"):
            CenterLoss(**{"num_classes": C, "embedding_size": D, **options})
    for radius in (0, -1, float("nan"), "big"):
        with pytest.raises(
            ValueError, match=f"^RingLoss: `radius` must be at least 0.001 or 'auto', got {radius!r}. .+"
        ):
            RingLoss(radius=radius)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_a_label_outside_the_classes_makes_its_row_nan_and_moves_no_center(dtype, rng):
    center = built("center", rng)
    wrong = LABEL.copy()
    wrong[0], wrong[4] = C, -1
    x = mx.nd.array(rng.normal(size=(B, D)), dtype="float64")
    with mx.autograd.record():
        penalty = center(x, mx.nd.array(wrong, dtype=dtype))
    penalty.backward()
    np.testing.assert_array_equal(np.isnan(penalty.asnumpy()), [True, False, False, False, True, False])
    assert np.abs(center.centers.grad().asnumpy()[[0, 4]]).max() == 0
    with pytest.raises(ValueError, match=r"CenterLoss: `label` must be a whole number in \[0, 5\), got 5"):
        center.check_labels(wrong)


def test_the_gradient_of_the_radius_is_that_of_the_formula(rng):
    ring, embedding = built("ring", rng), rng.normal(size=(B, D))
    _, _, gradient = run(ring, embedding)
    norms = np.linalg.norm(embedding, axis=1)
    np.testing.assert_allclose(gradient, [-0.3 * (norms - 1.5).sum()], rtol=1e-6)


def test_the_radius_stays_positive_and_comes_back():
    ring = RingLoss(loss_weight=1.0)
    ring.initialize()
    ring.radius.set_data(mx.nd.array([-2.0]))
    penalty, _, gradient = run(ring, np.full((3, 4), 0.5, np.float32), np.zeros(3))
    np.testing.assert_allclose(penalty, 0.5 * (1 - 1e-3) ** 2, rtol=1e-5)
    np.testing.assert_allclose(gradient, [-3 * (1 - 1e-3)], rtol=1e-5)
    assert ring.radius.wd_mult == 0
    trainer = mx.gluon.Trainer(ring.collect_params(), "sgd", {"learning_rate": 0.5, "wd": 1e-3})
    for _ in range(40):
        run(ring, np.full((3, 4), 0.5, np.float32), np.zeros(3))
        trainer.step(3)
    assert ring.radius.data().asscalar() == pytest.approx(1.0, rel=1e-3)


def test_auto_radius_is_calibrated_once(rng):
    ring = RingLoss(radius="auto")
    ring.initialize()
    assert ring.needs_calibration
    embedding = rng.normal(size=(B, D))
    expected = np.linalg.norm(embedding, axis=1).mean()
    assert ring.calibrate(embedding) == pytest.approx(expected)
    assert ring.radius.data().asscalar() == pytest.approx(expected)
    assert not ring.needs_calibration
    assert not RingLoss(radius=3).needs_calibration
    for bad in (np.zeros((2, 3)), np.full((2, 3), np.nan)):
        with pytest.raises(ValueError, match="RingLoss: `embedding` must have a mean length of at least 0.001, got"):
            ring.calibrate(bad)
