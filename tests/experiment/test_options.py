"""What a config can ask for, in trainings of a few steps on the embedded digits, in this process."""

import json
import re

import numpy as np
import pytest

from lossbench import _gluon, checkpoint, config, experiment, registry
from lossbench._mxnet import mx
from lossbench.backbones import LeNet
from lossbench.errors import UserError
from lossbench.heads import Softmax

CONFIG = """\
data: {source: digits, batch_size: 128, validation_fraction: 0.1}
backbone: {name: lenet, embedding_size: 2}
head: {name: softmax}
optimizer: {name: nag, learning_rate: 0.01, weight_decay: 1e-3}
trainer: {epochs: 1, progress: none}
evaluation: {methods: [softmax], pictures: [], embeddings_every_epochs: null}
"""


@pytest.fixture
def settings(tmp_path):
    """(overrides) -> config."""
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return lambda *overrides: config.load(path, overrides)


def trained(run_dir):
    """Name -> parameter of the newest checkpoint."""
    _, arrays, _, _ = checkpoint.newest(run_dir / "checkpoints")
    return {f"{stem}.{n}": a.asnumpy() for stem, named in arrays.items() for n, a in named.items()}


def rows(run_dir):
    return [json.loads(line) for line in (run_dir / "history.jsonl").read_text().splitlines()]


def test_two_devices_and_accumulated_batches_train_about_as_one_large_batch(settings, tmp_path):
    for name, device, *overrides in [
        ("one", "cpu"),
        ("two", "cpu:0,1"),
        ("accumulated", "cpu", "data.batch_size=64", "trainer.accumulate_steps=2"),
    ]:
        experiment.run(settings(*overrides), tmp_path / name, device=device)
    one = rows(tmp_path / "one")[0]["loss"]
    assert rows(tmp_path / "two")[0]["loss"] == pytest.approx(one, rel=1e-3)
    assert rows(tmp_path / "accumulated")[0]["loss"] == pytest.approx(one, rel=1e-3)


def test_a_run_starts_from_the_parameters_of_another_and_after_a_wrong_name_in_the_same_folder(settings, tmp_path):
    experiment.run(settings(), tmp_path / "seed-1")
    started = settings(f"init_from={tmp_path}/seed-{{seed}}", "freeze=[^backbone]", "seed=1")
    experiment.run(started, tmp_path / "second")
    first, second = trained(tmp_path / "seed-1"), trained(tmp_path / "second")
    for name, value in first.items():
        if name.startswith("backbone.") and not name.endswith(("running_mean", "running_var")):
            np.testing.assert_array_equal(second[name], value, err_msg=name)
    assert (second["head.weight"] != first["head.weight"]).any()
    with pytest.raises(ValueError, match="init_from: must be a run or a checkpoint folder"):
        experiment.run(settings("init_from=/nowhere"), tmp_path / "third")
    experiment.run(settings(f"init_from={tmp_path / 'second'}"), tmp_path / "third")


def test_scheduled_values_are_those_of_the_config_whatever_the_run_had_that_it_starts_from(settings, tmp_path):
    experiment.run(settings("head={name: arcface, margin: 0.1}"), tmp_path / "first")
    second = settings("head={name: arcface, margin: 0.2}", f"init_from={tmp_path / 'first'}")
    experiment.run(second, tmp_path / "second")
    assert trained(tmp_path / "second")["head.margin"] == np.float32(0.2)


