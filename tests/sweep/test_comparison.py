"""Tables of made-up runs, against the differences computed here, and what is written of them."""

import csv
import json
import re
import resource
import shutil
import statistics as python_statistics

import numpy as np
import pytest
from scipy import stats

from lossbench import sweep
from lossbench.cli import sweep as command
from lossbench.errors import UserError
from lossbench.runs import Run
from lossbench.sweep import statistics, wording
from lossbench.sweep.comparison import Comparison
from lossbench.sweep.runner import log_of
from lossbench.sweep.timing import Timing
from tests.sweep import made

SWEEP = """\
seeds: {seeds}
baselines: [softmax, normface]
variants:
  softmax: {{config: softmax.yaml}}
  lgm: {{config: lgm.yaml}}
  normface: {{config: normface.yaml}}
"""
IMAGES = 400


def trained(folder, rng, seeds, *, arrays=True):
    """A sweep of three variants whose runs classify images that are hard for all, each variant a few more."""
    plan = made.plan(folder, SWEEP.format(seeds=list(seeds)))
    label = rng.integers(4, size=IMAGES)
    hard = rng.random(IMAGES)
    chance = {"softmax": 0.9, "lgm": 0.93, "normface": 0.9}
    values = {}
    for planned in plan.runs():
        right = hard + 0.05 * rng.standard_normal(IMAGES) < chance[planned.arm.variant]
        predicted = np.where(right, label, (label + 1) % 4)
        accuracy = float(right.mean())
        kept = {"last-test-accuracy": (predicted, label)} if arrays else None
        made.finish(folder / "out", planned, {"test": {"accuracy": accuracy}}, arrays=kept)
        values.setdefault(planned.arm.variant, {})[planned.seed] = accuracy
    return sweep.Work(plan, folder / "out"), values


def test_differences_are_taken_seed_by_seed_against_every_baseline(tmp_path, rng):
    work, values = trained(tmp_path, rng, range(8))
    (table,) = work.results().tables
    assert [side.arm.variant for side in table.sides] == sorted(
        values, key=lambda name: -python_statistics.fmean(values[name].values())
    )
    for side in table.sides:
        found = list(values[side.arm.variant].values())
        assert side.summary.mean == pytest.approx(python_statistics.fmean(found))
        assert side.summary.deviation == pytest.approx(python_statistics.stdev(found))
    pairs = {(each.variant, each.baseline): each for each in table.comparisons}
    assert set(pairs) == {("lgm", "softmax"), ("lgm", "normface"), ("normface", "softmax")}
    for (variant, baseline), each in pairs.items():
        differences = [values[variant][seed] - values[baseline][seed] for seed in range(8)]
        assert list(each.differences.values()) == pytest.approx(differences)
        expected = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
        assert (each.interval.low, each.interval.high) == pytest.approx((expected.low, expected.high))
        assert each.bootstrap.low < python_statistics.fmean(differences) < each.bootstrap.high
    ordered = sorted(pairs.values(), key=lambda each: each.p)
    assert ordered[0].adjusted == pytest.approx(min(1, 3 * ordered[0].p))
    assert pairs["lgm", "softmax"].interval.excludes_zero


def test_seeds_that_one_side_lacks_are_no_pairs(tmp_path, rng):
    work, values = trained(tmp_path, rng, range(4))
    (tmp_path / "out" / "lgm" / "seed-1" / "metrics.json").unlink()
    (table,) = work.results().tables
    found = {(each.variant, each.baseline): each.differences for each in table.comparisons}
    assert found["lgm", "softmax"] == {seed: values["lgm"][seed] - values["softmax"][seed] for seed in (0, 2, 3)}
    assert list(found["normface", "softmax"]) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("n", "has_p", "has_adjusted", "said"),
    [
        (2, False, False, "n = 2: below 6 pairs no such p can be smaller than 0.05, so none is given."),
        (6, True, False, "with 3 comparisons Holm's p can be smaller than 0.05 from 7 pairs on, so none is given."),
        (7, True, True, ""),
    ],
)
def test_too_few_seeds_get_a_sentence_in_place_of_a_p(tmp_path, rng, n, has_p, has_adjusted, said):
    work, _ = trained(tmp_path, rng, range(n))
    results = work.results()
    for each in results.tables[0].comparisons:
        assert (each.p is not None) == has_p
        assert (each.adjusted is not None) == has_adjusted
    sweep.write(results, work.out)
    page = (work.out / "README.md").read_text()
    assert said in page
    assert ("so none is given" in page) == bool(said)


