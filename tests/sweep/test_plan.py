"""Sweep files: what they expand to, and what is said of mistakes in them."""

from pathlib import Path

import pytest

from lossbench import config, sweep
from lossbench.config import sweep as schema
from lossbench.errors import UserError
from tests.sweep import made

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "sweeps").glob("*.yaml"))
GOOD = """\
seeds: [0, 1]
baselines: [softmax]
overrides: {trainer.epochs: 5}
variants:
  softmax: {config: softmax.yaml}
  lgm: {config: lgm.yaml, overrides: {head.margin: 0.1}}
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_sweep_loads_and_says_how_long_it_takes(path):
    plan = sweep.load(path)
    assert plan.sweep.name == path.stem
    comment = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert comment.startswith("# ")
    assert any(word in comment for word in ("minute", "hour"))


def test_a_shipped_sweep_is_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sweep.load("digits").sweep == sweep.load(SHIPPED[0].with_name("digits.yaml")).sweep
    with pytest.raises(UserError, match=r"config digit: must be a file, or the name .* Did you mean digits\?"):
        sweep.load("digit")


def test_a_run_is_what_its_command_trains(tmp_path):
    plan = made.plan(tmp_path, GOOD)
    planned = {run.name: run for run in plan.runs()}
    assert list(planned) == ["softmax/seed-0", "lgm/seed-0", "softmax/seed-1", "lgm/seed-1"]
    run = planned["lgm/seed-1"]
    assert (run.settings.head.margin, run.settings.seed, run.settings.trainer.epochs) == (0.1, 1, 5)
    words = run.command.split()
    assert words[:4] == ["python", "scripts/train.py", "--config", str(tmp_path / "lgm.yaml")]
    assert words[-2:] == ["--seed", "1"]
    assert config.load(words[3], [*words[4:-2], "seed=1"]) == run.settings


def test_a_grid_is_a_variant_for_every_combination(tmp_path):
    text = (
        GOOD
        + "  grid:\n    config: lgm.yaml\n    grid: {head.margin: [0, 0.3], trainer.precision: [float32, bfloat16]}\n"
    )
    plan = made.plan(tmp_path, text)
    found = {arm.variant: arm.settings for arm in plan.arms if arm.base == "grid"}
    assert {name: (each.head.margin, each.trainer.precision) for name, each in found.items()} == {
        "grid-margin0-precisionfloat32": (0, "float32"),
        "grid-margin0-precisionbfloat16": (0, "bfloat16"),
        "grid-margin0.3-precisionfloat32": (0.3, "float32"),
        "grid-margin0.3-precisionbfloat16": (0.3, "bfloat16"),
    }


def test_a_section_named_twice_is_merged_and_a_key_named_twice_has_the_last_value(tmp_path):
    text = GOOD.replace("{trainer.epochs: 5}", "{trainer: {epochs: 5, keep_checkpoints: 3}, data.batch_size: 32}")
    text = text.replace("{head.margin: 0.1}", "{trainer: {keep_checkpoints: 4}, data.batch_size: 64}")
    softmax, lgm = (arm.settings for arm in made.plan(tmp_path, text).arms)
    assert (softmax.trainer.epochs, softmax.trainer.keep_checkpoints, softmax.data.batch_size) == (5, 3, 32)
    assert (lgm.trainer.epochs, lgm.trainer.keep_checkpoints, lgm.data.batch_size) == (5, 4, 64)


def test_a_value_counts_where_its_own_layer_stands(tmp_path):
    """A section of an earlier layer does not come after it, nor does one of the variant after the grid's value."""
    text = GOOD.replace("{head.margin: 0.1}", "{trainer.epochs: 20}") + "data_sets: {one: {trainer: {epochs: 10}}}\n"
    assert made.plan(tmp_path, text).arms[1].settings.trainer.epochs == 20
    scales = "  a: {config: softmax.yaml, overrides: {head: {name: normface, scale: 8}}, grid: {head.scale: [4, 32]}}\n"
    plan = made.plan(tmp_path, GOOD.replace("{trainer.epochs: 5}", "{trainer.epochs: 5, head.scale: 16}").replace(
        "  softmax: {config: softmax.yaml}\n  lgm: {config: lgm.yaml, overrides: {head.margin: 0.1}}\n", scales
    ).replace("[softmax]", "[a-scale4]"))  # fmt: skip
    assert [arm.settings.head.scale for arm in plan.arms] == [4, 32]


