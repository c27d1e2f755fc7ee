"""Every config that ships: it loads, says only what differs from a base that says everything, and survives a dump."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lossbench import config, registry
from tests import floors

CONFIGS = Path(__file__).parents[2] / "configs"
EXPERIMENTS = sorted(CONFIGS.glob("*.yaml"))
BASES = sorted((CONFIGS / "base").glob("*.yaml"))
SOURCES = ("mnist", "fashion_mnist", "cifar10_short")
EVERYWHERE = ("l2_softmax", "normface", "am_softmax", "arcface", "l_softmax", "a_softmax", "center", "ring")
ALL_LOSSES = {
    block.config_name for family in (registry.HEADS, registry.REGULARIZERS) for block in family.built_in().values()
}
# Every loss on every source for which it ships a config; on CIFAR-10 each does.
TRAINED = [
    (loss, source)
    for loss in sorted(ALL_LOSSES)
    for source in SOURCES
    if source == "cifar10_short" or (CONFIGS / f"{loss}_{source}.yaml").exists()
]
STATED = ("softmax", "lgm", *EVERYWHERE)  # each of their floors
NAMES = {
    *("softmax_digits", "lgm_digits"),
    *("softmax_mnist", "lgm_mnist", "lgm_mnist_100d", "softmax_fashion_mnist", "lgm_fashion_mnist"),
    *("softmax_cifar10", "lgm_cifar10", "lgm_cifar10_warmup", "softmax_cifar10_short", "lgm_cifar10_short"),
    *("lgm_cifar10_diagonal_short", "softmax_cifar100", "lgm_cifar100", "center_only_mnist"),
    *("softmax_mnist_open", "lgm_mnist_open"),
    *(f"{loss}_{source}" for loss in EVERYWHERE for source in SOURCES),
}
SPEAK_FOR_THEMSELVES = {
    *("batch_size", "std", "embedding_size", "momentum", "weight_decay", "warmup_epochs", "factor", "epochs"),
    "checkpoint_every_epochs",
}


def has_floor(loss, source):
    return "# Floor:" in (CONFIGS / f"{loss}_{source}.yaml").read_text(encoding="utf-8")


def ids(path):
    return path.stem


def leaves(value, path=()):
    """(path, value) of all that is no mapping with keys."""
    if isinstance(value, dict) and (value or not path):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    return [(path, value)]


def plain(path):
    """A file as PyYAML has it: a second reader, that takes 5e-4 for text."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_that_the_promised_configs_are_there():
    assert NAMES <= {path.stem for path in EXPERIMENTS}


@pytest.mark.parametrize(("loss", "source"), [pair for pair in TRAINED if pair[0] in STATED or has_floor(*pair)])
def test_the_floor_of_every_loss_is_stated(loss, source):
    floor, epochs, accuracy = floors.stated(CONFIGS / f"{loss}_{source}.yaml")
    assert 0 < accuracy - floor < 5
    assert epochs in {"cifar10_short": [2], "fashion_mnist": [3], "mnist": [3, 12]}[source]


@pytest.mark.parametrize("path", EXPERIMENTS + BASES, ids=ids)
def test_dump_loads_equal(path, tmp_path):
    loaded = config.load(path)
    for comments in (False, True):
        copy = tmp_path / "config.yaml"
        copy.write_text(config.dump(loaded, comments=comments), encoding="utf-8")
        again = config.load(copy)
        assert again == loaded
        assert again.name == path.stem
        assert config.differences(again, loaded) == []


@pytest.mark.parametrize("path", BASES, ids=ids)
def test_a_base_names_every_key_and_describes_it(path):
    stated = {key for key, _ in leaves(plain(path))}
    resolved = {key for key, _ in leaves(yaml.safe_load(config.dump(config.load(path))))}
    of_the_head = {("head", option) for option in registry.HEADS.get("softmax").options}
    assert resolved - stated - of_the_head == {("name",)}
    keys = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(r" *\w+: ", line)]
    without = {line.split(":")[0].strip() for line in keys if "#" not in line}
    assert without <= SPEAK_FOR_THEMSELVES


@pytest.mark.parametrize("path", EXPERIMENTS, ids=ids)
def test_an_experiment_says_only_what_differs(path):
    stated = plain(path)
    base = plain(path.parent / stated.pop("base"))
    base = {
        **base,
        "head": base["head"] if base["head"]["name"] == stated.get("head", base["head"]).get("name") else {},
    }
    inherited = dict(leaves(base))
    repeated = [key for key, value in leaves(stated) if inherited.get(key, stated) == value]
    assert repeated == []


@pytest.mark.parametrize("path", EXPERIMENTS, ids=ids)
def test_an_experiment_opens_with_what_it_is_and_how_long_it_takes(path):
    comment = path.read_text(encoding="utf-8").split("base:")[0]
    assert comment.startswith("# ")
    assert re.search(r"\b(minutes?|hours?|hour)\b", comment)
    assert any(word in comment for word in ("CIFAR-100", "faces in")) == ("Not trained here" in comment)