def test_without_kept_images_there_is_no_bootstrap(tmp_path, rng):
    work, _ = trained(tmp_path, rng, range(3), arrays=False)
    results = work.results()
    assert not any(each.bootstrap for each in results.tables[0].comparisons)
    sweep.write(results, work.out)
    assert "bootstrap" not in (work.out / "README.md").read_text()


def test_other_test_images_are_not_compared_image_by_image(tmp_path, rng):
    work, _ = trained(tmp_path, rng, range(3))
    path = tmp_path / "out" / "lgm" / "seed-2" / "evaluation" / "last-test-accuracy.npz"
    with np.load(path) as arrays:
        np.savez(path, predicted=arrays["predicted"], label=arrays["label"][::-1])
    found = {(each.variant, each.baseline): each.bootstrap for each in work.results().tables[0].comparisons}
    assert found["lgm", "softmax"] is None
    assert found["normface", "softmax"] is not None


@pytest.mark.parametrize("changes", [{"label": np.zeros((2, 2), int)}, {"predicted": np.array(["a"])}, {}, None])
def test_a_damaged_file_of_images_is_as_if_there_were_none(tmp_path, rng, changes):
    work, _ = trained(tmp_path, rng, range(3))
    path = tmp_path / "out" / "lgm" / "seed-2" / "evaluation" / "last-test-accuracy.npz"
    if changes is None:
        path.write_bytes(b"torn")
    else:
        np.savez(path, **changes)
    found = {(each.variant, each.baseline): each.bootstrap for each in work.results().tables[0].comparisons}
    assert found["lgm", "softmax"] is None
    assert found["normface", "softmax"] is not None


def test_what_makes_other_batches_is_said(tmp_path):
    text = SWEEP.format(seeds="[0, 1]").replace("lgm.yaml}", "lgm.yaml, overrides: {data.batch_size: 32}}")
    plan = made.plan(tmp_path, text)
    for planned in plan.runs():
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
    work = sweep.Work(plan, tmp_path / "out")
    sweep.write(work.results(), work.out)
    page = (work.out / "README.md").read_text()
    reason = "not the same batches, since the configs differ in data.batch_size."
    assert f"\nlgm − softmax, lgm − normface: {reason}\n" in page
    assert page.count("not the same batches") == 1


def test_a_drawing_tells_two_long_names_apart_beside_two_baselines(tmp_path):
    text = SWEEP.format(seeds="[0, 1]")
    text += "".join(
        f"  large-margin-softmax-margin{margin}: {{config: lgm.yaml, overrides: {{head.margin: {margin}}}}}\n"
        for margin in (1, 2, 3)
    )
    text = text.replace("[softmax, normface]", "[softmax, large-margin-softmax-margin2]")
    plan = made.plan(tmp_path, text)
    for number, planned in enumerate(plan.runs()):
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5 + 0.01 * number}})
    work = sweep.Work(plan, tmp_path / "out")
    sweep.write(work.results(), work.out)
    labels = re.findall(r">([^<]+)</text>", (work.out / "differences-1.svg").read_text())
    softmax, other = labels.index("less softmax"), labels.index("less large-margin-softmax-margin2")
    for margin in (1, 3):
        name = f"large-margin-softmax-margin{margin}"
        first, second = (place for place, label in enumerate(labels) if label == name)
        assert softmax < first < other < second