def test_a_variant_may_choose_another_model_than_a_wider_section(tmp_path):
    text = GOOD.replace("{trainer.epochs: 5}", "{optimizer: {name: sgd, learning_rate: 0.1}}")
    text = text.replace("{head.margin: 0.1}", "{optimizer.learning_rate: 0.001, optimizer.name: adam}")
    softmax, lgm = made.plan(tmp_path, text).arms
    assert (softmax.settings.optimizer.name, softmax.settings.optimizer.learning_rate) == ("sgd", 0.1)
    assert (lgm.settings.optimizer.name, lgm.settings.optimizer.learning_rate) == ("adam", 0.001)
    assert softmax.changed({"optimizer.name": "nag"}).settings.optimizer.name == "nag"


def test_a_whole_list_takes_the_place_of_what_was_said_of_its_members(tmp_path):
    center = "regularizers: [{name: center, loss_weight: WEIGHT}]"
    text = GOOD.replace("trainer.epochs: 5", center.replace("WEIGHT", "0.1"))
    text = text.replace("head.margin: 0.1", center.replace("WEIGHT", "0.5"))
    plan = made.plan(tmp_path, text + "data_sets: {one: {regularizers.center.loss_weight: 0.2}}\n")
    assert [arm.settings.regularizers[0].loss_weight for arm in plan.arms] == [0.2, 0.5]


def test_two_names_for_one_training_are_refused(tmp_path):
    text = GOOD + "  a: {config: lgm.yaml, grid: {head.margin: [1, 1.0]}}\n"
    with pytest.raises(UserError, match=r"variants a-margin1 and a-margin1\.0 must differ, got the same settings\."):
        made.plan(tmp_path, text)
    text = GOOD.replace("[0, 1]", "[0]") + "  b: {config: softmax.yaml, overrides: {data.label_noise: 0.0}}\n"
    noisy = "data_sets: {clean: {data.label_noise: 0}, noisy: {data.label_noise: 0.2}}\n"
    assert made.plan(tmp_path, text + noisy)  # the same on one data set alone
    with pytest.raises(UserError, match="variants softmax and b must differ, got the same"):
        made.plan(tmp_path, text)
    tuned = "tune: {trials: 3, seed: 9, ranges: {softmax: {optimizer.learning_rate: LOG}, b: {data.batch_size: INT}}}\n"
    tuned = tuned.replace("LOG", LOG).replace("INT", "{kind: integer, low: 16, high: 64}")
    assert made.plan(tmp_path, GOOD + "  b: {config: softmax.yaml}\n" + tuned)  # searched over other ranges


def test_data_sets_change_configs_by_name_and_by_overrides(tmp_path):
    text = GOOD.replace("config: lgm", "config: '{data}'").replace("'{data}'.yaml", "'{data}.yaml'")
    text = text.replace(", overrides: {head.margin: 0.1}", "")
    plan = made.plan(tmp_path, text + "data_sets: {lgm: {}, normface: {data.batch_size: 32}}\n")
    found = {(arm.data_set, arm.variant): (arm.settings.head.name, arm.settings.data.batch_size) for arm in plan.arms}
    assert found == {
        ("lgm", "softmax"): ("softmax", 128), ("lgm", "lgm"): ("lgm", 128),
        ("normface", "softmax"): ("softmax", 32), ("normface", "lgm"): ("normface", 32),
    }  # fmt: skip
    assert plan.runs()[0].name == "lgm/softmax/seed-0"


