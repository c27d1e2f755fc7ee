"""Steps on some of the classes: which are drawn, what a step makes of them, and what it leaves alone."""

import re

import numpy as np
import pytest

from lossbench import heads
from lossbench._mxnet import mx
from lossbench.training import optimizers, step
from lossbench.training.sampling import Sampling, drawn
from tests.heads import reference

SAMPLED = sorted({head for head in heads.HEADS.values() if not head.needs_all_classes}, key=lambda head: head.__name__)
VARIANTS = [
    *((head, {}) for head in SAMPLED),
    (heads.Softmax, {"use_bias": True}),
    (heads.ArcFace, {"sub_centers": 3, "label_smoothing": 0.1}),
    (heads.NormFace, {"learn_scale": True}),
    (heads.LGM, {"variance": "isotropic"}),
    (heads.LGM, {"variance": "diagonal", "variance_lr_mult": 1.0}),
]
C, D = 12, 4


class Given(mx.gluon.HybridBlock):
    """A backbone that adds a learned vector to the images, which are embeddings."""

    embedding_size = D

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.shift = self.params.get("shift", shape=(1, D), init=mx.init.Zero())

    def hybrid_forward(self, F, image, shift):
        return F.broadcast_add(image, shift)


def make(head, count=None, devices=None, optimizer="nag", seed=3, **keys):
    """A trainer that computes `count` classes a step, all of them by the head itself where there is none."""
    devices = devices or [mx.cpu()]
    mx.random.seed(3)
    window = None if count is None else head.of_classes(count)
    objective = step.Objective(Given(), head, window=window)
    for parameter in head.collect_params().values() if window else ():
        parameter.grad_req = "null"
    objective.initialize(mx.init.Xavier(), ctx=devices)
    options = {"momentum": 0.9} if optimizer in ("nag", "sgd") else {}
    values = {"learning_rate": 0.1, "weight_decay": 1e-3, **options}
    groups = optimizers.split(objective.trained_parameters(), name=optimizer, **values)
    whole = {f"head.{name}": getattr(head, name) for name in head.class_rows()} if window else None
    return step.Trainer(
        objective,
        optimizers.Optimizers(groups, devices, whole),
        devices,
        rate_factor=lambda number: 1.0,
        scheduled={},
        seed=seed,
        sampling=Sampling(head, window, seed) if window else None,
        **keys,
    )


def batches(steps, rng, size=5, classes=C):
    return [
        (rng.normal(size=(size, D)).astype(np.float32), rng.integers(0, classes, size).astype(np.int32))
        for _ in range(steps)
    ]


def everything(made):
    """Parameters and what the optimizer remembers, by name."""
    found = {name: p.list_data()[0].asnumpy().copy() for name, p in made.objective.named_parameters().items()}
    return {**found, **{name: array.asnumpy().copy() for name, array in made.optimizers.state()[0].items()}}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(other[name], value, err_msg=name)


def build(head, options, num_classes=C):
    return head(num_classes, D, **({"scale": 8.0, **options} if "scale" in head.options else options))


def test_the_classes_of_a_step_are_those_of_its_images_and_others_that_the_seed_draws():
    label = np.array([7, 0, 7, 19])
    found = [drawn(20, 8, label, seed=1, step=number) for number in range(4000)]
    for classes in found[:100]:
        assert len(classes) == 8
        assert (np.diff(classes) > 0).all()
        assert {0, 7, 19} <= {*classes.tolist()} <= {*range(20)}
    counts = np.bincount(np.concatenate(found), minlength=20)
    assert (counts[[0, 7, 19]] == 4000).all()
    others = np.delete(counts, [0, 7, 19])
    expected = 4000 * 5 / 17
    assert (abs(others - expected) < 5 * np.sqrt(expected)).all()  # drawn evenly
    assert drawn(20, 8, label, 1, 5).tolist() == drawn(20, 8, label[::-1], 1, 5).tolist()
    assert drawn(20, 8, label, 1, 5).tolist() != drawn(20, 8, label, 2, 5).tolist()
    assert drawn(20, 20, label, 1, 5).tolist() == [*range(20)]
    assert drawn(20, 3, label, 1, 5).tolist() == [0, 7, 19]