class OwnModel(mx.gluon.HybridBlock):
    """A model of the user's own, with another number of classes."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.backbone = LeNet((1, 8, 8), embedding_size=2)
            self.output = mx.gluon.nn.Dense(3, in_units=2)

    def hybrid_forward(self, F, image):
        return self.output(self.backbone(image))


@pytest.mark.parametrize("form", ["backbone", "model", "collected", "exported-0000.params"])
def test_a_run_starts_from_the_file_of_ones_own_model(form, settings, tmp_path, capsys):
    model = OwnModel()
    model.initialize()
    model.hybridize()
    model(mx.nd.zeros((1, 1, 8, 8)))
    model.backbone.save_parameters(str(tmp_path / "backbone"))
    model.save_parameters(str(tmp_path / "model"))
    model.collect_params().save(str(tmp_path / "collected"))
    model.export(str(tmp_path / "exported"))
    started = settings(f"init_from={tmp_path / form}", "freeze=[^backbone]", "trainer.progress=lines")
    experiment.run(started, tmp_path / "run")
    first, second = _gluon.named_parameters(model.backbone), trained(tmp_path / "run")
    assert len(first) == len([name for name in second if name.startswith("backbone.")])
    for name, parameter in first.items():
        np.testing.assert_array_equal(second[f"backbone.{name}"], parameter.data().asnumpy(), err_msg=name)
    assert f"Initialized {len(first)} of " in capsys.readouterr().err


def test_the_batches_that_fill_no_update_are_trained_on_where_the_short_last_batch_is(settings, tmp_path, capsys):
    overrides = ("trainer.epochs=2", "data.batch_size=64", "trainer.accumulate_steps=9", "trainer.progress=lines")
    experiment.run(settings(*overrides), tmp_path / "dropped")
    said = re.search(
        r"([\d,]+) images of ([\d,]+) left out of each epoch, what fills no update", capsys.readouterr().err
    )
    left_out, images = (int(number.replace(",", "")) for number in said.groups())
    updates = rows(tmp_path / "dropped")[0]["step"]
    assert images - left_out == updates * 9 * 64
    experiment.run(settings(*overrides, "data.drop_last=false"), tmp_path / "kept")
    assert [row["step"] for row in rows(tmp_path / "kept")] == [updates + 1, 2 * updates + 2]
    assert "left out" not in capsys.readouterr().err


def test_a_file_that_fits_no_backbone_is_refused(settings, tmp_path):
    mx.nd.save(str(tmp_path / "other"), {"features.0.weight": mx.nd.zeros((1, 2)), "w": mx.nd.zeros(3)})
    with pytest.raises(UserError, match="init_from: .*other must fit the backbone, but no parameter has the same name"):
        experiment.run(settings(f"init_from={tmp_path / 'other'}"), tmp_path / "run")
    (tmp_path / "text").write_text("weights")
    with pytest.raises(UserError, match="text: byte 0: the file must go on for 8 bytes, got 7"):
        experiment.run(settings(f"init_from={tmp_path / 'text'}"), tmp_path / "second")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("freeze=['.']", "freeze: patterns must leave a parameter to train, got ['.']. Take one out."),
        ("trainer.accumulate_steps=1000", "trainer.accumulate_steps: must be at most the "),
        ("data={source: synthetic, train_size: 1000000000000}", "arrays must fit the "),
    ],
)
def test_what_cannot_be_trained_is_refused(settings, tmp_path, override, message):
    with pytest.raises(UserError, match=re.escape(message)):
        experiment.run(settings(override), tmp_path / "run")
    assert not (tmp_path / "run" / "history.csv").exists()


def test_a_pattern_that_freezes_nothing_is_a_mistake(settings, tmp_path):
    with pytest.raises(ValueError, match=r"freeze: pattern must match a parameter, got 'bckbone'"):
        experiment.run(settings("freeze=[bckbone]"), tmp_path / "run")


def test_the_center_loss_has_its_own_optimizer_and_its_centers_are_evaluated(settings, tmp_path):
    chosen = settings("regularizers=[{name: center, loss_weight: 0.1}]", "evaluation.methods=[softmax, centers]")
    lines = experiment.describe_groups(chosen, "cpu")
    (place,) = [k for k, line in enumerate(lines) if line.startswith("  regularizers.center.centers")]
    assert "sgd, learning_rate 0.5 (constant), weight_decay 0" in lines[place - 1]
    result = experiment.run(chosen, tmp_path / "run")
    opened = experiment.open_run(tmp_path / "run", device="cpu")
    centers = trained(tmp_path / "run")["regularizers.center.centers"]
    np.testing.assert_array_equal(opened.model.description()["prototypes"], centers)
    outputs = opened.model.outputs(opened.model.images("test"))
    nearest = ((outputs["embedding"][:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
    assert result.run.metrics["last"]["test"]["accuracy_centers"] == pytest.approx((nearest == outputs["label"]).mean())


def test_centers_alone_train_with_a_frozen_head(settings, tmp_path):
    experiment.run(settings("regularizers=[{name: center}]"), tmp_path / "first")
    alone = settings(
        "regularizers=[{name: center, loss_weight: 1}]",
        "head.loss_weight=0",
        "freeze=[^head, centers$]",
        f"init_from={tmp_path / 'first'}",
    )
    experiment.run(alone, tmp_path / "alone")
    first, after = trained(tmp_path / "first"), trained(tmp_path / "alone")
    for name in ("head.weight", "regularizers.center.centers"):
        np.testing.assert_array_equal(after[name], first[name])
    assert (after["backbone.features.0.weight"] != first["backbone.features.0.weight"]).any()


def test_the_ring_starts_at_the_mean_norm_of_the_first_batch(settings, tmp_path):
    chosen = settings(
        "regularizers=[{name: ring, radius: auto}]", "optimizer.groups=[{name: r, pattern: radius, lr_mult: 0}]"
    )
    experiment.run(chosen, tmp_path / "run")
    radius = float(trained(tmp_path / "run")["regularizers.ring.radius"][0])
    fresh = experiment.Model(chosen, experiment.open_run(tmp_path / "run").model.dataset, [mx.cpu()])
    images, _ = next(experiment.new_batches(chosen, fresh.dataset).epoch(1))
    expected = np.linalg.norm(fresh.training_embedding(images).asnumpy(), axis=1).mean()
    assert radius == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "override", ["head.label_smoothing=0.1", "trainer.class_weights=[2, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
)
def test_loss_options_change_the_loss(settings, tmp_path, override):
    experiment.run(settings(), tmp_path / "plain")
    experiment.run(settings(override), tmp_path / "other")
    assert rows(tmp_path / "other")[0]["loss"] != rows(tmp_path / "plain")[0]["loss"]


@pytest.mark.parametrize(
    "optimizer",
    [
        "{name: adam, learning_rate: 1e-3}",
        "{name: sgd, learning_rate: 0.1, momentum: 0}",
        "{name: adamw, learning_rate: 1e-3, weight_decay: 0.05}",
    ],
)
def test_other_optimizers_train(settings, tmp_path, optimizer):
    experiment.run(settings(f"optimizer={optimizer}", "trainer.epochs=3"), tmp_path / "run")
    assert rows(tmp_path / "run")[-1]["loss"] < rows(tmp_path / "run")[0]["loss"]


def test_the_test_set_can_be_followed_for_curves(settings, tmp_path):
    experiment.run(settings("trainer.epochs=2", "evaluation.test_every_epochs=2"), tmp_path / "run")
    assert ["test_accuracy" in row for row in rows(tmp_path / "run")] == [False, True]


class Tempered(Softmax):
    def __init__(self, num_classes, embedding_size, *, temperature, **kwargs):
        super().__init__(num_classes, embedding_size, **kwargs)
        self.temperature = temperature


def test_a_users_own_head_trains_from_yaml(settings, tmp_path):
    with registry.added(heads={"tempered": Tempered}):
        result = experiment.run(settings("head={name: tempered, temperature: 2}"), tmp_path / "run")
        assert 0 <= result.run.metrics["last"]["test"]["accuracy"] <= 1
        assert experiment.open_run(tmp_path / "run").model.head.temperature == 2


def test_a_head_says_what_its_settings_cannot_reach(settings, tmp_path, capsys):
    experiment.run(
        settings("head={name: am_softmax, scale: 10, margin: 0.35}", "trainer.progress=lines"), tmp_path / "run"
    )
    assert "margin 0.35 keeps the loss away from 0: 10 classes in 2 dimensions" in capsys.readouterr().err