def test_every_output_holds_the_numbers(tmp_path, rng):
    work, values = trained(tmp_path, rng, range(3))
    results = work.results()
    written = sweep.write(results, work.out)
    assert {path.name for path in written} == {
        "README.md",
        "runs.csv",
        "results.json",
        "report.html",
        "differences-1.svg",
    }
    with open(work.out / "runs.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    for row in rows:
        assert float(row["last.test.accuracy"]) == values[row["variant"]][int(row["seed"])]
        assert float(row["training_seconds"]) == 20
        assert (row["version_mxnet"], row["processor"], row["threads"]) == ("1.9.1", made.HERE["processor"], "2")
        assert row["precision"] == "float32"
    assert {row["head.margin"] for row in rows} == {"", "0.5"}
    assert {row["head.mean_lr_mult"] for row in rows if row["variant"] == "lgm"} != {""}
    kept = json.loads((work.out / "results.json").read_text())
    comparison = next(each for each in kept["tables"][0]["comparisons"] if each["variant"] == "lgm")
    assert comparison["differences"]["1"] == values["lgm"][1] - values["softmax"][1]
    page = (work.out / "report.html").read_text()
    assert "lgm/<wbr>seed-0" in (work.out / "report.html").read_text()
    drawing = (work.out / "differences-1.svg").read_text()
    assert drawing.strip() in page
    assert drawing.count("<circle") == 9
    assert drawing.count("<polygon") == 3
    points = {float(y) for y in re.findall(r'<circle [^>]*cy="([\d.]+)"', drawing)}
    bars = {float(y) for y, end in re.findall(r'<line [^>]*y1="([\d.]+)" y2="([\d.]+)"', drawing) if y == end}
    assert len(bars) == len(points) == 3
    assert min(abs(bar - point) for bar in bars for point in points) > 10
    lgm = python_statistics.fmean(values["lgm"].values())
    for text in (page, (work.out / "README.md").read_text()):
        assert f"{100 * lgm:.2f} ± " in text


@pytest.mark.parametrize(
    ("differences", "comparisons", "said"),
    [
        ([0.01], 1, "one pair: no interval"),
        ([0.01, 0.01], 1, "the same in every pair: no interval"),
        ([0.0625] * 8, 3, "higher by Holm's p; the same in every pair: no interval"),
        ([0.0] * 8, 1, "the same in every pair: no interval"),
        ([0.01, -0.02, 0.015], 1, "not told apart"),
        ([0.01, 0.011, 0.012], 1, "higher by the interval; too few seeds for a p"),
        ([-0.01, -0.011, -0.012, -0.01, -0.011, -0.012], 2, "lower by the interval; too few seeds for Holm's p"),
        ([0.01, 0.011, 0.012, 0.01, 0.011, 0.012], 1, "higher"),
        ([0.001] * 5 + [0.03], 1, "higher by Holm's p, not by the interval"),
        ([0.01] * 5 + [0.02, -0.001], 2, "higher by the interval, not by Holm's p"),
    ],
)
def test_what_a_comparison_allows_to_say(differences, comparisons, said):
    p = statistics.sign_flip_p(differences)
    has_p = statistics.smallest_p(len(differences)) < statistics.ALPHA
    adjusted = comparisons * p if len(differences) >= statistics.pairs_needed(comparisons) else None
    found = Comparison("a", "b", dict(enumerate(differences)), None, p if has_p else None, adjusted, ())
    assert wording.reading(found) == said


def test_rows_of_other_numbers_of_pairs_are_told_apart(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds=list(range(9))))
    for planned in plan.runs():
        if planned.arm.variant != "lgm" or planned.seed < 4:
            value = 0.5 + 0.01 * planned.seed + 0.1 * (planned.arm.variant == "lgm")
            made.finish(tmp_path / "out", planned, {"test": {"accuracy": value}})
    sweep.write(sweep.Work(plan, tmp_path / "out").results(), tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "n = 4: below 6 pairs no such p can be smaller than 0.05, so none is given there." in page


def test_rows_that_lack_pairs_have_the_p_that_they_can_have(tmp_path, rng):
    """Of 8, 8 and 6 pairs the third can have 0.031: Holm's method leaves the largest p as it is."""
    plan = made.plan(tmp_path, SWEEP.format(seeds=list(range(8))).replace("[softmax, normface]", "[softmax]")
                     + "  other: {config: lgm.yaml, overrides: {head.margin: 0.1}}\n")  # fmt: skip
    for planned in plan.runs():
        folder = tmp_path / "out" / planned.folder
        if planned.arm.variant == "other" and planned.seed > 5:
            folder.mkdir(parents=True)
            (folder / "failed.json").write_text('{"reason": "loss is nan"}')
        else:
            gain = {"softmax": 0, "lgm": 0.02, "normface": -0.03, "other": 0.05}[planned.arm.variant] * rng.uniform(
                1, 2
            )
            made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5 + gain}})
    results = sweep.Work(plan, tmp_path / "out").results()
    found = {each.variant: (len(each.differences), each.adjusted) for each in results.tables[0].comparisons}
    assert found == {
        "lgm": (8, pytest.approx(3 / 128)), "normface": (8, pytest.approx(3 / 128)), "other": (6, pytest.approx(1 / 32))
    }  # fmt: skip
    sweep.write(results, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "so none is given" not in page
    assert "2 of 8 runs of other failed: what is said of it holds for those that did not." in page
    assert "runs of lgm failed" not in page


def test_an_interval_has_the_digits_that_show_its_side_of_0():
    def written(low, high, metric="accuracy"):
        return wording.Unit(metric).interval(statistics.Interval(low, high))

    assert written(0.0012, 0.004) == "+0.12 to +0.40"
    assert written(0.00002, 0.004) == "+0.002 to +0.400"
    assert written(-0.004, -0.0000003) == "−0.40000 to −0.00003"
    assert written(-0.001, 0.001) == "−0.10 to +0.10"


def test_a_changed_source_tree_is_said(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0]"))
    for planned in plan.runs():
        folder = made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
        path = folder / "environment.json"
        git = {"commit": "a" * 40, "modified": planned.arm.variant == "lgm"}
        path.write_text(json.dumps({**json.loads(path.read_text()), "git": git}))
    sweep.write(sweep.Work(plan, tmp_path / "out").results(), tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert page.count("Trained on ") == 1
    assert page.count("(aaaaaaaaaaaa, aaaaaaaaaaaa and changes).") == 1


def test_a_page_of_others_is_not_written_over(tmp_path, rng):
    work, _ = trained(tmp_path, rng, range(2))
    (work.out / "README.md").write_text("my thesis")
    for write in (sweep.write, lambda *where: sweep.publish(*where, work.out)):
        with pytest.raises(UserError, match="must be a sweep's page, and was written by none|another folder than"):
            write(work.results(), work.out)
    assert (work.out / "README.md").read_text() == "my thesis"


def test_runs_of_another_config_are_not_published_over(tmp_path, rng):
    work, _ = trained(tmp_path, rng, range(2))
    sweep.publish(work.results(), work.out, tmp_path / "kept")
    kept = tmp_path / "kept" / "lgm" / "seed-1" / "config.yaml"
    kept.write_text(kept.read_text().replace("epochs: 2", "epochs: 3"))
    before = kept.read_bytes()
    with pytest.raises(UserError, match=r"kept/lgm/seed-1 must hold a run of lgm, got one whose config differs"):
        sweep.publish(work.results(), work.out, tmp_path / "kept")
    assert kept.read_bytes() == before


def test_a_run_that_is_to_be_measured_anew_is_called_so(tmp_path, rng):
    work, _ = trained(tmp_path, rng, range(2))
    text = (tmp_path / "sweep.yaml").read_text() + "overrides: {evaluation.k: 7}\n"
    work = sweep.Work(made.plan(tmp_path, text), work.out)
    sweep.write(work.results(), work.out)
    assert "begun: to be measured anew by its evaluation.k" in (work.out / "README.md").read_text()


def test_a_file_is_no_folder_of_a_sweep(tmp_path, rng):
    work, _ = trained(tmp_path, rng, range(1))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file must be a folder, got a file\. Give the sweep another one with --out"):
        sweep.Work(work.plan, tmp_path / "file")


def test_published_small_files_give_the_same_tables(tmp_path, rng):
    work, _ = trained(tmp_path, rng, range(3))
    results = work.results()
    (work.out / "softmax" / "seed-0" / "checkpoints").mkdir()
    (work.out / "softmax" / "seed-0" / "checkpoints" / "large").write_bytes(b"0" * 100_000)
    sweep.publish(results, work.out, tmp_path / "kept")
    assert not list((tmp_path / "kept").glob("**/checkpoints"))
    begun = work.out / "lgm" / "seed-2" / "metrics.json"
    begun.unlink()
    sweep.publish(work.results(), work.out, tmp_path / "ended")
    assert not (tmp_path / "ended" / "lgm" / "seed-2").exists()
    assert (tmp_path / "ended" / "lgm" / "seed-1" / "metrics.json").exists()
    shutil.copyfile(tmp_path / "kept" / "lgm" / "seed-2" / "metrics.json", begun)
    again = sweep.Work(work.plan, tmp_path / "kept")
    for folder, found in ((work.out, results), (again.out, again.results())):
        sweep.write(found, folder)
    for name in ("README.md", "runs.csv", "results.json", "report.html", "differences-1.svg"):
        assert (work.out / name).read_bytes() == (again.out / name).read_bytes(), name


def test_several_metrics_data_sets_and_checkpoints_have_a_table_each(tmp_path):
    plan = made.plan(
        tmp_path,
        """\
seeds: [3, 4]
baselines: [softmax]
metrics: [accuracy, retrieval.cosine.map_at_r]
overrides: {evaluation.methods: [softmax, retrieval]}
checkpoints: [last, best]
data_sets: {few: {data.num_classes: 4}, many: {data.num_classes: 8}}
variants: {softmax: {config: softmax.yaml}, lgm: {config: lgm.yaml}}
""",
    )
    for planned in plan.runs():
        value = 0.5 + 0.1 * (planned.arm.data_set == "many") + 0.01 * (planned.arm.variant == "lgm")
        measured = {"test": {"accuracy": value, "retrieval": {"cosine": {"map_at_r": value / 2}}}}
        made.finish(tmp_path / "out", planned, measured, checkpoints=("last", "best"))
    results = sweep.Work(plan, tmp_path / "out").results()
    assert results.is_complete
    assert (tmp_path / "out" / "many" / "lgm" / "seed-3").is_dir()
    places = [(table.data_set, table.metric, table.checkpoint) for table in results.tables]
    assert len(set(places)) == 8
    sweep.write(results, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "## few: retrieval, cosine, MAP@R on test images, after the last epoch" in page
    assert "## many: accuracy by logits on test images, at the epoch that was best on validation images" in page
    for table in results.tables:
        (comparison,) = table.comparisons
        assert comparison.summary.mean == pytest.approx(0.01 if table.metric == "accuracy" else 0.005)
    shutil.rmtree(tmp_path / "out" / "many")
    assert {table.data_set for table in sweep.Work(plan, tmp_path / "out").results().tables} == {"few"}


def test_metrics_of_several_splits_are_compared_in_one_sweep(tmp_path):
    plan = made.plan(
        tmp_path,
        """\
seeds: [3, 4]
baselines: [softmax]
metrics: [accuracy, holdout.retrieval.cosine.map_at_r]
overrides: {evaluation.methods: [softmax, retrieval], data.holdout_classes: [3]}
variants: {softmax: {config: softmax.yaml}, lgm: {config: lgm.yaml}}
""",
    )
    for planned in plan.runs():
        value = 0.6 if planned.arm.variant == "lgm" else 0.5
        held_out = {"retrieval": {"cosine": {"map_at_r": value / 2}}}
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": value}, "holdout": held_out})
    results = sweep.Work(plan, tmp_path / "out").results()
    assert results.is_complete
    found = [(table.split, table.metric, table.comparisons[0].summary.mean) for table in results.tables]
    assert found == [
        ("test", "accuracy", pytest.approx(0.1)),
        ("holdout", "retrieval.cosine.map_at_r", pytest.approx(0.05)),
    ]
    sweep.write(results, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "## Retrieval, cosine, MAP@R on classes never trained on, after the last epoch" in page
    assert "| accuracy by logits, test (%) | retrieval, cosine, MAP@R, holdout (%) |" in page
    assert "last.holdout.retrieval.cosine.map_at_r" in (tmp_path / "out" / "runs.csv").read_text()


def test_a_value_that_is_unavailable_is_none_and_the_run_finished(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0, 1]"))
    for planned in plan.runs():
        value = {"unavailable": "why"} if planned.name == "lgm/seed-1" else 0.5
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": value}})
    results = sweep.Work(plan, tmp_path / "out").results()
    assert results.is_complete
    assert {side.arm.variant: len(side.values) for side in results.tables[0].sides} == {
        "softmax": 2, "lgm": 1, "normface": 2,
    }  # fmt: skip


def test_failed_runs_are_counted_and_one_seed_is_called_what_it_is(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0]"))
    for planned in plan.runs():
        if planned.arm.variant == "softmax":
            made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
        elif planned.arm.variant == "lgm":
            (tmp_path / "out" / planned.folder).mkdir(parents=True)
            (tmp_path / "out" / planned.folder / "failed.json").write_text('{"reason": "loss is nan"}')
    work = sweep.Work(plan, tmp_path / "out")
    sweep.write(work.results(), work.out)
    page = (work.out / "README.md").read_text()
    assert "| variant | n | failed | mean ± sd (%) |" in page
    assert "| softmax | 1 | 0 | 50.00 |" in page
    assert "| lgm | 0 | 1 | – |" in page
    assert "| normface | 0" not in page  # not trained yet
    assert "is no evidence of a difference" in page
    assert "| lgm/seed-0 | – | failed: loss is nan |\n\n1 run not begun.\n" in page
    assert "normface/seed-0" not in page


def test_a_run_of_another_config_is_refused_by_name(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0]"))
    for planned in plan.runs():
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
    (tmp_path / "lgm.yaml").write_text((tmp_path / "lgm.yaml").read_text().replace("0.5", "0.25"))
    work = sweep.Work(sweep.load(tmp_path / "sweep.yaml"), tmp_path / "out")
    with pytest.raises(
        UserError, match=r"lgm/seed-0 must hold a run of lgm, .* differs in head\.margin\. Give the changed"
    ):
        work.results()


def test_a_run_that_lacks_a_metric_is_measured(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0]"))
    for planned in plan.runs():
        folder = made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
        (folder / "checkpoints" / "step-00000010").mkdir(parents=True)
    grown = "metrics: [accuracy, retrieval.cosine.map_at_r]\noverrides: {evaluation.methods: [softmax, retrieval]}\n"
    work = sweep.Work(made.plan(tmp_path, SWEEP.format(seeds="[0]") + grown), tmp_path / "out")
    assert [planned.name for planned, _ in work.due()] == ["softmax/seed-0", "lgm/seed-0", "normface/seed-0"]
    (table,) = work.results().tables  # what was measured stays in the tables meanwhile
    assert [len(side.values) for side in table.sides] == [1, 1, 1]
    sweep.write(work.results(), work.out)
    page = (work.out / "README.md").read_text()
    assert "3 of 3 runs are finished. Of 3 of them something is to be measured yet. Training took" in page
    assert "| lgm/seed-0 | 50.00 | – | trained: retrieval.cosine.map_at_r to be measured |" in page
    sweep.publish(work.results(), work.out, tmp_path / "kept")
    assert (tmp_path / "kept" / "lgm" / "seed-0" / "metrics.json").exists()
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(
        UserError, match=r"normface/seed-0 must have a checkpoint \(retrieval.cosine.map_at_r to be meas"
    ):
        work.due()


def test_runs_without_a_value_are_named_with_the_reason(tmp_path):
    """Whether the run says so, or its value is no number that can be compared."""
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0, 1, 2]"))
    for planned in plan.runs():
        lacks = {"lgm/seed-1": {"unavailable": "it has diverged."}, "lgm/seed-2": float("nan")}.get(planned.name)
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5 if lacks is None else lacks}})
    work = sweep.Work(plan, tmp_path / "out")
    assert work.due() == []
    sweep.write(work.results(), work.out)
    page = (work.out / "README.md").read_text()
    assert "1 of 3 runs of lgm has no value (seed 1: it has diverged), and what is said of it holds for the" in page
    assert page.count("has no value") == 2
    (table,) = json.loads((work.out / "results.json").read_text())["tables"]
    (lgm,) = [each for each in table["variants"] if each["variant"] == "lgm"]
    assert lgm["values"] == {"0": 0.5}
    assert list(lgm["unavailable"]) == ["1", "2"]


