"""Sweeps trained for real, by the command: what they leave, after kills and failures too."""

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lossbench import sweep
from lossbench._mxnet import mx
from lossbench.data import load
from lossbench.experiment import Model, new_batches
from lossbench.runs import Run
from lossbench.sweep.runner import Runner

pytestmark = pytest.mark.slow  # real trainings in processes of their own

ROOT = Path(__file__).parents[2]
# Two jobs have a thread each where one job has two, and sums of other parts have other last bits.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
QUICK = "trainer.epochs: 1, evaluation.methods: [softmax], evaluation.pictures: []"


def command(*arguments, script="sweep"):
    return [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *map(str, arguments)]


def run(*arguments, status=0, script="sweep", cwd=None, threads=1):
    surroundings = {**ENVIRONMENT, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command(*arguments, script=script), capture_output=True, text=True, env=surroundings, timeout=600, cwd=cwd
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def digits(folder, changes=(), overrides=QUICK):
    """The shipped sweep of the digits in another folder, shorter, with changes of its text."""
    text = (ROOT / "configs" / "sweeps" / "digits.yaml").read_text()
    for old, new in [("trainer.epochs: 6", overrides), ("config: ../", f"config: {ROOT}/configs/"), *changes]:
        assert old in text
        text = text.replace(old, new)
    (folder / "digits.yaml").write_text(text)
    return folder / "digits.yaml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The shipped variants with two seeds and one epoch; what the command said."""
    folder = tmp_path_factory.mktemp("sweep")
    path = digits(folder, [("[0, 1, 2]", "[0, 1]")])
    return path, folder / "out", *run(path, "--out", folder / "out")


def parameters(folder):
    """Bytes of the newest checkpoint's arrays."""
    (newest,) = Run(folder).steps()[-1:]
    return {path.name: path.read_bytes() for path in newest.glob("*.params")}


def history(folder):
    return [
        {key: value for key, value in row.items() if key not in ("seconds", "images_per_second")}
        for row in Run(folder).history
    ]


def test_a_sweep_trains_every_variant_with_every_seed(trained):
    path, out, said, progress = trained
    work = sweep.Work(sweep.load(path), out)
    assert work.results().is_complete
    assert len(work.results().rows) == 8
    lines = progress.splitlines()
    assert [line.split()[0] for line in lines] == [f"[{k}/8]" for k in range(1, 9)]
    assert all(" accuracy " in line and " trained in " in line for line in lines)
    assert all(" left" in line for line in lines[:-1])
    assert " left" not in lines[-1]
    table = said.split("Accuracy by logits on test images, after the last epoch")[1]
    for variant in ("softmax", "lgm", "arcface", "center"):
        values = [Run(out / variant / f"seed-{seed}").metrics["last"]["test"]["accuracy"] for seed in (0, 1)]
        assert f"{variant:<7}  2  {100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}" in table
    assert "n = 2: below 6 pairs" in said
    assert "bootstrap" in said
    assert (out / "report.html").exists()


def test_the_same_command_again_trains_nothing(trained):
    path, out, said, _ = trained
    before = {file: file.stat().st_mtime_ns for file in out.glob("*/*/*") if file.is_file()}
    began = time.monotonic()
    again, progress = run(path, "--out", out)
    assert (again, progress) == (said, "")
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert time.monotonic() - began < 30
    table, _ = run(path, "--out", out, "--dry-run")
    assert table.splitlines()[-1].split()[:3] == ["0", "of", "8"]


def test_a_dry_run_of_what_never_was_trained_times_some_steps(trained, tmp_path):
    path, out, *_ = trained
    table, said = run(path, "--out", tmp_path / "out", "--dry-run")
    assert said == ""
    assert not (tmp_path / "out").exists()
    estimates = re.findall(r"absent +1 +about (\d+) s", table)
    assert len(estimates) == 8
    took = [row["seconds"] for folder in out.glob("*/seed-*") for row in Run(folder).history]
    assert np.mean(took) / 4 - 1 < int(estimates[0]) < 4 * np.mean(took) + 1
    assert re.search(r"^8 of 8 runs to train +about \d+ s$", table, re.MULTILINE)


def test_a_dry_run_downloads_nothing(tmp_path):
    (tmp_path / "mnist.yaml").write_text(
        f"seeds: [0]\nvariants: {{softmax: {{config: {ROOT}/configs/softmax_mnist.yaml}}}}\n"
        f"overrides: {{data.root: {tmp_path}/nothing}}\n"
    )
    environment = {**ENVIRONMENT, "LOSSBENCH_DATA": str(tmp_path / "neither"), "HOME": str(tmp_path)}
    arguments = command(tmp_path / "mnist.yaml", "--dry-run")
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=120, cwd=tmp_path)
    assert done.returncode == 0
    assert (
        done.stderr
        == "Not timed: softmax: data: the files of mnist must be here to time a training, and are not yet.\n"
    )
    assert re.search(r"^1 of 1 runs to train +1 of unknown time$", done.stdout, re.MULTILINE)


