"""The step and the loop, on a small network and real digits."""

import copy

import numpy as np
import pytest
from sklearn.datasets import load_digits

from lossbench._mxnet import mx
from lossbench.heads import LGM, Softmax
from lossbench.training import loop, optimizers
from lossbench.training import step as trainer
from lossbench.training.position import Position
from tests.training.test_optimizers import section


class Batches:
    """The whole of some digits in order, as `data.Batches` hands them out."""

    def __init__(self, count=120, batch_size=20):
        digits = load_digits()
        self.images = (digits.images[:count, None] / 16).astype(np.float32)
        self.labels = digits.target[:count].astype(np.int32)
        self.batch_size = batch_size

    def __len__(self):
        return len(self.images) // self.batch_size

    def updates(self, each):
        return len(self) // each

    def epoch(self, epoch, start=0):
        for step in range(start, len(self)):
            rows = slice(step * self.batch_size, (step + 1) * self.batch_size)
            yield self.images[rows], self.labels[rows]


class Linear(mx.gluon.nn.Dense):
    embedding_size = 8

    def __init__(self, **kwargs):
        super().__init__(8, in_units=64, activation="tanh", **kwargs)


def make(head=None, devices=None, frozen=(), scheduled=None, options=None, **keys):
    devices = devices or [mx.cpu()]
    mx.random.seed(3)
    head = head or Softmax(10, 8)
    objective = trainer.Objective(Linear(), head, **(options or {}))
    objective.initialize(mx.init.Xavier(), ctx=devices)
    for name in frozen:
        objective.named_parameters()[name].grad_req = "null"
    groups = optimizers.split(objective.named_parameters(), **section("nag", momentum=0.9))
    return trainer.Trainer(
        objective,
        optimizers.Optimizers(groups, devices),
        devices,
        rate_factor=lambda step: 1.0,
        scheduled=scheduled or {},
        **keys,
    )


def values(made):
    return {name: p.list_data()[0].asnumpy() for name, p in made.objective.named_parameters().items()}


def fit(made, batches=None, epochs=2, **hooks):
    rows = []
    hooks = loop.Hooks(epoch_ended=rows.append, **hooks)
    position = loop.fit(made, batches or Batches(), Position(), epochs=epochs, hooks=hooks)
    return position, rows


def test_it_learns_and_reports_each_epoch():
    made = make()
    position, rows = fit(made, epochs=15)
    assert [row["epoch"] for row in rows] == list(range(1, 16))
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[-1]["accuracy"] > 0.9
    assert (position.epoch, made.step) == (16, 90)


def test_loss_and_accuracy_of_an_epoch_are_means_over_its_images():
    made = make()
    made.optimizers.update = lambda images, factor: None
    batches = Batches()
    _, (row,) = fit(made, batches, epochs=1)
    loss, logits = made.objective.head(
        made.objective.backbone(mx.nd.array(batches.images)), mx.nd.array(batches.labels, dtype="int32")
    )
    assert row["loss"] == pytest.approx(loss.mean().asscalar(), rel=1e-5)
    assert row["accuracy"] == pytest.approx((logits.asnumpy().argmax(1) == batches.labels).mean())


def test_two_devices_train_as_one():
    one, two = make(), make(devices=[mx.cpu(0), mx.cpu(1)])
    for name, parameter in two.objective.named_parameters().items():
        parameter.set_data(mx.nd.array(values(one)[name]))
    _, (row_of_one, _) = fit(one)
    _, (row_of_two, _) = fit(two)
    for name, value in values(one).items():
        np.testing.assert_allclose(values(two)[name], value, rtol=1e-4, atol=1e-6)
    assert row_of_two["loss"] == pytest.approx(row_of_one["loss"], rel=1e-5)


def test_accumulated_batches_make_the_update_of_one_large_batch():
    small, large = make(accumulate_steps=3), make()
    fit(small, Batches(batch_size=20))
    fit(large, Batches(batch_size=60))
    assert small.step == large.step == 4
    for name, value in values(large).items():
        np.testing.assert_allclose(values(small)[name], value, rtol=1e-4, atol=1e-6)


def test_class_weights_weigh_the_samples():
    weighted = make(options={"class_weights": [2.0] + [0.0] * 9})
    batches = Batches()
    image, label = mx.nd.array(batches.images), mx.nd.array(batches.labels, dtype="int32")
    plain, _ = weighted.objective.head(weighted.objective.backbone(image), label)
    loss, _ = weighted.objective(image, label)
    expected = np.where(batches.labels == 0, 2 * plain.asnumpy(), 0)
    np.testing.assert_allclose(loss.asnumpy(), expected, rtol=1e-5)


def test_a_scheduled_value_follows_its_schedule_in_the_compiled_step():
    head = LGM(10, 8, margin=0.5)
    made = make(head, scheduled={"head.margin": lambda step: 0.1 * step})
    seen = []
    fit(made, epochs=1, advanced=lambda position, fresh: seen.append(head.scheduled()["margin"]))
    assert seen == pytest.approx([0.1 * step for step in range(6)])