def test_a_variant_that_has_no_value_at_all_is_in_the_ranking_with_the_reason(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0, 1]").replace("baselines: [softmax, normface]\n", ""))
    for planned in plan.runs():
        diverged = {"unavailable": "it has diverged."}
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": diverged if "lgm" in planned.name else 0.5}})
    sweep.write(sweep.Work(plan, tmp_path / "out").results(), tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "| lgm | 0 | – |" in page
    assert "2 of 2 runs of lgm have no value (it has diverged).\n" in page


def test_a_table_without_any_value_is_a_sentence(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0, 1]"))
    for planned in plan.runs():
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": {"unavailable": "it has diverged."}}})
    results = sweep.Work(plan, tmp_path / "out").results()
    sweep.write(results, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "No run has a value of Accuracy by logits on test images, after the last epoch (it has diverged)." in page
    assert not results.tables


def test_pairs_that_read_other_files_are_named(tmp_path):
    """A file under another name, such as a packed one, may hold the same."""
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0, 1, 2]"))
    for planned in plan.runs():
        found = {"lgm/seed-1": {"train": "b"}, "lgm/seed-2": {"train.gz": "c"}}.get(planned.name, {"train": "a"})
        environment = {"data": {"checksums": found, "former_checksums": [], "notes": []}}
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}}, environment=environment)
    work = sweep.Work(plan, tmp_path / "out")
    sweep.write(work.results(), work.out)
    said = (
        "lgm − softmax, lgm − normface: not the same data of seed 1, since files of the same name had other contents."
    )
    assert said in (work.out / "README.md").read_text()