LOG = "{kind: log, low: 0.01, high: 1}"
TUNED = GOOD + f"tune: {{trials: 3, seed: 9, ranges: {{softmax: {{optimizer.learning_rate: {LOG}}}}}}}\n"
SEARCHED_MARGIN = TUNED.replace("ranges: {", "ranges: {lgm: {head.margin: {kind: float, low: 0, high: 0.3}}, ")
RAMP = "{kind: linear, start: 0, end: 0.3, epochs: 1}"
MISTAKES = [
    (GOOD, "seeds: [0, 1]", "seed: [0, 1]", "seed: unknown key; did you mean `seeds`?"),
    (GOOD, "[0, 1]", "[0, 0]", "seeds: must be different, at least one, got [0, 0]. Name each once"),
    (GOOD, "[0, 1]", "[-1]", "seeds.0: must be >= 0, got -1"),
    (GOOD, "config: softmax", "confg: softmax", "variants.softmax.confg: unknown key; did you mean `config`?"),
    (GOOD, "baselines: [softmax]", "baselines: [sotfmax]", "baselines: must name variants, got 'sotfmax'; did you"),
    (GOOD, "  lgm:", "  trials:", "variants: must have other names than trials, logs, README.md"),
    (GOOD, "  lgm:", "  a/b:", "variants: must have names of letters, digits, `_`, `-` and `.`, got 'a/b'"),
    (GOOD, "  lgm:", "  README.md:", "variants: must have other names than trials, logs, README.md"),
    (GOOD, "{head.margin: 0.1}", "{seed: 5}", "variants.lgm.overrides.seed: must not be set here. Write `seeds:`"),
    (GOOD, "{trainer.epochs: 5}", "{seed: 5}", "overrides.seed: must not be set here. Write `seeds:`, which every"),
    (
        GOOD,
        "overrides: {trainer",
        "metrics: [retrieval.map_at_r]\noverrides: {evaluation.methods: [softmax, retrieval], trainer",
        "evaluation.methods must give retrieval.map_at_r, which is compared",
    ),
    (
        GOOD,
        "overrides: {trainer",
        "metrics: [retrieval.cosin.map_at_r]\noverrides: {evaluation.methods: [softmax, retrieval], trainer",
        "evaluation.methods must give retrieval.cosin.map_at_r, which is compared",
    ),
    (
        TUNED,
        "ranges: {softmax: {",
        "ranges: {softmax: {seed: {kind: integer, low: 1, high: 3}, ",
        "tune.ranges.softmax.seed: must not be set here",
    ),
    (GOOD, "baselines", "metrics: [accuracy.accuracy]\nbaselines", "evaluation.methods must give accuracy.accuracy,"),
    (
        GOOD,
        "overrides: {trainer",
        "metrics: [retrieval]\noverrides: {evaluation.methods: [softmax, retrieval], trainer",
        "evaluation.methods must give retrieval, which is compared",
    ),
    (GOOD, "lgm.yaml", "'{data}.yaml'", "variants.lgm.config: must not hold {data} without data_sets"),
    (GOOD, "head.margin", "head.margn", "sweep.yaml: variants.lgm: head.margn: unknown key; did you mean `margin`?"),
    (GOOD, "lgm.yaml", "lgn.yaml", "file must exist. Did you mean"),
    (
        GOOD,
        "overrides: {trainer",
        "split: validation\noverrides: {data.validation_fraction: 0, trainer",
        "variants.softmax: data.validation_fraction must be above 0 where validation images decide, got 0.",
    ),
    (
        GOOD,
        "baselines",
        "metrics: [accuracy, retrieval.cosine.map_at_r]\nbaselines",
        "variants.softmax: evaluation.methods must give retrieval.cosine.map_at_r, which is compared, got",
    ),
    (GOOD, "baselines", "metrics: [acuracy]\nbaselines", "Did you mean accuracy?"),
    (GOOD, "baselines", "metrics: [retrieval.cosine.map_at_R]\nbaselines", "Did you mean retrieval.cosine.map_at_r?"),
    (GOOD, "baselines", "metrics: [speed]\nbaselines", "No method gives such a number; take another metric."),
    (GOOD, "baselines", "metrics: [calibration.knn.expected_calibration_error]\nbaselines", "Add calibration, or take"),
    (GOOD, "baselines", "split: train\nbaselines", "split: must be one of test, validation, holdout, got 'train'"),
    (
        GOOD,
        "baselines",
        "metrics: [holdout.accuracy]\nbaselines",
        "data.holdout_classes must name classes where metrics",
    ),
    (
        GOOD,
        "overrides: {trainer",
        "overrides: {evaluation.splits: [validation], trainer",
        "variants.softmax: evaluation.splits must have test, which is compared, got validation. Add it.",
    ),
    (
        TUNED,
        "overrides: {trainer",
        "overrides: {data.validation_fraction: 0, trainer",
        "variants.softmax: data.validation_fraction must be above 0 where validation images decide, got 0.",
    ),
    (
        TUNED,
        "optimizer.learning_rate",
        "head.margn",
        "sweep.yaml: tune, softmax: head.margn: unknown key. Known here: loss_weight",
    ),
    (TUNED, "high: 1}", "high: 1e39}", "tune, softmax: optimizer.learning_rate: must be a number that float32 has"),
    (
        SEARCHED_MARGIN,
        "{head.margin: 0.1}",
        f"{{anneal.head.margin: {RAMP}}}",
        "tune, lgm: head.margin must be a value that stays, got one that anneal.head.margin moves. Search a key of",
    ),
    (
        GOOD,
        "overrides: {trainer",
        "metrics: [validation.memorization.fitted]\noverrides: {trainer",
        "metrics: must not take from validation what is of training images, got validation.memorization.fitted. Write",
    ),
    (
        TUNED,
        "trials: 3",
        "trials: 3, metric: memorization.corrected",
        "tune.metric: must be of validation images, got memorization.corrected. Take accuracy",
    ),
    (
        TUNED,
        "trials: 3",
        "trials: 3, metric: verification.cosine.threshold",
        "tune.metric: must be better high or better low, got verification.cosine.threshold. Take accuracy",
    ),
    (
        TUNED.replace("config: softmax.yaml}", "config: softmax.yaml, grid: {data.batch_size: [8, 16]}}").replace(
            "[softmax]", "[softmax-batch_size8]"
        ),
        "ranges: {softmax",
        "ranges: {lgm",
        "tune.ranges: must name every baseline, got none for softmax-batch_size8.",
    ),
    (TUNED, "seed: 9", "seed: 1", "tune.seed: must not be among seeds, got 1. What is chosen is trained on fresh"),
    (TUNED, "ranges: {softmax", "ranges: {lgm", "tune.ranges: must name every baseline, got none for softmax."),
    (
        TUNED,
        "{softmax: {opt",
        "{sofmax: {opt",
        "tune.ranges: must name variants, got 'sofmax'; did you mean",
    ),
    (TUNED, "low: 0.01", "low: 0", "low: must be > 0, got 0 (lower end, > 0)"),
    (TUNED, "high: 1", "high: 0.001", "high: must be above low (0.01), got 0.001. It is the upper end"),
    (TUNED, "kind: log", "kind: lgo", "kind: must name a kind (float, log, integer, choice), got 'lgo'; did you mean"),
    (TUNED, LOG, "{kind: choice, of: [1]}", "of: must be different values, at least two, got [1]. Name each once"),
    (TUNED, "trials: 3", "trials: 0", "tune.trials: must be >= 1, got 0"),
]