@pytest.mark.parametrize(("loss", "source"), [pair for pair in TRAINED if pair[0] not in ("softmax", "lgm")])
def test_every_loss_is_compared_with_softmax_under_the_same_recipe(loss, source):
    softmax, own = (config.load(CONFIGS / f"{name}_{source}.yaml") for name in ("softmax", loss))
    differing = {key.split(".")[0] for key in config.differences(softmax, own)}
    assert differing <= {"name", "head", "regularizers", "anneal"}
    named = {own.head.name, *(regularizer.name for regularizer in own.regularizers)}
    assert loss in named


WITHOUT_MARGIN = ("lgm_cifar10_short", "glyphs_lgm")
WITH_MARGIN = [path for path in EXPERIMENTS if "lgm" in path.stem and path.stem not in WITHOUT_MARGIN]


@pytest.mark.parametrize("path", WITH_MARGIN, ids=ids)
def test_lgm_ramps_to_its_values_over_the_first_tenth(path):
    loaded = config.load(path)
    ramps = {name: loaded.anneal[f"head.{name}"] for name in ("margin", "likelihood_weight")}
    for name, ramp in ramps.items():
        assert ramp.end == getattr(loaded.head, name)
        assert ramp.epochs == pytest.approx(loaded.trainer.epochs / 10)
    assert ramps["margin"].start == pytest.approx(ramps["margin"].end / 10)
    assert ramps["likelihood_weight"].start == pytest.approx(ramps["likelihood_weight"].end / 100)
    assert loaded.head.mean_wd_mult == 1


def test_the_full_recipe_is_the_published_one():
    loaded = config.load(CONFIGS / "lgm_cifar10.yaml")
    assert (loaded.backbone.name, loaded.backbone.embedding_size, loaded.data.batch_size) == ("resnet20", None, 128)
    assert (loaded.head.name, loaded.head.margin, loaded.head.likelihood_weight) == ("lgm", 0.3, 0.2)
    assert loaded.head.variance == "identity"
    assert (loaded.optimizer.name, loaded.optimizer.learning_rate, loaded.optimizer.momentum) == ("nag", 0.1, 0.9)
    assert loaded.optimizer.weight_decay == 5e-4
    assert (loaded.schedule.name, loaded.schedule.epochs, loaded.schedule.factor) == ("step", (150, 225), 0.1)
    assert (loaded.data.augment.pad, loaded.data.augment.flip, loaded.data.validation_fraction) == (4, True, 0)
    assert loaded.trainer.epochs == 300


@pytest.mark.parametrize(
    ("one", "other", "sections"),
    [
        ("softmax_cifar10", "lgm_cifar10", {"head", "anneal"}),
        ("softmax_cifar10_short", "lgm_cifar10_short", {"head", "optimizer"}),
        ("softmax_mnist", "lgm_mnist", {"head", "anneal"}),
        ("softmax_fashion_mnist", "lgm_fashion_mnist", {"head", "anneal"}),
        ("lgm_mnist", "lgm_fashion_mnist", {"data"}),
        ("lgm_mnist", "lgm_mnist_100d", {"backbone"}),
        ("softmax_mnist_open", "lgm_mnist_open", {"head", "anneal"}),
        ("softmax_mnist", "softmax_mnist_open", {"data", "backbone", "trainer", "evaluation"}),
        ("lgm_cifar10", "lgm_cifar100", {"data"}),
        ("lgm_cifar10", "lgm_cifar10_warmup", {"anneal", "schedule", "trainer"}),
        ("lgm_cifar10", "lgm_cifar10_short", {"head", "anneal", "optimizer", "schedule", "trainer"}),
        ("lgm_cifar10", "lgm_cifar10_diagonal_short", {"head", "anneal", "schedule", "trainer"}),
    ],
)
def test_what_is_compared_differs_in_what_it_says(one, other, sections):
    differing = config.differences(*(config.load(CONFIGS / f"{name}.yaml") for name in (one, other)))
    assert {key.split(".")[0] for key in differing} == {"name", *sections}


def test_a_loss_is_swapped_in_one_line_and_the_way_out_of_another_losss_schedule_leads_out():
    settings = config.load("softmax_digits", ["head={name: arcface}"])
    assert settings.head.name == "arcface"
    asked = ["head={name: arcface}"]
    with pytest.raises(config.ConfigError, match="anneal.head.likelihood_weight: must name a value") as refused:
        config.load("lgm_digits", asked)
    way_out = re.search(r"\. (\S+) takes it out", str(refused.value))[1]
    assert config.load("lgm_digits", [*asked, way_out]).anneal.keys() == {"head.margin"}
    assert not config.load("lgm_digits", [*asked, "anneal={}"]).anneal