def test_pairs_that_were_judged_by_other_images_are_named(tmp_path):
    asked = "overrides: {evaluation.methods: [softmax, adversarial]}\nmetrics: [adversarial.accuracy_clean]\n"
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0, 1]") + asked)
    for planned in plan.runs():
        images = 50 if planned.name == "softmax/seed-1" else 1000
        made.finish(tmp_path / "out", planned, {"test": {"adversarial": {"images": images, "accuracy_clean": 0.5}}})
    work = sweep.Work(plan, tmp_path / "out")
    sweep.write(work.results(), work.out)
    said = (
        "\nlgm − softmax, normface − softmax: not the same images or pairs of seed 1, as options of `eval` choose them."
    )
    assert said in (work.out / "README.md").read_text()


def test_a_disk_that_fills_up_cuts_no_published_file(tmp_path, rng):
    work, _ = trained(tmp_path, rng, range(2))
    sweep.publish(work.results(), work.out, tmp_path / "kept")
    before = {path: path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, former[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            sweep.publish(work.results(), work.out, tmp_path / "kept")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert {path: path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()} == before


def test_publishing_leaves_nothing_of_a_failure_that_is_over_and_no_drawing_of_a_table_that_is_gone(tmp_path, rng):
    work, _ = trained(tmp_path, rng, range(2))
    failed = tmp_path / "kept" / "lgm" / "seed-0" / "failed.json"
    failed.parent.mkdir(parents=True)
    failed.write_text('{"reason": "a former try"}')
    sweep.publish(work.results(), work.out, tmp_path / "kept")
    assert not failed.exists()
    (work.out / "differences-7.svg").write_text("<svg/>")
    sweep.write(work.results(), work.out)
    assert [path.name for path in work.out.glob("*.svg")] == ["differences-1.svg"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--publish", "foreign"], "foreign/README.md must be a sweep's page, and was written by none."),
        (["--out", "foreign"], "foreign/README.md must be a sweep's page, and was written by none."),
        (["--publish", "file"], "sweep: --publish must name a folder, got the file file."),
        (["--out", "nowhere", "--tables"], "sweep: --tables must find the sweep's folder, got nowhere, which is not"),
        (["--only", "lgm", "--only", "sofmax"], "sweep: --only must match a run, got 'sofmax'. Runs are those of"),
        (["--dry-run", "--publish", "kept"], "--publish does not go with --dry-run"),
    ],
)
def test_a_mistake_on_the_command_line_is_said_before_anything_is_trained(
    tmp_path, monkeypatch, capsys, arguments, said
):
    made.plan(tmp_path, SWEEP.format(seeds="[0]"))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "README.md").write_text("my own\n")
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    try:
        status = command.main(["sweep.yaml", *arguments], "sweep.py")
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "sweeps").exists()
    assert (tmp_path / "foreign" / "README.md").read_text() == "my own\n"