@pytest.mark.parametrize(("text", "good", "bad", "said"), MISTAKES, ids=[said[:40] for *_, said in MISTAKES])
def test_a_mistake_is_said_in_one_line(tmp_path, text, good, bad, said):
    assert made.plan(tmp_path, text)
    with pytest.raises(UserError) as caught:
        made.plan(tmp_path, text.replace(good, bad))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"config {tmp_path}")


@pytest.mark.parametrize("key", ["regularizers.center.loss_weight", "regularizers.0.loss_weight"])
def test_a_search_over_a_scheduled_value_is_refused_however_it_is_named(tmp_path, key):
    """Ends that the schedule reaches are no way round."""
    weights = "{kind: float, low: 0, high: 0.3}"
    center = "{regularizers: [{name: center, loss_weight: 0.1}]}"
    text = TUNED.replace("ranges: {", f"ranges: {{lgm: {{{key}: {weights}}}, ").replace("{head.margin: 0.1}", center)
    assert made.plan(tmp_path, text)
    scheduled = center.replace("{", f"{{anneal.regularizers.center.loss_weight: {RAMP}, ", 1)
    with pytest.raises(UserError, match=r"got one that anneal\.regularizers\.center\.loss_weight moves"):
        made.plan(tmp_path, text.replace(center, scheduled))


def test_a_grid_that_makes_a_name_twice_is_refused(tmp_path):
    text = GOOD + "  a-margin0.1: {config: lgm.yaml}\n  a: {config: lgm.yaml, grid: {head.margin: [0.1, 0.2]}}\n"
    with pytest.raises(UserError, match=r"variants: must have names of their own, but a grid makes a-margin0\.1 too"):
        made.plan(tmp_path, text)


def test_every_key_of_the_schema_is_described():
    for section in (schema.Sweep, schema.Variant, schema.Tuning):
        for name, field in section.model_fields.items():
            assert field.description, name