def test_the_first_step_of_a_bad_loss_is_named():
    batches = Batches(count=1800, batch_size=10)
    batches.images[10 * 63] = np.nan  # the 64th step: found at the check after the 100th
    made = make()
    with pytest.raises(
        trainer.NonFiniteLoss, match=r"loss is nan at epoch 1, step 64 \(learning_rate 0\.1, head softmax\)"
    ):
        fit(made, batches)


def test_nothing_is_saved_after_a_bad_step():
    batches, saved = Batches(count=600, batch_size=10), []
    batches.images[10 * 7] = np.inf
    made = make()
    with pytest.raises(trainer.NonFiniteLoss, match="step 8 "):
        loop.fit(
            made,
            batches,
            Position(),
            epochs=1,
            hooks=loop.Hooks(checkpoint=lambda position: saved.append(made.step)),
            checkpoint_every_steps=4,
        )
    assert saved == [4]


def test_a_parameter_without_gradient_is_refused():
    class Forgetful(Linear):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.unused = self.params.get("unused", shape=(2,))

        def hybrid_forward(self, F, x, weight, bias=None, unused=None):
            return super().hybrid_forward(F, x, weight, bias)

    objective = trainer.Objective(Forgetful(), Softmax(10, 8))
    objective.initialize()
    groups = optimizers.split(objective.named_parameters(), **section())
    made = trainer.Trainer(
        objective, optimizers.Optimizers(groups, [mx.cpu()]), [mx.cpu()], rate_factor=lambda step: 1.0, scheduled={}
    )
    with pytest.raises(
        ValueError, match=r"trainer: every trainable parameter must get a gradient, got none for backbone\.unused"
    ):
        fit(made)


def test_a_head_that_nothing_trains_is_refused_unless_frozen():
    made = make(options={"loss_weight": 0.0})
    with pytest.raises(ValueError, match=r"got none for head\.weight\. List it under `freeze`"):
        fit(made)


def test_frozen_parameters_stay():
    made = make(frozen=["backbone.weight"])
    before = values(made)
    fit(made)
    np.testing.assert_array_equal(values(made)["backbone.weight"], before["backbone.weight"])
    assert (values(made)["head.weight"] != before["head.weight"]).any()


@pytest.mark.parametrize("stop_after", [1, 4, 6, 9])
def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(stop_after):
    batches, epochs = Batches(), 3
    undisturbed = make()
    _, expected = fit(undisturbed, batches, epochs=epochs)

    first, saved, done = make(), {}, []

    def checkpoint(position):
        arrays, counts = first.optimizers.state()
        saved["state"] = ({key: array.copy() for key, array in arrays.items()}, copy.deepcopy(counts))
        saved["values"], saved["position"], saved["step"] = values(first), position.as_dict(), first.step

    hooks = {
        "checkpoint": checkpoint,
        "advanced": lambda position, fresh: done.append(1),
        "interrupted": lambda: len(done) == stop_after,
    }
    position, before = fit(first, batches, epochs=epochs, **hooks)
    assert first.step == stop_after == saved["step"]

    second = make()
    for name, parameter in second.objective.named_parameters().items():
        parameter.set_data(mx.nd.array(saved["values"][name]))
    second.optimizers.load_state(*saved["state"])
    second.step = saved["step"]
    rows = []
    loop.fit(
        second,
        batches,
        Position(**saved["position"]),
        epochs=epochs,
        hooks=loop.Hooks(epoch_ended=rows.append),
    )
    for name, value in values(undisturbed).items():
        np.testing.assert_array_equal(values(second)[name], value)
    timeless = [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in before + rows]
    assert timeless == [{k: v for k, v in r.items() if k not in ("seconds", "images_per_second")} for r in expected]


@pytest.mark.parametrize("every", [1, 100])
def test_an_interruption_at_the_end_of_an_epoch_saves_once(every):
    made, saved, ended = make(), [], []
    position = loop.fit(
        made,
        Batches(),
        Position(),
        epochs=3,
        hooks=loop.Hooks(
            epoch_ended=ended.append,
            checkpoint=lambda position: saved.append(made.step),
            interrupted=lambda: bool(ended),
        ),
        checkpoint_every_epochs=every,
    )
    assert saved == [6]
    assert (position.epoch, position.epoch_step) == (2, 0)


def test_the_best_epoch_is_by_validation_and_patience_counts_from_it():
    accuracies, saved = iter([0.5, 0.7, 0.7, 0.6, 0.9]), []
    made = make()
    position = loop.fit(
        made,
        Batches(),
        Position(),
        epochs=5,
        hooks=loop.Hooks(
            validate=lambda epoch: {"validation_accuracy": next(accuracies)},
            checkpoint=lambda position: saved.append(made.step),
        ),
        checkpoint_every_epochs=100,
        patience=2,
    )
    assert position.best == {"epoch": 3, "step": 18, "accuracy": 0.7}, "of equal epochs the later"
    assert position.stopped_early, "patience counts from the first of them"
    assert saved == [6, 12, 18, 24]