def test_the_estimate_is_no_shorter_than_the_longest_run(tmp_path):
    """Two are to be trained, of ten seconds an epoch: eight jobs take as long as two."""
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0]"))
    softmax, *others = plan.runs()
    made.finish(tmp_path / "out", softmax, {"test": {"accuracy": 0.5}})
    work = sweep.Work(plan, tmp_path / "out")
    timing, _ = sweep.pace(work)
    for jobs, seconds in ((1, 40), (2, 20), (8, 20)):
        assert sweep.overview(work, jobs, timing)[-1] == ["2 of 3 runs to train", "", "", f"about {seconds} s"]


def test_what_moves_no_number_may_differ(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0]"))
    for planned in plan.runs():
        folder = made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
        path = folder / "config.yaml"
        path.write_text(path.read_text().replace("keep_checkpoints: 2", "keep_checkpoints: 1"))
    assert sweep.Work(plan, tmp_path / "out").results().is_complete


@pytest.mark.parametrize(("recorded", "wanted", "is_taken"), [
    ("bfloat16", "fastest", True), ("float32", "fastest", True), ("fastest", "fastest", True),
    ("fastest", "bfloat16", False), ("float32", "bfloat16", False),
])  # fmt: skip
def test_fastest_takes_runs_of_either_precision(tmp_path, recorded, wanted, is_taken):
    before, after = (
        made.plan(tmp_path, SWEEP.format(seeds="[0]") + f"overrides: {{trainer.precision: {each}}}\n")
        for each in (recorded, wanted)
    )
    for planned in before.runs():
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
    work = sweep.Work(after, tmp_path / "out")
    if is_taken:
        assert work.results().is_complete
        return
    with pytest.raises(UserError, match=r"differs in trainer\.precision\. Give the changed variant another name"):
        work.results()