def test_a_run_of_a_sweep_is_the_same_run_alone(trained, tmp_path):
    """The last one, trained after seven others in the same process."""
    path, out, *_ = trained
    planned = sweep.load(path).runs()[-1]
    alone = shlex.split(planned.command)[2:]
    run(*alone, "--run-dir", tmp_path / "alone", script="train")
    assert parameters(out / planned.folder) == parameters(tmp_path / "alone")
    assert history(out / planned.folder) == history(tmp_path / "alone")
    for name in ("config.yaml", "metrics.json"):
        assert (out / planned.folder / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_the_command_of_the_page_trains_the_same_run_where_more_threads_would_compute(trained, tmp_path):
    _, out, *_ = trained
    *_, first = (out / "README.md").read_text().splitlines()
    run(*shlex.split(first)[2:], "--run-dir", tmp_path / "alone", script="train", threads=2)
    assert parameters(tmp_path / "alone") == parameters(out / "softmax/seed-0")


def test_variants_of_a_seed_see_the_same_images_in_the_same_order(tmp_path):
    """Split, order and augmentation, for the first two epochs; another seed has others."""
    path = digits(tmp_path, overrides=f"{QUICK}, data.augment.pad: 1, data.augment.cutout: 2")
    seen = {}
    for planned in sweep.load(path).runs():
        if planned.seed == 2:
            continue
        settings = planned.settings
        model = Model(settings, load(settings.data, settings.seed), [mx.cpu()])
        batches = new_batches(settings, model.dataset)
        seen[planned.arm.variant, planned.seed] = [
            model.dataset.validation.images,
            *(array for epoch in (1, 2) for batch in batches.epoch(epoch) for array in batch),
        ]
    for seed in (0, 1):
        for variant in ("lgm", "arcface", "center"):
            pairs = list(zip(seen["softmax", seed], seen[variant, seed]))
            assert len(pairs) > 40
            assert all(np.array_equal(one, other) for one, other in pairs)
    assert not np.array_equal(seen["softmax", 0][0], seen["softmax", 1][0])
    assert not np.array_equal(seen["softmax", 0][1], seen["softmax", 1][1])


def test_only_some_runs_and_two_at_a_time(trained, tmp_path):
    path, out, *_ = trained
    said, progress = run(path, "--out", tmp_path / "out", "--only", "soft*", "--only", "s*/seed-1", "--jobs", "2")
    assert len(progress.splitlines()) == 2
    assert "Not trained yet: 6 runs; --dry-run lists them." in said
    for seed in (0, 1):
        assert parameters(tmp_path / "out" / "softmax" / f"seed-{seed}") == parameters(out / "softmax" / f"seed-{seed}")
    _, said = run(path, "--out", tmp_path / "out", "--only", "nothing*", status=2)
    assert said == (
        "sweep: --only must match a run, got 'nothing*'. Runs are those of softmax, lgm, arcface, center.\n"
    )


ONE = [("[0, 1, 2]", "[0]")]
RAMP = ("      anneal.head.margin: {kind: linear, start: 0, end: 0.2, epochs: 0.6}\n", "")
LONG = "trainer.epochs: 8, evaluation.methods: [softmax], evaluation.pictures: [], trainer.checkpoint_every_steps: 5"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_sweep_that_was_killed_goes_on(tmp_path, number, status):
    path = digits(tmp_path, ONE, LONG)
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(path, "--out", out, "--only", "softmax"), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    folder = out / "softmax" / "seed-0"
    wait(lambda: (folder / "history.jsonl").exists() and len(Run(folder).history) >= 2)
    process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == status
    wait(lambda: not is_locked(folder))
    assert not Run(folder).is_finished
    if number != signal.SIGKILL:
        assert said.endswith("Interrupted; what was under way is saved. Go on with the same command.\n")
    run(path, "--out", out, "--only", "softmax")
    assert "Resumed from" in (out / "logs" / "softmax" / "seed-0.txt").read_text()
    assert [row["epoch"] for row in Run(folder).history] == list(range(1, 9))


def wait(condition, patience=120):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < patience
        time.sleep(0.05)


def is_locked(folder):
    try:
        with Run(folder).locked():
            return False
    except ValueError:
        return True


def test_a_failed_run_is_noted_and_the_others_go_on(tmp_path):
    bad = "  bad: {config: ../softmax_digits.yaml, overrides: {optimizer.learning_rate: 1e9}}\n"
    path = digits(tmp_path, [*ONE, ("  lgm:\n", f"{bad}  lgm:\n".replace("../", f"{ROOT}/configs/"))])
    out = tmp_path / "out"
    said, progress = run(path, "--out", out, "--only", "[bs]*", status=1)
    lines = progress.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["softmax/seed-0:", "bad/seed-0"]
    reason = json.loads((out / "bad" / "seed-0" / "failed.json").read_text())["reason"]
    assert reason.startswith("trainer: loss is nan at epoch 1")
    assert f"bad/seed-0 failed: {reason}" in lines[-2]
    assert lines[-1] == "What failed is trained again with --retry-failed."
    assert reason in (out / "report.html").read_text()
    _, progress = run(path, "--out", out, "--only", "[bs]*", status=1)
    assert len(progress.splitlines()) == 2  # said again, not tried again
    kept = tmp_path / "kept"
    run(path, "--out", out, "--tables", "--publish", kept)
    folder = f"sweeps/{path.stem}/bad/seed-0"
    assert json.loads((kept / "bad" / "seed-0" / "failed.json").read_text())["reason"] == reason.replace(
        str((out / "bad" / "seed-0").resolve()), folder
    )
    assert f"--run-dir {folder}-lower-rate" in (kept / "README.md").read_text()
    assert not [each.name for each in kept.glob("*.*") if str(out) in each.read_text()]
    text = path.read_text().replace("optimizer.learning_rate: 1e9", "optimizer.learning_rate: 0.015")
    path.write_text(text)
    _, said = run(path, "--out", out, "--only", "[bs]*", "--retry-failed", status=2)
    assert "differs in optimizer.learning_rate" in said


def test_what_a_sweep_asks_besides_is_measured_of_its_finished_runs(tmp_path):
    asked, out = f"data.label_noise: 0.3, {QUICK}", tmp_path / "out"
    run(digits(tmp_path, [("[0, 1, 2]", "[0, 1]")], asked), "--out", out, "--only", "[as]*")
    histories = {path: path.read_bytes() for path in out.glob("*/*/history.jsonl")}
    assert len(histories) == 4
    asked = asked.replace("[softmax]", "[softmax, memorization]")
    more = ("baselines:", "metrics: [accuracy, memorization.memorized]\nbaselines:")
    path = digits(tmp_path, [("[0, 1, 2]", "[0, 1]"), more], asked)
    run(path, "--out", out, "--only", "[as]*")
    assert {path: path.read_bytes() for path in out.glob("*/*/history.jsonl")} == histories
    _, table = json.loads((out / "results.json").read_text())["tables"]
    assert (table["split"], table["metric"]) == ("train", "memorization.memorized")
    compared = [variant for variant in table["variants"] if variant["n"]]
    assert {variant["variant"] for variant in compared} == {"softmax", "arcface"}
    for variant in compared:
        for seed, value in variant["values"].items():
            metrics = Run(out / variant["variant"] / f"seed-{seed}").metrics["last"]
            assert value == metrics["train"]["memorization"]["memorized"]
            assert "memorization" not in metrics["test"]
    assert "Memorization, wrong labels memorized on training images" in (out / "README.md").read_text()


def test_a_run_that_starts_from_another_of_the_sweep_waits_for_it(tmp_path):
    """With a worker free all the while; where the other failed, or is not trained, it is no start.

    It may be named as if the sweep lay in its own folder.
    """
    out = tmp_path / "out"
    start = f'overrides: {{init_from: "{out}/NAME/seed-{{seed}}", freeze: [^head]}}}}'
    home = start.replace(str(out), "sweeps/digits")
    more = [
        f"  a: {{config: {ROOT}/configs/softmax_digits.yaml, overrides: {{trainer.epochs: 4}}}}",
        f"  b: {{config: {ROOT}/configs/softmax_digits.yaml, {home.replace('NAME', 'a')}",
        f"  c: {{config: {ROOT}/configs/softmax_digits.yaml, overrides: {{optimizer.learning_rate: 1e9}}}}",
        f"  d: {{config: {ROOT}/configs/softmax_digits.yaml, {start.replace('NAME', 'c')}",
    ]
    path = digits(tmp_path, [*ONE, ("  lgm:\n", "\n".join([*more, "  lgm:\n"]))])
    _, progress = run(path, "--out", out, "--only", "[abcd]", "--jobs", "3", status=1)
    assert len(progress.splitlines()) == 7  # four runs, and at the end those that failed and how to try them again
    assert (
        f"parameters from {Run(out / 'a' / 'seed-0').steps()[-1]}.\n" in (out / "logs" / "b" / "seed-0.txt").read_text()
    )
    reason = f"sweep: a run that others start from must be finished, got {out}/c/seed-0."
    assert progress.splitlines()[-1] == f"Passed over: d/seed-0: {reason}"
    assert not (out / "d" / "seed-0").exists()


def test_a_run_that_another_process_trains_is_passed_over(tmp_path):
    path, out = digits(tmp_path, ONE, LONG), tmp_path / "out"
    folder = out / "softmax" / "seed-0"
    with subprocess.Popen(command(path, "--out", out, "--only", "softmax"), env=ENVIRONMENT) as first:
        wait(lambda: (folder / "history.jsonl").exists())
        _, progress = run(path, "--out", out, "--only", "softmax", "--only", "center", status=1)
        (line,) = [
            line for line in progress.splitlines() if line.startswith("[1/2] softmax/seed-0 was passed over: run: ")
        ]
        assert " left" not in line  # nothing was trained yet that could tell
        assert progress.splitlines()[-1].startswith("Passed over: softmax/seed-0: run: ")
        assert not (folder / "failed.json").exists()
        assert first.wait(300) == 0
    assert Run(folder).is_finished


PLUGIN = """\
from lossbench.heads import Softmax

class Mine(Softmax):
    pass

HEADS = {"mine": Mine}
"""


def test_a_plugin_reaches_the_workers_and_another_lossbench_where_they_run_does_not(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "lossbench.py").write_text("raise SystemExit('another')")
    path = digits(tmp_path, [*ONE, ("head: {name: arcface, scale: 16, margin: 0.2}", "head: {name: mine}"), RAMP])
    run("--plugin", tmp_path / "mine.py", path, "--out", tmp_path / "out", "--only", "arcface", cwd=tmp_path)
    assert Run(tmp_path / "out" / "arcface" / "seed-0").value("head.name") == "mine"
    page = (tmp_path / "out" / "README.md").read_text()
    checksum = hashlib.sha256(PLUGIN.encode()).hexdigest()[:12]
    assert f", plugin mine ({checksum}), mxnet " in page
    assert page.count(" --plugin mine.py\n") == 2
    (tmp_path / "mine.py").write_text(PLUGIN + "# changed\n")
    path.write_text(path.read_text().replace("seeds: [0]", "seeds: [0, 1]"))
    arguments = ["--plugin", tmp_path / "mine.py", path, "--out", tmp_path / "out", "--only", "arcface"]
    _, said = run(*arguments, status=2, cwd=tmp_path)
    assert "arcface/seed-0 must hold a run of the plugin as it is. The plugin mine has changed since" in said


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_run_alone(tmp_path):
    path = digits(tmp_path, ONE, LONG)
    work = sweep.Work(sweep.load(path), tmp_path / "out", ["softmax*", "lgm*"])
    ended = []
    with Runner(work.out) as runner:
        killed = False
        for each in runner.run(planned for planned, _ in work.due()):
            if each is not None:
                ended.append(each)
            elif not killed and (work.out / "softmax" / "seed-0" / "history.jsonl").exists():
                os.kill(runner.processes()[0], signal.SIGKILL)
                killed = True
    assert [(each.planned.name, each.status) for each in ended] == [
        ("softmax/seed-0", "failed"), ("lgm/seed-0", "finished"),
    ]  # fmt: skip
    assert ended[0].reason == "Its process ended by signal SIGKILL."
    assert not work.due()
    again = sweep.Work(work.plan, work.out, ["softmax*", "lgm*"], retry=True)
    assert [planned.name for planned, _ in again.due()] == ["softmax/seed-0"]