@pytest.mark.parametrize(("head", "options"), VARIANTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_all_classes_drawn_have_the_bits_of_the_whole_head(head, options, rng):
    work = batches(3, rng)
    plain, sampled = make(build(head, options)), make(build(head, options), count=C)
    for number, batch in enumerate(work):
        for made in (plain, sampled):
            made.update([batch], 1, number)
    assert_same(everything(plain), everything(sampled))
    assert plain.read_sums(1, 3) == sampled.read_sums(1, 3)


@pytest.mark.parametrize(
    ("head", "options"),
    [(heads.AdaFace, {}), (heads.AdaCos, {}), *VARIANTS[len(SAMPLED) :]],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_classes_that_are_not_drawn_stay_as_they_are(head, options, rng):
    made = make(build(head, options), count=6)
    for number, batch in enumerate(batches(4, rng)):
        before = everything(made)
        made.update([batch], 1, number)
        after, classes = everything(made), made.sampling.classes
        for name, rows in made.objective.head.class_rows().items():
            for key in {f"head.{name}", f"default/head.{name}/0"} & before.keys():
                changed = (after[key] != before[key]).reshape(C, -1).any(axis=1)
                assert set(np.flatnonzero(changed)) <= {*classes.tolist()}, key
                if rows == 1 and key.startswith("default/"):
                    assert changed[np.unique(batch[1])].all(), key
        for name in made.objective.head.state():
            assert after[f"head.{name}"] != before[f"head.{name}"]


def softmax_gradient(weight, embedding, label, scale, margin):
    """Of AM-softmax for the weights given, by central differences of the reference."""
    parameters = {"weight": weight, "scale": [scale], "margin": [margin]}

    def total(arrays):
        loss, _ = reference.batch(
            reference.cosine_head, embedding, label, {**parameters, **arrays}, true_cosine=reference.additive_cosine
        )
        return loss.sum()

    return reference.gradients(total, {"weight": weight})["weight"]


@pytest.mark.parametrize("optimizer", ["nag", "sgd"])
def test_a_step_is_that_of_the_formula_in_the_drawn_rows(optimizer, rng):
    """Weights and momentum of three steps by NumPy, row by row."""
    made = make(heads.AMSoftmax(C, D, scale=8.0, margin=0.2), count=6, optimizer=optimizer)
    weight = everything(made)["head.weight"].astype(np.float64)
    momentum, shift = np.zeros_like(weight), everything(made)["backbone.shift"].astype(np.float64)
    for number, (image, label) in enumerate(batches(3, rng)):
        made.update([(image, label)], 1, number)
        rows = drawn(C, 6, label, 3, number)
        gradient = softmax_gradient(weight[rows], image + shift, np.searchsorted(rows, label), 8.0, 0.2) / len(label)
        before, decayed = momentum[rows], gradient + 1e-3 * weight[rows]
        if optimizer == "nag":  # MXNet's decays the momentum by the weight after the update
            weight[rows] += 0.9**2 * before - 1.9 * 0.1 * decayed
            momentum[rows] = 0.9 * before - 0.1 * (gradient + 1e-3 * weight[rows])
        else:
            momentum[rows] = 0.9 * before - 0.1 * decayed
            weight[rows] += momentum[rows]
        found = everything(made)
        shift = found["backbone.shift"].astype(np.float64)
        np.testing.assert_allclose(found["head.weight"], weight, atol=2e-6)
        np.testing.assert_allclose(found["default/head.weight/0"], momentum, atol=2e-6)


def test_a_learned_threshold_is_that_of_the_head_itself(rng):
    """What has no row for a class is trained in every step."""
    made = make(heads.UniFace(C, D, scale=8.0), count=6)
    before = everything(made)["head.threshold"]
    made.update(batches(1, rng), 1, 0)
    assert made.objective.head.threshold.data().asscalar() == made.objective.window.threshold.data().asscalar()
    assert everything(made)["head.threshold"] != before


def test_rows_of_classes_that_a_head_of_ones_own_hides_are_refused():
    class Own(heads.Softmax):
        def setup(self):
            super().setup()
            self.offset = self.params.get("offset", shape=(self.num_classes,), init=mx.init.Zero())

    text = "head.sample: Own.offset must be registered by `_class_parameter`, got a shape that depends on the classes."
    with pytest.raises(ValueError, match=re.escape(text)):
        make(Own(C, D), count=6)


def test_scheduled_values_reach_the_window(rng):
    made = make(heads.ArcFace(C, D), count=6)
    made.scheduled = {"head.margin": lambda number: 0.1 + number}
    made.update(batches(1, rng), 1, 0)
    assert made.objective.window.scheduled()["margin"] == made.objective.head.scheduled()["margin"] == 0.1


def test_a_training_that_goes_on_has_the_same_bits(rng):
    work = batches(6, rng)
    undisturbed, first, second = (make(heads.AdaFace(C, D, scale=8.0), count=7) for _ in range(3))
    for number, batch in enumerate(work):
        undisturbed.update([batch], 1, number)
        if number < 3:
            first.update([batch], 1, number)
    for name, parameter in first.objective.named_parameters().items():
        second.objective.named_parameters()[name].set_data(parameter.data())
    arrays, counts = first.optimizers.state()
    second.optimizers.load_state({name: array.copy() for name, array in arrays.items()}, counts)
    second.step = 3
    for number, batch in enumerate(work[3:], 3):
        second.update([batch], 1, number)
    assert_same(everything(undisturbed), everything(second))


def test_the_batches_of_an_accumulated_update_have_their_classes_together(rng):
    made = make(heads.NormFace(C, D), count=8, accumulate_steps=2)
    work = batches(2, rng, size=4)
    made.update(work, 1, 0)
    assert {*work[0][1], *work[1][1]} <= {*made.sampling.classes.tolist()}


def test_two_devices_train_the_drawn_classes_as_one(rng):
    work = batches(3, rng)
    one, two = (make(heads.ArcFace(C, D, scale=8.0), 6, devices) for devices in ([mx.cpu()], [mx.cpu(0), mx.cpu(1)]))
    for number, batch in enumerate(work):
        one.update([batch], 1, number)
        two.update([batch], 1, number)
    for name, value in everything(one).items():
        np.testing.assert_allclose(everything(two)[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    weights = two.objective.head.weight.list_data()
    np.testing.assert_array_equal(weights[0].asnumpy(), weights[1].asnumpy())