def test_pairs_of_two_precisions_are_named(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0, 1, 2]") + "overrides: {trainer.precision: fastest}\n")
    precisions = {("lgm", 1): "bfloat16", ("normface", 2): "bfloat16", ("softmax", 2): "bfloat16"}
    for planned in plan.runs():
        precision = precisions.get((planned.arm.variant, planned.seed), "float32")
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}}, environment={"precision": precision})
    results = sweep.Work(plan, tmp_path / "out").results()
    sweep.write(results, tmp_path / "out")
    named = {(each.variant, each.baseline): each.mixed for each in results.tables[0].comparisons}
    assert named == {("lgm", "softmax"): (1, 2), ("lgm", "normface"): (1, 2), ("normface", "softmax"): ()}
    page = (tmp_path / "out" / "README.md").read_text()
    reason = "not the same precision of seeds 1, 2, since the processors differ."
    assert f"\nlgm − softmax, lgm − normface: {reason}\n" in page
    assert page.count("not the same precision") == 1
    assert "6 runs on" in page
    assert "3 runs on" in page
    assert page.splitlines()[-1].endswith(" trainer.precision=float32 --seed 0 --threads 2")
    assert "precision=fastest" not in page.splitlines()[-1]


def test_a_variant_of_another_precision_is_what_it_is(tmp_path):
    grid = "  halved: {config: softmax.yaml, overrides: {trainer.precision: bfloat16}}\n"
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0]") + grid)
    for planned in plan.runs():
        precision = planned.settings.trainer.precision
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}}, environment={"precision": precision})
    assert not any(each.mixed for each in sweep.Work(plan, tmp_path / "out").results().tables[0].comparisons)


