"""The search: as many trials for every variant, on validation images alone, then fresh seeds."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench import sweep
from lossbench.config.tuning import ChoiceRange, FloatRange, IntegerRange, LogRange
from lossbench.errors import UserError
from lossbench.runs import Run
from lossbench.sweep import tune
from tests.sweep import made

pytestmark = pytest.mark.slow  # real trainings in processes of their own

ROOT = Path(__file__).parents[2]
needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="needs Optuna (pip install 'lossbench[tune]')"
)
SWEEP = f"""\
seeds: [0, 1]
baselines: [softmax]
overrides: {{trainer.epochs: 1, evaluation.methods: [softmax], evaluation.pictures: [training]}}
variants:
  softmax: {{config: {ROOT}/configs/softmax_digits.yaml}}
  center:
    config: {ROOT}/configs/softmax_digits.yaml
    overrides: {{regularizers: [{{name: center, loss_weight: 0.01}}]}}
tune:
  trials: 3
  seed: 7
  shared: {{optimizer.learning_rate: {{kind: log, low: 0.003, high: 0.03}}}}
  ranges:
    center: {{regularizers.center.loss_weight: {{kind: choice, of: [0.001, 0.01]}}}}
"""
RANGES = {
    "optimizer.learning_rate": LogRange(kind="log", low=1e-3, high=0.1),
    "head.margin": FloatRange(kind="float", low=0, high=0.5),
    "data.batch_size": IntegerRange(kind="integer", low=16, high=64),
    "backbone.initializer": ChoiceRange(kind="choice", of=("msra", "xavier")),
}


@needs_optuna
def test_a_suggestion_lies_in_its_ranges_and_repeats():
    before = []
    for number in range(15):
        found = tune.suggest(RANGES, before, 3, number)
        assert found == tune.suggest(RANGES, before, 3, number)
        assert list(found) == list(RANGES)
        assert 1e-3 <= found["optimizer.learning_rate"] <= 0.1
        assert 0 <= found["head.margin"] <= 0.5
        assert found["data.batch_size"] in range(16, 65)
        assert found["backbone.initializer"] in ("msra", "xavier")
        value = None if number == 4 else -abs(found["head.margin"] - 0.2)
        before.append(tune.Trial(number, found, value, None))
    assert len({trial.parameters["head.margin"] for trial in before}) == 15
    assert tune.suggest(RANGES, before, 4, 15) != tune.suggest(RANGES, before, 3, 15)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_trials_leave_no_part_of_a_range_out(seed):
    """Of two trials in a row each half of the first range has one, of three each third of the second.

    The rates are the same however many ranges follow, so for every variant.
    """
    found = [tune.suggest(RANGES, [], seed, number) for number in range(6)]
    rates = [setting["optimizer.learning_rate"] for setting in found]
    margins = [setting["head.margin"] for setting in found]
    for pair in (rates[0:2], rates[2:4], rates[4:6]):
        assert min(pair) < 0.01 <= max(pair)
    for triple in (sorted(margins[:3]), sorted(margins[3:])):
        assert triple[0] < 0.5 / 3 <= triple[1] < 1 / 3 <= triple[2]
    shared = {"optimizer.learning_rate": RANGES["optimizer.learning_rate"]}
    assert [tune.suggest(shared, [], seed, number)["optimizer.learning_rate"] for number in range(6)] == rates
    assert rates != [tune.suggest(RANGES, [], seed + 1, number)["optimizer.learning_rate"] for number in range(6)]


def test_every_whole_number_and_every_choice_has_its_share():
    integer, choice = RANGES["data.batch_size"], RANGES["backbone.initializer"]
    assert [integer.at(share) for share in (0, 0.0203, 0.0205, 0.5, 0.9999999)] == [16, 16, 17, 40, 64]
    assert [choice.at(share) for share in (0, 0.49, 0.5, 0.9999999)] == ["msra", "msra", "xavier", "xavier"]


@needs_optuna
def test_the_search_comes_to_what_is_good():
    """Better than chance: after 30 trials the best margin is nearer to the optimum than the first ten."""
    before = []
    for number in range(30):
        found = tune.suggest(RANGES, before, 0, number)
        before.append(tune.Trial(number, found, -abs(found["head.margin"] - 0.2), None))
    late = [abs(trial.parameters["head.margin"] - 0.2) for trial in before[20:]]
    early = [abs(trial.parameters["head.margin"] - 0.2) for trial in before[:10]]
    assert sum(late) < sum(early)


@needs_optuna
@pytest.mark.parametrize("better", [1, -1])
def test_what_failed_before_does_not_keep_a_search_from_learning(better):
    """The eleventh trial follows what the first ten found, though two of them failed."""
    margins = {"head.margin": RANGES["head.margin"]}
    for aim, other in ((0.1, 0.4), (0.4, 0.1)):
        before = []
        for number in range(10):
            found = tune.suggest(margins, before, 0, number, better)
            value = None if number in (2, 5) else -better * abs(found["head.margin"] - aim)
            before.append(tune.Trial(number, found, value, None))
        margin = tune.suggest(margins, before, 0, 10, better)["head.margin"]
        assert abs(margin - aim) < abs(margin - other)


def test_a_tuned_sweep_by_the_command(tmp_path):
    (tmp_path / "tuned.yaml").write_text(SWEEP)
    command = [sys.executable, ROOT / "scripts" / "sweep.py", tmp_path / "tuned.yaml", "--out", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stderr.splitlines()] == [
        *(f"[{k}/6]" for k in range(1, 7)), *(f"[{k}/4]" for k in range(1, 5)),
    ]  # fmt: skip
    out = tmp_path / "out"
    for variant in ("softmax", "center"):
        trials = sorted((out / "trials" / variant).glob("trial-*"))
        assert [path.name for path in trials] == ["trial-000", "trial-001", "trial-002"]
        values = []
        for path in trials:
            run = Run(path / "seed-7")
            assert set(run.metrics["last"]) == {"epoch", "step", "validation"}  # the test images were not scored
            assert not run.pictures
            parameters = json.loads((path / "parameters.json").read_text())
            assert run.value("optimizer.learning_rate") == parameters["optimizer.learning_rate"]
            values.append((run.metrics["last"]["validation"]["accuracy"], parameters))
        chosen = max(values, key=lambda pair: pair[0])[1]
        for seed in (0, 1):
            run = Run(out / variant / f"seed-{seed}")
            assert run.value("optimizer.learning_rate") == chosen["optimizer.learning_rate"]
            assert "accuracy" in run.metrics["last"]["test"]
    page = (out / "README.md").read_text()
    assert "3 trials a variant, seed 7; the test images were not looked at." in page
    assert page.count(", chosen |") == 2
    again = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert (again.stderr, again.stdout) == ("", done.stdout)


TUNED = """\
seeds: [0]
baselines: [softmax]
variants: {softmax: {config: softmax.yaml}, lgm: {config: lgm.yaml}}
tune: {trials: 3, seed: 7, shared: {optimizer.learning_rate: {kind: log, low: 0.001, high: 1}}}
"""


def tried(search, out, values, bfloat16=()):
    """Trials made by hand; a value of None is a run that failed. `bfloat16`: numbers of those in that precision."""
    for number, value in enumerate(values):
        parameters = {"optimizer.learning_rate": 0.01 * (number + 1)}
        planned = search._planned(number, parameters)
        if value is None:
            (out / planned.folder).mkdir(parents=True)
            (out / planned.folder / "failed.json").write_text(json.dumps({"reason": "loss is nan"}))
        else:
            environment = {"precision": "bfloat16"} if number in bfloat16 else None
            made.finish(out, planned, {"validation": {"accuracy": value}}, environment=environment)
        (out / planned.folder.parent / "parameters.json").write_text(json.dumps(parameters))


def test_the_best_trial_is_chosen_and_a_failed_one_counts(tmp_path):
    plan = made.plan(tmp_path, TUNED)
    work = sweep.Work(plan, tmp_path / "out")
    assert [search.arm.variant for search in work.searching()] == ["softmax", "lgm"]
    assert work.due() == []  # nothing is trained before its setting is chosen
    assert len(work.results().rows) == 0
    tried(work.searches[0], work.out, [0.5, 0.7, 0.7])
    tried(work.searches[1], work.out, [None, 0.4, 0.3])
    assert work.searching() == []
    rates = {planned.arm.variant: planned.settings.optimizer.learning_rate for planned, _ in work.due()}
    assert rates == {"softmax": 0.02, "lgm": 0.02}
    sweep.write(work.results(), work.out)
    page = (work.out / "README.md").read_text()
    assert "| 1 | 0.02 | 70.00, chosen |" in page
    assert "| 0 | 0.01 | failed |" in page


def test_an_unfinished_search_goes_on_where_it_was(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out")
    search = work.searches[0]
    tried(search, work.out, [0.5, 0.7])
    (work.out / search._folder(1) / "seed-7" / "metrics.json").unlink()
    assert search.trials_left == 2
    planned = search.next()
    assert planned.name == "trials/softmax/trial-001/seed-7"
    assert planned.settings.optimizer.learning_rate == 0.02
    assert search.next() is None  # while one is under way


def test_a_trial_whose_folder_was_removed_is_tried_again_and_the_others_stay(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED.replace("trials: 3", "trials: 4")), tmp_path / "out")
    tried(work.searches[0], work.out, [0.5, 0.7, 0.6])
    shutil.rmtree(work.out / work.searches[0]._folder(1))
    (search, _) = sweep.Work(work.plan, work.out).searches
    kept = {n: (work.out / search._folder(n) / "parameters.json").read_bytes() for n in (0, 2)}
    assert search.trials_left == 2
    names = []
    for value in (0.4, 0.3):
        planned = search.next()
        names.append(planned.name)
        made.finish(work.out, planned, {"validation": {"accuracy": value}})
        search.ended("finished")
    assert names == ["trials/softmax/trial-001/seed-7", "trials/softmax/trial-003/seed-7"]
    assert search.is_done
    assert search.next() is None
    assert {n: (work.out / search._folder(n) / "parameters.json").read_bytes() for n in kept} == kept


def test_where_lower_is_better_the_lowest_is_chosen(tmp_path):
    metric = "calibration.softmax.expected_calibration_error"
    text = TUNED.replace("trials: 3", f"trials: 3, metric: {metric}")
    text += "overrides: {evaluation.methods: [softmax, calibration]}\n"
    work = sweep.Work(made.plan(tmp_path, text), tmp_path / "out")
    search = work.searches[0]
    for number, value in enumerate((0.3, 0.01, 0.2)):
        parameters = {"optimizer.learning_rate": 0.01 * (number + 1)}
        planned = search._planned(number, parameters)
        measured = {"accuracy": value, "calibration": {"softmax": {"expected_calibration_error": value}}}
        made.finish(work.out, planned, {"validation": measured})
        (work.out / planned.folder.parent / "parameters.json").write_text(json.dumps(parameters))
    assert search.best.number == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("high: 1", "high: 2", r"tune\.shared and tune\.ranges must stay as they are once trials were made"),
        ("seed: 7", "seed: 8", r"tune\.seed must stay"),
        ("trials: 3", "trials: 3, metric: accuracy_knn", r"tune\.metric must stay"),
    ],
)
def test_a_search_that_was_begun_otherwise_is_refused(tmp_path, old, new, said):
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out")
    assert work.searches[0].next() is not None
    more = sweep.Work(made.plan(tmp_path, TUNED.replace("trials: 3", "trials: 5")), work.out)
    assert more.searches[0].trials_left == 5
    assert old in TUNED
    with pytest.raises(UserError, match=said):
        sweep.Work(made.plan(tmp_path, TUNED.replace(old, new)), work.out)


def test_trials_without_a_checkpoint_are_not_trained_again_unasked(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED + "overrides: {evaluation.k: 5}\n"), tmp_path / "out")
    tried(work.searches[0], work.out, [0.5, 0.7, 0.6])
    other = sweep.Work(made.plan(tmp_path, TUNED + "overrides: {evaluation.k: 3}\n"), work.out)
    said = r"trial-000/seed-7 must have a checkpoint \(to be measured anew by its evaluation\.k\), .* and 2 more\."
    with pytest.raises(UserError, match=said):
        other.searching()


def test_what_cannot_be_tried_again_is_not_forgotten(tmp_path):
    """A trial that is trained and was published has failed for want of its value; its reason stays."""
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out")
    tried(work.searches[0], work.out, [0.5, 0.7, 0.6])
    tried(work.searches[1], work.out, [0.4, 0.5, 0.3])
    folder = work.out / "trials" / "lgm" / "trial-002" / "seed-7"
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["last"]["validation"]["accuracy"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "failed.json").write_text('{"reason": "It ended without accuracy."}')
    assert len(sweep.Work(work.plan, work.out).due()) == 2
    with pytest.raises(UserError, match=r"trial-002/seed-7 must have a checkpoint"):
        sweep.Work(work.plan, work.out, retry=True).forget_failed_trials()
    assert (folder / "failed.json").exists()


def test_where_no_trial_is_left_a_search_may_be_another(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out")
    assert work.searches[0].next() is not None
    shutil.rmtree(work.out / work.searches[0]._folder(0))
    assert sweep.Work(made.plan(tmp_path, TUNED.replace("seed: 7", "seed: 8")), work.out).searches[0].next()
    (work.out / "trials" / "softmax" / "search.json").write_text("{")
    with pytest.raises(UserError, match=r"trials/softmax/search\.json must be JSON \(.*\)\. Remove it\."):
        sweep.Work(work.plan, work.out)


def test_a_setting_that_cannot_be_read_is_said(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out")
    assert work.searches[0].next() is not None
    (work.out / "trials" / "softmax" / "trial-000" / "parameters.json").write_text('{"optim')
    with pytest.raises(UserError, match=r"trial-000/parameters\.json must be JSON .* Remove its folder"):
        sweep.Work(work.plan, work.out).searching()


def test_what_a_search_takes_follows_from_its_trials_and_what_comes_after_it_is_counted(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED.replace("[0]", "[0, 1]")), tmp_path / "out")
    tried(work.searches[0], work.out, [0.5])
    timing, reasons = sweep.pace(work)
    assert reasons == []
    assert [[row[0], row[1], row[3]] for row in sweep.overview(work, 2, timing)[1:]] == [
        ["softmax: 2 trials", "search", "about 40 s"],  # two epochs of ten seconds each
        ["softmax: 2 runs", "after the search", "about 40 s"],
        ["lgm: 3 trials", "search", "about 1 min 0 s"],  # as long as one like it
        ["lgm: 2 runs", "after the search", "about 40 s"],
        # two at a time: 50 s if the searches had as many trials left, but one takes 60 s; then 40 s
        ["5 trials, then 4 of 4 runs to train", "", "about 1 min 40 s"],
    ]


def test_a_search_of_which_every_trial_failed_costs_its_variant_alone(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out")
    tried(work.searches[0], work.out, [None, None, None])
    tried(work.searches[1], work.out, [0.4, 0.5, 0.3])
    assert [planned.name for planned, _ in work.due()] == ["lgm/seed-0"]
    assert work.results().hopeless == ["softmax"]
    sweep.write(work.results(), work.out)
    page = (work.out / "README.md").read_text()
    assert "0 of 1 runs are finished. Every trial of softmax failed." in page
    assert page.count("| failed |") == 3
    again = sweep.Work(work.plan, work.out, retry=True)
    timing, _ = sweep.pace(again)
    assert [row[:2] for row in sweep.overview(again, 1, timing)[1:]] == [
        ["softmax: 3 trials", "search"],
        ["softmax: 1 run", "after the search"],
        ["lgm/seed-0", "absent"],
        ["3 trials, then 2 of 2 runs to train", ""],
    ]
    assert sweep.overview(work, 1, timing)[-1][0] == "1 of 1 runs to train"
    work.forget_failed_trials()
    assert work.searching() == []
    again.forget_failed_trials()
    assert [search.arm.variant for search in again.searching()] == ["softmax"]


def test_failed_trials_that_are_tried_again_are_listed(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out", retry=True)
    tried(work.searches[0], work.out, [0.5, None, 0.7])
    tried(work.searches[1], work.out, [None, 0.4])
    timing, _ = sweep.pace(work)
    rows = [["lgm: 2 trials", "search"], ["lgm: 1 run", "after the search"], ["softmax: 1 trial", "search"]]
    assert [row[:2] for row in sweep.overview(work, 1, timing)[1:]] == [
        *rows, ["softmax/seed-0", "absent"], ["3 trials, then 2 of 2 runs to train", ""],
    ]  # fmt: skip


def test_before_a_search_is_done_the_page_counts_its_runs(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out")
    sweep.write(work.results(), work.out)
    page = (work.out / "README.md").read_text()
    assert "0 of 2 runs are finished. Those of softmax, lgm wait for their search." in page
    tried(work.searches[1], work.out, [0.4, 0.5, 0.3])
    (planned,) = [planned for planned, _ in work.due()]
    made.finish(work.out, planned, {"test": {"accuracy": 0.5}})
    sweep.write(work.results(), work.out)
    assert "1 of 2 runs are finished. Those of softmax wait for their search." in (work.out / "README.md").read_text()


def test_a_variant_of_a_grid_is_searched_by_the_ranges_of_its_name(tmp_path):
    text = TUNED.replace("{config: lgm.yaml}", "{config: lgm.yaml, grid: {head.variance: [identity, diagonal]}}")
    ranges = "ranges: {lgm: {head.margin: {kind: float, low: 0, high: 1}}}, shared"
    work = sweep.Work(made.plan(tmp_path, text.replace("shared", ranges)), tmp_path / "out")
    keys = {search.arm.variant: list(search._ranges) for search in work.searches}
    assert keys == {
        "softmax": ["optimizer.learning_rate"],
        "lgm-varianceidentity": ["optimizer.learning_rate", "head.margin"],
        "lgm-variancediagonal": ["optimizer.learning_rate", "head.margin"],
    }


def test_trials_outside_the_ranges_of_the_file_are_refused(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out")
    tried(work.searches[0], work.out, [0.5, 0.7])
    (tmp_path / "sweep.yaml").write_text(TUNED.replace("low: 0.001", "low: 0.015").replace("trials: 3", "trials: 4"))
    narrower = sweep.Work(sweep.load(tmp_path / "sweep.yaml"), work.out)
    said = r"trial-000 must be a trial within the ranges of the file, got optimizer.learning_rate 0.01\. Ranges stay"
    with pytest.raises(UserError, match=said):
        narrower.searching()


def test_trials_of_two_precisions_are_named(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED + "overrides: {trainer.precision: fastest}\n"), tmp_path / "out")
    for search, bfloat16 in zip(work.searches, ([0, 2], [0, 1, 2]), strict=True):
        tried(search, work.out, [0.5, 0.7, 0.6], bfloat16)
    sweep.write(work.results(), work.out)
    said = "The trials are not of the same precision, since the processors differ: bfloat16: 0, 2; float32: 1."
    for name in ("README.md", "report.html"):
        assert (work.out / name).read_text().count("trials are not of the same precision") == 1
        assert said in (work.out / name).read_text()
    kept = json.loads((work.out / "results.json").read_text())["trials"]
    assert [[trial["precision"] for trial in each["trials"]] for each in kept] == [
        ["bfloat16", "float32", "bfloat16"], ["bfloat16"] * 3,
    ]  # fmt: skip


def test_more_trials_after_the_runs_are_refused_before_they_are_trained(tmp_path):
    work = sweep.Work(made.plan(tmp_path, TUNED), tmp_path / "out")
    for search in work.searches:
        tried(search, work.out, [0.5, 0.7, 0.6])
    for planned, _ in work.due():
        made.finish(work.out, planned, {"test": {"accuracy": 0.5}})
    (tmp_path / "sweep.yaml").write_text(TUNED.replace("trials: 3", "trials: 4"))
    with pytest.raises(UserError, match=r"out/softmax must hold no runs before its search is done, got some of the"):
        sweep.Work(sweep.load(tmp_path / "sweep.yaml"), work.out).searching()


def test_without_optuna_the_way_out_is_said_before_the_first_trial(tmp_path):
    """Where Python does not find it, ten trials do without."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "optuna.py").write_text("raise ImportError('no Optuna here')\n")
    (tmp_path / "tuned.yaml").write_text(SWEEP.replace("trials: 3", "trials: 11"))
    command = [sys.executable, ROOT / "scripts" / "sweep.py", tmp_path / "tuned.yaml", "--out", tmp_path / "out"]
    path = os.pathsep.join(map(str, (tmp_path / "blocked", ROOT)))
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=600)
    assert done.returncode == 2
    assert done.stderr == (
        "sweep: tune needs Optuna for more than 10 trials (no Optuna here). Install it with: pip install "
        "'lossbench[tune]'\n"
    )
    assert not list(tmp_path.glob("out/trials/*"))
