"""Layers of a config: base, file, command line; which one wins and what a changed name drops."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lossbench import config, registry

BASE = """
data: {source: digits, batch_size: 32, test_fraction: 0.3}
backbone: {name: lenet, embedding_size: 3}
head: {name: arcface, scale: 10, margin: 0.1, label_smoothing: 0.05}
optimizer: {name: nag, learning_rate: 0.1, momentum: 0.8, groups: [{name: slow, pattern: ^head}]}
schedule: {name: step, epochs: [2], warmup_epochs: 1}
anneal: {head.margin: {kind: linear, start: 0, end: 0.2, epochs: 1}}
trainer: {epochs: 5}
"""


def test_base_is_relative_to_the_file_and_merged_key_by_key(write, monkeypatch, tmp_path):
    write(BASE, "base/all.yaml")
    path = write("base: base/all.yaml\ntrainer: {keep_checkpoints: 7}\nhead: {scale: 12}\n", "deep.yaml")
    monkeypatch.chdir("/")
    loaded = config.load(path)
    assert (loaded.name, loaded.trainer.epochs, loaded.trainer.keep_checkpoints) == ("deep", 5, 7)
    assert (loaded.head.scale, loaded.head.margin, loaded.head.label_smoothing) == (12, 0.1, 0.05)


def test_a_base_may_have_a_base(write):
    write(BASE, "base/all.yaml")
    write("base: all.yaml\ntrainer: {keep_checkpoints: 7}\nhead: {scale: 11}\n", "base/middle.yaml")
    loaded = config.load(write("base: base/middle.yaml\nhead: {scale: 12}\n"))
    assert (loaded.trainer.epochs, loaded.trainer.keep_checkpoints) == (5, 7)
    assert (loaded.head.scale, loaded.head.margin) == (12, 0.1)


def test_a_value_that_a_schedule_below_moves_is_set_in_the_schedule(write):
    """Over a base whose `anneal` moves it, it would have no effect."""
    write(BASE, "base.yaml")
    over = write("base: base.yaml\nhead: {margin: 0.3}\n", "over.yaml")
    with pytest.raises(config.ConfigError) as raised:
        config.load(over)
    assert str(raised.value) == (
        f"config {over}: head.margin: must be set where anneal.head.margin moves it, got 0.3. Write "
        "anneal.head.margin.end=0.3, or anneal.head.margin=null if it is to stay"
    )
    path = write("base: base.yaml\n", "as_it_is.yaml")
    for overrides, margin, end in (
        (["head.margin=0.3", "anneal.head.margin.end=0.4"], 0.3, 0.4),
        (["head.margin=0.3", "anneal.head.margin=null"], 0.3, None),
        (["head.margin=0.3", "anneal={}"], 0.3, None),
        (["head.margin=0.2"], 0.2, 0.2),  # the ramp's end
    ):
        loaded = config.load(path, overrides)
        assert loaded.head.margin == margin
        assert (loaded.anneal["head.margin"].end if loaded.anneal else None) == end
    regularized = write(
        "base: base.yaml\nregularizers: [{name: ring, loss_weight: 0.1}]\n"
        "anneal: {regularizers.ring.loss_weight: {kind: piecewise, points: [[0, 0.1], [2, 0.2]]}}\n",
        "regularized.yaml",
    )
    with pytest.raises(
        config.ConfigError, match=r"regularizers.ring.loss_weight: must be set where .* got 0.3. Change anneal"
    ):
        config.load(regularized, ["regularizers.ring.loss_weight=0.3"])


def test_a_changed_name_drops_what_only_the_former_one_knows(write):
    write(BASE, "base.yaml")
    text = "base: base.yaml\nhead: {name: am_softmax}\ndata: {source: mnist}\nanneal: {head.margin: null}\n"
    loaded = config.load(write(text), ["schedule.name=one_cycle", "schedule.warmup_epochs=0", "optimizer.name=adam"])
    assert (loaded.head.scale, loaded.head.margin) == (30, 0.35), "ArcFace's values are no values of AM-Softmax"
    assert loaded.head.label_smoothing == 0.05, "what every head has stays"
    assert (loaded.data.source, loaded.data.batch_size) == ("mnist", 32)
    assert loaded.schedule.name == "one_cycle"
    assert (loaded.optimizer.learning_rate, loaded.optimizer.groups[0].name) == (0.1, "slow")
    assert dict(loaded.anneal) == {}


def test_a_name_that_shares_its_options_keeps_them(write):
    write(BASE, "base.yaml")
    assert config.load(write("base: base.yaml\n"), ["optimizer.name=sgd"]).optimizer.momentum == 0.8
    assert config.load(write("base: base.yaml\n"), ["backbone.name=convnet"]).backbone.embedding_size == 3


def test_a_list_is_replaced(write):
    write(BASE, "base.yaml")
    loaded = config.load(write("base: base.yaml\noptimizer: {groups: []}\nschedule: {epochs: [1, 3, 4]}\n"))
    assert loaded.optimizer.groups == ()
    assert loaded.schedule.epochs == (1, 3, 4)


@pytest.mark.parametrize(
    ("override", "reach", "value"),
    [
        ("seed=3", lambda c: c.seed, 3),
        ("name=other", lambda c: c.name, "other"),
        ("optimizer.learning_rate=1e-3", lambda c: c.optimizer.learning_rate, 0.001),
        ("optimizer.learning_rate=1", lambda c: c.optimizer.learning_rate, 1.0),
        ("optimizer.learning_rate=.5E+1", lambda c: c.optimizer.learning_rate, 5.0),
        ("data.augment.flip=true", lambda c: c.data.augment.flip, True),
        ("data.root=no", lambda c: c.data.root, "no"),
        ("data.root=2024-01-31", lambda c: c.data.root, "2024-01-31"),
        ("data.root='1e-3'", lambda c: c.data.root, "1e-3"),
        ("data.root=a=b", lambda c: c.data.root, "a=b"),
        ("init_from=null", lambda c: c.init_from, None),
        ("init_from=", lambda c: c.init_from, None),
        (" trainer.epochs = 9", lambda c: c.trainer.epochs, 9),
        ("data.normalize.mean=[0.1, 2e-1]", lambda c: c.data.normalize.mean, (0.1, 0.2)),
        ("data.normalize={std: [1]}", lambda c: c.data.normalize.std, (1.0,)),
        ("schedule.epochs.1=3", lambda c: c.schedule.epochs, (2, 3)),
        ("schedule.epochs.0=1", lambda c: c.schedule.epochs, (1, 3)),
        ("regularizers.center.loss_weight=0.1", lambda c: c.regularizers[0].loss_weight, 0.1),
        ("regularizers.1.loss_weight=0.1", lambda c: c.regularizers[1].loss_weight, 0.1),
        ("regularizers.ring={radius: auto}", lambda c: c.regularizers[1].radius, "auto"),
        ("regularizers=[]", lambda c: c.regularizers, ()),
        ("optimizer.groups.0.lr_mult=2", lambda c: c.optimizer.groups[0].lr_mult, 2.0),
        ("optimizer.groups.slow.schedule=false", lambda c: c.optimizer.groups[0].schedule, False),
        ("anneal.head.margin.end=0.4", lambda c: c.anneal["head.margin"].end, 0.4),
        ("anneal.head.margin=null", lambda c: dict(c.anneal), {}),
        ("anneal={}", lambda c: dict(c.anneal), {}),
        ("anneal.head.scale={kind: linear, start: 1, end: 9, steps: 3}", lambda c: c.anneal["head.scale"].steps, 3),
        ("evaluation.methods=[knn]", lambda c: c.evaluation.methods, ("knn",)),
    ],
)
def test_overrides_are_typed_as_yaml(load, override, reach, value):
    got = reach(load(override))
    assert got == value
    assert type(got) is type(value)


def test_an_override_of_a_list_member_leaves_the_others_alone(load):
    before, after = load(), load("regularizers.center.loss_weight=0.1", "optimizer.groups.slow.wd_mult=0")
    assert after.regularizers[0].alpha == 0.25
    assert config.differences(before, after) == ["regularizers.center.loss_weight", "optimizer.groups.slow.wd_mult"]


def test_a_name_counts_before_options_whatever_their_order(load):
    anneal = "anneal.head.margin=null"
    first = load("head.name=am_softmax", "head.margin=0.25", anneal)
    second = load("head.margin=0.25", "head.name=am_softmax", anneal)
    assert first == second
    assert second.head.margin == 0.25


def test_the_last_of_two_overrides_wins(load):
    assert load("seed=1", "seed=2").seed == 2


def test_an_anneal_can_be_put_together_from_overrides(load):
    overrides = ["anneal.head.scale.start=1", "anneal.head.scale.end=8", "anneal.head.scale.steps=5"]
    scale = load(*overrides, "anneal.head.scale.kind=linear").anneal["head.scale"]
    assert (scale.kind, scale.start, scale.end, scale.steps) == ("linear", 1, 8, 5)


def test_options_of_ones_own_backbones_and_data_are_free(load, write):
    overrides = ["backbone={name: net, depth: {a: [1, 2]}}", "data={source: photos, side: 9}"]
    with registry.added(backbones={"net": print}, sources={"photos": print}):
        loaded = load(*overrides, "regularizers=[]")
        assert (loaded.backbone.depth, loaded.data.side, loaded.data.batch_size) == ({"a": [1, 2]}, 9, 128)
        assert config.load(write(config.dump(loaded))) == loaded


def test_a_config_cannot_be_changed(load):
    loaded = load()
    for section, key in ((loaded, "seed"), (loaded.head, "margin"), (loaded.optimizer.groups[0], "lr_mult")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(section, key, 1)


def test_differences_name_keys_in_the_order_of_the_file(load):
    changed = load("trainer.epochs=6", "head.name=normface", "anneal.head.margin=null", "seed=1")
    assert config.differences(load(), load()) == []
    keys = config.differences(load(), changed)
    assert keys[:3] == ["seed", "head.name", "head.scale"]
    assert {"head.margin", "head.learn_scale", "anneal.head.margin.end", "trainer.epochs"} <= set(keys)


def test_import_needs_no_mxnet():
    code = "import sys, lossbench.config; print(sorted({'mxnet', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


CONFIGS = Path(__file__).parents[2] / "configs"
RAMP = "{kind: linear, start: 0, end: 0.2, epochs: 2}"


@pytest.mark.parametrize(
    ("name", "overrides", "value", "expected"),
    [
        ("lgm_digits", [f"anneal.head.margin={RAMP}", f"anneal.head.margin={RAMP}", "anneal={}"], "anneal", {}),
        ("lgm_digits", [f"anneal.head.margin={RAMP}", "anneal.head.margin.end=0.3", "anneal={}"], "anneal", {}),
        (
            "lgm_digits",
            ["data.augment={pad: 1}", "data.augment.pad=2", "data={augment: {pad: 4}}"],
            "data.augment.pad",
            4,
        ),
        (
            "center_mnist",
            ["regularizers.center={loss_weight: 0.1}", "regularizers=[{name: center, loss_weight: 0.5}]"],
            "regularizers.0.loss_weight",
            0.5,
        ),
        (
            "lgm_digits",
            ["optimizer={name: sgd}", "optimizer.learning_rate=0.5", "optimizer.name=adam"],
            "optimizer.name",
            "adam",
        ),
        ("lgm_digits", ["optimizer.name=adam", "optimizer={name: sgd, momentum: 0}"], "optimizer.name", "sgd"),
        ("lgm_digits", ["head.scale=20", "head.name=normface", "anneal={}"], "head.scale", 20),
    ],
)
def test_of_a_section_and_what_is_in_it_the_later_counts(name, overrides, value, expected):
    """But a model is chosen before its keys are set, however they follow."""
    found = config.load(CONFIGS / f"{name}.yaml", overrides)
    for key in value.split("."):
        found = found[int(key)] if key.isdigit() else getattr(found, key)
    assert found == expected