def test_how_long_runs_took_elsewhere_is_no_estimate(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0, 1]"))
    elsewhere = {"processor": "another one"}
    for planned in plan.runs():
        if planned.seed == 0:
            made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}}, seconds=1e6, environment=elsewhere)
    timing, reasons = sweep.pace(sweep.Work(plan, tmp_path / "out"))
    assert reasons == []
    assert 0 < timing.of_whole(next(iter(plan.runs()))) < 1e5


def test_every_run_has_a_log_of_its_own(tmp_path):
    text = """\
seeds: [0, 1]
data_sets: {small: {}, small-normalized: {data.num_classes: 5}}
variants: {normalized-lgm: {config: lgm.yaml}, lgm: {config: lgm.yaml, overrides: {head.margin: 0.2}}}
"""
    runs = made.plan(tmp_path, text).runs()
    assert len({log_of("out", planned) for planned in runs}) == len(runs) == 8


def test_a_training_that_early_stopping_ended_takes_no_more_time(tmp_path):
    """It has two of forty epochs, and lacks a value."""
    longer = "overrides: {trainer.epochs: 40, trainer.early_stopping_epochs: 1}\nmetrics: [accuracy, accuracy_knn]\n"
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0]") + longer)
    for planned in plan.runs():
        folder = made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
        rows = [{"epoch": k, "step": 5 * k, "seconds": 10.0, "validation_accuracy": 0.5} for k in (1, 2)]
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "metrics.json").write_text('{"last": {"epoch": 2, "step": 10, "test": {"accuracy": 0.5}}}')
        (folder / "checkpoints" / "step-00000010").mkdir(parents=True)
    work = sweep.Work(plan, tmp_path / "out")
    timing, _ = sweep.pace(work)
    _, *rows, whole = sweep.overview(work, 1, timing)
    assert [row[1:] for row in rows] == 3 * [["to be measured", "2 of 40", "-"]]
    assert (whole[0], whole[-1]) == ("0 of 3 runs to train, 3 to be measured", "about 0 s")


def test_what_max_steps_will_end_is_no_estimate_before(tmp_path):
    """Of ten epochs it ends the second: one that took ten seconds is no tenth of the training."""
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0]") + "overrides: {trainer.epochs: 10, trainer.max_steps: 8}\n")
    planned = plan.runs()[0]
    folder = made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
    for steps, each in (([5], None), ([5, 8], 2.0)):
        rows = [{"epoch": k, "step": step, "seconds": 10.0} for k, step in enumerate(steps, 1)]
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        timing = Timing()
        timing.learn(planned, Run(folder))
        assert timing.seconds_per_epoch(planned) == each


def test_a_sweep_that_grows_trains_what_is_new(tmp_path):
    plan = made.plan(tmp_path, SWEEP.format(seeds="[0, 1]"))
    for planned in plan.runs():
        made.finish(tmp_path / "out", planned, {"test": {"accuracy": 0.5}})
    grown = SWEEP.format(seeds="[0, 1, 2]") + "  margin: {config: lgm.yaml, grid: {head.margin: [0.1, 0.2]}}\n"
    work = sweep.Work(made.plan(tmp_path, grown), tmp_path / "out")
    due = [planned.name for planned, _ in work.due()]
    new = [f"margin-margin{value}/seed-{seed}" for seed in (0, 1) for value in (0.1, 0.2)]
    assert due == [*new, "softmax/seed-2", "lgm/seed-2", "normface/seed-2",
                   "margin-margin0.1/seed-2", "margin-margin0.2/seed-2"]  # fmt: skip
    timing, reasons = sweep.pace(work)
    assert reasons == []
    rows = {row[0]: row[-1] for row in sweep.overview(work, 1, timing)}
    assert rows["softmax/seed-0"] == "-"
    assert rows["softmax/seed-2"] == rows["margin-margin0.1/seed-0"] == "about 20 s"  # ten seconds an epoch
    assert rows["9 of 15 runs to train"] == "about 3 min 0 s"
    assert sweep.overview(work, 3, timing)[-1][-1] == "about 1 min 0 s"
