"""The real command line on embedded digits: trained, killed, resumed, evaluated, used."""

import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lossbench import checkpoint
from lossbench.runs import Run

IMPORTS_MXNET = re.compile(r"\| +mxnet$", re.MULTILINE)  # in what -X importtime prints
ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = """\
data: {source: digits, batch_size: 64, validation_fraction: 0.1, augment: {pad: 1}}
backbone: {name: lenet, embedding_size: 2}
head: {name: lgm, margin: 0.3, likelihood_weight: 0.1, variance: diagonal}
optimizer: {name: nag, learning_rate: 0.02, weight_decay: 1e-3}
schedule: {name: one_cycle}
anneal: {head.margin: {kind: linear, start: 0.03, end: 0.3, epochs: 1}}
trainer: {epochs: 3}
evaluation: {pictures: []}
"""


def command(script, *arguments, cwd, **keys):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, ROOT / "scripts" / f"{script}.py", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **keys,
    )


def call(script, *arguments, cwd, status=0):
    process = command(script, *arguments, cwd=cwd)
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, out + err
    return out, err


def train(cwd, *arguments, status=0):
    return call("train", "--config", "tiny.yaml", *arguments, cwd=cwd, status=status)


def final(run):
    """The parameters and optimizer state of a finished run, and its history without times."""
    path, arrays, state, _ = checkpoint.newest(run / "checkpoints")
    plain = {f"{stem}.{n}": a.asnumpy() for stem, named in arrays.items() for n, a in named.items()}
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    for row in rows:
        del row["seconds"], row["images_per_second"]
    position = {key: value for key, value in state["position"].items() if key != "seconds"}
    return path.name, plain, rows, position


def assert_same(one, other):
    assert one[0] == other[0]
    assert one[1].keys() == other[1].keys()
    for name, value in one[1].items():
        np.testing.assert_array_equal(value, other[1][name], err_msg=name)
    assert one[2:] == other[2:]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a finished, undisturbed run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(CONFIG)
    train(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return tmp_path


RUN = pathlib.Path("runs/tiny/seed-0")


def test_a_run_folder_holds_what_it_should(finished):
    run = finished / RUN
    assert {p.name for p in run.iterdir()} >= {
        "config.yaml",
        "environment.json",
        "history.jsonl",
        "metrics.json",
        "checkpoints",
        "embeddings",
    }
    rows = final(run)[2]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["head.margin"] == pytest.approx(0.3)
    assert rows[-1]["log_variance_min"] <= rows[-1]["log_variance_max"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["last"]["epoch"] == 3
    for which in ("last", "best"):
        for split in ("validation", "test"):
            assert set(metrics[which][split]) >= {
                "accuracy",
                "accuracy_knn",
                "accuracy_centers",
                "accuracy_class_means",
            }
    environment = json.loads((run / "environment.json").read_text())
    assert environment["versions"]["mxnet"] == "1.9.1"
    assert sorted(p.name for p in (run / "embeddings").iterdir()) == [f"epoch-{n}.npz" for n in (1, 2, 3)]


def test_a_finished_run_is_left_alone(finished):
    before = {p: p.stat().st_mtime_ns for p in (finished / RUN).rglob("*") if p.is_file() and p.name != ".lock"}
    out, _ = train(finished)
    assert "finished; nothing to do" in out
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_the_same_config_and_seed_repeat_the_run(finished, folder):
    (folder / "again.yaml").write_text((finished / RUN / "config.yaml").read_text())
    call("train", "--config", "again.yaml", "--run-dir", "again", cwd=folder)
    assert_same(final(folder / "again"), final(finished / RUN))


def test_another_config_in_the_folder_is_refused(finished):
    _, err = train(finished, "head.margin=0.2", "anneal={}", "--run-dir", RUN, status=2)
    assert "was started with another config; differing: " in err
    assert "head.margin" in err
    assert "--run-dir" in err
    assert len(err.splitlines()) == 1


def test_a_run_that_lost_its_config_is_held_to_that_of_its_checkpoint(finished, folder):
    subprocess.run(["cp", "-r", finished / "runs", folder], check=True)
    (folder / RUN / "config.yaml").unlink()
    _, err = train(folder, "optimizer.learning_rate=0.5", status=2)
    assert "was started with another config; differing: optimizer.learning_rate" in err
    _, err = train(folder, status=2)
    assert "holds an unfinished run" in err
    train(folder, "--resume")
    assert (folder / RUN / "config.yaml").read_bytes() == (finished / RUN / "config.yaml").read_bytes()
    assert_same(final(folder / RUN), final(finished / RUN))


def test_a_finished_run_can_be_extended(finished, folder):
    subprocess.run(["cp", "-r", finished / "runs", folder], check=True)
    train(folder, "--resume", "trainer.epochs=4")
    assert [row["epoch"] for row in final(folder / RUN)[2]] == [1, 2, 3, 4]
    assert json.loads((folder / RUN / "metrics.json").read_text())["last"]["epoch"] == 4
    before = (folder / RUN / "config.yaml").read_bytes()
    _, err = train(folder, "--resume", "trainer.epochs=3", status=2)
    assert "run: trainer.epochs must be at least the 4 epochs that" in err
    assert (folder / RUN / "config.yaml").read_bytes() == before


def test_a_run_within_an_epoch_is_not_ended_by_fewer(folder):
    """Its parameters are of no whole number of epochs: they would be evaluated as those of the epoch before."""
    often = ["trainer.checkpoint_every_steps=1", "trainer.keep_checkpoints=100"]
    process = command("train", "--config", "tiny.yaml", *often, cwd=folder)
    wait_for_checkpoint(folder / RUN, process, count=21)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    position = Run(folder / RUN).newest_state()["position"]
    assert (position["epoch"], position["epoch_step"] > 0) == (2, True)
    _, err = train(folder, "--resume", "trainer.epochs=1", status=2)
    assert "run: trainer.epochs must be at least the 2 epochs that" in err
    assert not (folder / RUN / "metrics.json").exists()


def test_a_run_whose_history_lost_the_row_of_its_best_epoch_keeps_that_epoch(finished, folder):
    """Its newest checkpoint names it."""
    subprocess.run(["cp", "-r", finished / "runs", folder], check=True)
    newest = Run(folder / RUN).steps()[-1]
    state = json.loads((newest / "state.json").read_text())
    state["position"]["best"] = {"epoch": 1, "step": 1, "accuracy": 1.0}
    (newest / "state.json").write_text(json.dumps(state))
    path = folder / RUN / "history.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert Run(folder / RUN).end.best["epoch"] == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_saves_and_says_how_to_go_on(finished, folder, number, status):
    process = command("train", "--config", "tiny.yaml", "trainer.checkpoint_every_steps=1", cwd=folder)
    wait_for_checkpoint(folder / RUN, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, out + err
    assert "--resume" in err
    assert "Traceback" not in err
    _, err = train(folder, "trainer.checkpoint_every_steps=1", status=2)
    assert "unfinished run" in err
    assert "--resume" in err
    train(folder, "--resume", "trainer.checkpoint_every_steps=1")
    assert_same(final(folder / RUN), final(finished / RUN))


def wait_for_checkpoint(run, process, count=1):
    deadline = time.monotonic() + 120
    while len(checkpoint.steps(run / "checkpoints")) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
def test_kill_9_at_random_moments_changes_nothing(folder, rng):
    """Killed again and again wherever it is, then left to finish: an undisturbed run's bits. `make faults` has 30."""
    long = ["trainer.epochs=10", "trainer.checkpoint_every_steps=3", "evaluation.embeddings_every_epochs=null"]
    train(folder, *long, "--run-dir", "undisturbed")
    started = folder / RUN / "environment.json"  # written anew when a training is about to begin
    for kill in range(5):
        resume = ["--resume"] if (folder / RUN / "config.yaml").exists() else []
        before = started.stat().st_mtime_ns if started.exists() else None
        process = command("train", "--config", "tiny.yaml", *resume, *long, cwd=folder)
        if kill % 3:  # within the training; the others are killed while they start
            while process.poll() is None and (not started.exists() or started.stat().st_mtime_ns == before):
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.6))
        else:
            time.sleep(rng.uniform(0, 2))
        process.kill()
        out, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, out + err
    resume = ["--resume"] if (folder / RUN / "config.yaml").exists() else []
    train(folder, *resume, *long)
    assert_same(final(folder / RUN), final(folder / "undisturbed"))


def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_is_used(finished, folder):
    process = command("train", "--config", "tiny.yaml", "trainer.checkpoint_every_steps=2", cwd=folder)
    wait_for_checkpoint(folder / RUN, process, count=2)
    process.kill()
    process.communicate()
    newest = checkpoint.steps(folder / RUN / "checkpoints")[-1]
    content = (newest / "optimizer.params").read_bytes()
    (newest / "optimizer.params").write_bytes(content[:-7])
    _, err = train(folder, "--resume", "trainer.checkpoint_every_steps=2")
    assert f"Passed over: checkpoint {RUN}/checkpoints/{newest.name}: optimizer.params" in err
    assert_same(final(folder / RUN), final(finished / RUN))


def content(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit_state(path, **changes):
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, **changes}))
    sums = json.loads((path / "checksums.json").read_text())
    sums["state.json"] = hashlib.sha256((path / "state.json").read_bytes()).hexdigest()
    (path / "checksums.json").write_text(json.dumps(sums))


def test_resume_without_a_usable_checkpoint_is_refused_and_changes_nothing(finished, folder):
    subprocess.run(["cp", "-r", finished / "runs", folder], check=True)
    checkpoints = folder / RUN / "checkpoints"
    for path in checkpoint.steps(checkpoints):
        (path / "head.params").unlink()
    before = content(folder / RUN)
    _, err = train(folder, "--resume", "trainer.epochs=4", status=2)
    assert "checkpoints must hold a usable checkpoint to go on from, got none." in err
    assert "head.params is missing" in err
    assert "--run-dir" in err
    assert before == content(folder / RUN)


def test_a_checkpoint_of_a_newer_format_stops_a_resume_and_stays(finished, folder):
    subprocess.run(["cp", "-r", finished / "runs", folder], check=True)
    newest = checkpoint.steps(folder / RUN / "checkpoints")[-1]
    edit_state(newest, format=2)
    before = content(folder / RUN)
    _, err = train(folder, "--resume", "trainer.epochs=4", status=2)
    assert f"{newest.name}: format must be 1, got 2. Use the version that wrote it, or another folder." in err
    assert before == content(folder / RUN)


@pytest.mark.parametrize("harm", ["arrays of another model", "no position"])
def test_a_whole_checkpoint_with_wrong_content_is_passed_over(finished, folder, harm):
    """Its checksums are right; what it holds is not this run's. The older one is resumed, and what is saved stays."""
    subprocess.run(["cp", "-r", finished / "runs", folder], check=True)
    older, newest = checkpoint.steps(folder / RUN / "checkpoints")[-2:]
    if harm == "no position":
        edit_state(newest, position={"epoch": "three"})
    else:
        shutil.copy(newest / "backbone.params", newest / "head.params")
        sums = json.loads((newest / "checksums.json").read_text())
        (newest / "checksums.json").write_text(json.dumps({**sums, "head.params": sums["backbone.params"]}))
    out, err = train(folder, "--resume", "trainer.epochs=4")
    assert f"Passed over: checkpoint {RUN}/checkpoints/{newest.name}" in err
    assert f"Resumed from {RUN}/checkpoints/{older.name}." in err
    assert [row["epoch"] for row in final(folder / RUN)[2]] == [1, 2, 3, 4]
    out, _ = call("eval", "--run", RUN, "--method", "softmax", cwd=folder)
    assert "(epoch 4" in out


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_up_costs_nothing_that_was_saved(finished, folder):
    (folder / "runs").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=11m", "tmpfs", folder / "runs"], capture_output=True)
    if mounted.returncode:
        pytest.skip("this root may not mount: " + mounted.stderr.decode().strip())
    try:
        _, err = train(folder, status=1)
        assert re.search(r"No space left on device: '.*\.params' Last good checkpoint: \S+/step-", err)
        assert "Traceback" not in err
        (saved,) = (folder / RUN / "checkpoints").iterdir()
        checkpoint.load(saved)
        subprocess.run(["mount", "-o", "remount,size=64m", folder / "runs"], check=True)
        train(folder, "--resume")
        assert_same(final(folder / RUN), final(finished / RUN))
    finally:
        subprocess.run(["umount", folder / "runs"], check=True)


def test_a_second_training_in_the_same_folder_is_refused(folder):
    process = command("train", "--config", "tiny.yaml", "trainer.epochs=1000", cwd=folder)
    wait_for_checkpoint(folder / RUN, process)
    _, err = train(folder, "trainer.epochs=1000", "--resume", status=2)
    assert "another process trains in it" in err
    process.kill()
    process.communicate()


def test_a_diverging_run_stops_with_its_place_and_the_last_good_checkpoint(folder):
    _, err = train(folder, "optimizer.groups=[{name: d, pattern: head, learning_rate: 1e30}]", status=1)
    assert "trainer: loss is" in err
    assert "head lgm" in err
    assert "Traceback" not in err


def test_a_schedule_may_fall_below_every_number(folder):
    """At step 16 it is 3e-321: a number of Python's that MXNet does not read."""
    train(folder, "trainer.epochs=1", "anneal={head.margin: {kind: exponential, start: 0.3, factor: 1e-20}}")
    (row,) = (folder / RUN / "history.jsonl").read_text().splitlines()
    assert json.loads(row)["head.margin"] == 0


@pytest.mark.parametrize(
    "ramp", ["{kind: linear, start: 0, end: 0.1, epochs: 1}", "{kind: piecewise, points: [[0, 0], [0.5, 0.1]]}"]
)
def test_a_regularizer_may_be_let_in_from_nothing(folder, ramp):
    keys = ["regularizers=[{name: ring}]", f"anneal={{regularizers.ring.loss_weight: {ramp}}}", "trainer.epochs=1"]
    train(folder, *keys)
    assert final(folder / RUN)[1]["regularizers.ring.radius"] != 1


# The first epoch is good, the second one is not; and what only the last step of an epoch breaks.
WARMUP = "schedule={{name: constant, warmup: constant, warmup_epochs: {}, warmup_learning_rate: {}}}"


def test_after_a_loss_that_is_not_finite_a_command_goes_on_from_the_last_good_checkpoint(folder):
    _, err = train(folder, "optimizer.learning_rate=1e30", WARMUP.format(1, 1e-3), "anneal={}", status=1)
    last, command = err.strip().splitlines()[-1].split(" Go on from there with a smaller learning rate: ")
    assert "trainer: loss is" in last
    words = shlex.split(command)
    assert words[:2] == ["python", str(ROOT / "scripts" / "train.py")]
    good = RUN / "checkpoints" / "step-00000020"
    assert last.endswith(f"Last good checkpoint: {good}.")
    assert words[2:] == [
        *("--config", f"{RUN}/config.yaml", f"init_from={good}", "optimizer.learning_rate=1e+29"),
        *("--run-dir", f"{RUN}-lower-rate"),
    ]  # fmt: skip
    overrides = ["optimizer.learning_rate=1e-3", "trainer.epochs=1"]
    _, err = call("train", *words[2:], *overrides, cwd=folder)
    assert f"parameters from {good}." in err


def test_parameters_that_the_last_step_of_an_epoch_breaks_stop_the_run_without_a_row(folder):
    decay = "optimizer={name: sgd, learning_rate: 1e30, weight_decay: 1e20}"
    _, err = train(folder, WARMUP.format(0.95, 1e-30), decay, "anneal={}", status=1)
    assert re.search(r"trainer: \S+ must be finite, got nan or inf after the last step of epoch 1 \(learning_rate", err)
    assert "There is no checkpoint yet. Go on anew with a smaller learning rate: python" in err
    assert "Traceback" not in err
    assert (folder / RUN / "history.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("split", "scored"),
    [
        ("validation", ["data.validation_fraction=0.1"]),
        ("test", ["data.validation_fraction=0", "evaluation.test_every_epochs=1"]),
    ],
)
def test_scores_that_overflow_after_an_epoch_stop_the_run_before_its_checkpoint(folder, split, scored):
    optimizer = "optimizer={name: sgd, learning_rate: 1e25, weight_decay: 0}"
    _, err = train(folder, WARMUP.format(0.95, 1e-30), optimizer, "anneal={}", *scored, status=1)
    assert f"trainer: the scores of {split} images must be finite, got nan or inf after the last step of epoch 1" in err
    assert "There is no checkpoint yet. Go on anew with a smaller learning rate: python" in err
    assert "Traceback" not in err
    assert (folder / RUN / "history.jsonl").read_text() == ""


def test_evaluation_by_every_method_and_of_every_split(finished):
    out, _ = call("eval", "--run", RUN, "--json", "values.json", cwd=finished)
    values = json.loads((finished / "values.json").read_text())
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    assert values == metrics["last"]["test"]
    for name, value in values.items():
        assert name in out
        assert f"{value:.4f}" in out
    call(
        "eval", "--run", RUN, "--split", "train", "--method", "knn", "--method", "softmax", "--per-class", cwd=finished
    )
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    assert len(metrics["last"]["train"]["accuracy_per_class"]) == 10
    assert "accuracy_knn" in metrics["last"]["train"]
    assert metrics["last"]["test"] == values


def test_best_and_named_checkpoints_are_evaluated(finished):
    out, _ = call("eval", "--run", RUN, "--checkpoint", "best", "--method", "softmax", cwd=finished)
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    assert f"{metrics['best']['test']['accuracy']:.4f}" in out
    name = checkpoint.steps(finished / RUN / "checkpoints")[-1].name
    call("eval", "--run", RUN, "--checkpoint", name, "--method", "softmax", cwd=finished)
    _, err = call("eval", "--run", RUN, "--checkpoint", "step-1", "--method", "softmax", cwd=finished, status=2)
    assert name in err


def test_embeddings_are_written(finished):
    out, _ = call("embed", "--run", RUN, "--split", "test", "--out", "test.npz", cwd=finished)
    with np.load(finished / "test.npz") as arrays:
        assert arrays["embedding"].shape == (len(arrays["label"]), 2)
        assert arrays["logits"].shape == (len(arrays["label"]), 10)
        assert arrays["prototypes"].shape == (10, 2)
        accuracy = (arrays["logits"].argmax(1) == arrays["label"]).mean()
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    assert accuracy == pytest.approx(metrics["last"]["test"]["accuracy"])
    assert "test.npz" in out


def test_images_are_predicted(finished):
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for k in range(3):
        Image.fromarray((digits.images[k] * 255 / 16).astype(np.uint8)).save(finished / f"{k}.png")
    out, _ = call("predict", "--run", RUN, "0.png", "1.png", "2.png", "--csv", "predicted.csv", cwd=finished)
    lines = (finished / "predicted.csv").read_text().splitlines()
    assert lines[0] == "image,class,probability,log_density"
    assert len(lines) == 4
    assert "0.png" in out
    _, err = call("predict", "--run", RUN, "absent.png", cwd=finished, status=2)
    assert "absent.png" in err


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_run_of_any_name_without_a_standard_error_in_a_locale_without_utf_8(folder):
    """As a daemon starts it; the folder's and the image's names are no UTF-8, another image's is a formula."""
    from PIL import Image

    run, images = os.fsdecode(b"caf\xe9"), [os.fsdecode(b"i\xe9.png"), "=1+1.png", "a\x1b[31m.png"]
    for name in images:
        Image.new("L", (8, 8)).save(folder / name)

    def shell(line, *arguments):
        done = subprocess.run(
            ["bash", "-c", line, "bash", sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **ASCII},
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    script = str(ROOT / "scripts" / "train.py")
    shell('exec "$@" 2>&-', script, "--config", "tiny.yaml", "--run-dir", run, "trainer.epochs=1")
    assert len(final(folder / run)[2]) == 1
    assert (folder / run / ".lock").read_bytes() == b""
    script = str(ROOT / "scripts" / "predict.py")
    out = shell('exec "$@" 2>/dev/full', script, "--run", run, *images, "--csv", "table.csv")
    assert rb"i\udce9.png" in out
    assert rb"a\x1b[31m.png" in out
    rows = (folder / "table.csv").read_bytes().splitlines()
    assert [row.split(b",")[0] for row in rows] == [b"image", b"i\xe9.png", b"'=1+1.png", b"a\x1b[31m.png"]


def test_show_prints_the_resolved_config_and_the_groups_and_trains_nothing(folder):
    out, _ = train(folder, "--show", "head.margin=0.4", "anneal={}")
    assert "margin: 0.4" in out
    assert "# parameter groups" in out
    assert "head.raw_log_variance (lr_mult 0.01, wd_mult 0)" in out
    assert not (folder / "runs").exists()


def test_throughput_is_measured(folder):
    out, _ = call(
        "benchmark",
        "train",
        "--config",
        "tiny.yaml",
        "--seconds",
        0.01,
        "--repetitions",
        2,
        "--json",
        "rates.json",
        cwd=folder,
    )
    rates = json.loads((folder / "rates.json").read_text())
    assert rates["whole"]["n"] == rates["bare"]["n"] == rates["share"]["n"] == 2
    assert f"{rates['bare']['median']:.0f}" in out
    assert 0 < rates["whole"]["min"] <= rates["whole"]["median"] <= rates["whole"]["max"]


@pytest.mark.parametrize("script", ["train", "eval", "predict", "embed", "benchmark"])
def test_help_teaches_and_does_not_import_mxnet(script, tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "scripts" / f"{script}.py", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "--debug" in done.stdout
    assert not IMPORTS_MXNET.search(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--config", "tiny.yaml", "head.margn=1"], "did you mean `margin`?"),
        (["--config", "tiny.yaml", "trainer.epochs=0"], "trainer.epochs"),
    ],
)
def test_a_mistake_is_one_line_and_status_2_without_mxnet(folder, arguments, message):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "scripts" / "train.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2
    assert len(lines) == 1
    assert message in lines[0]
    assert not IMPORTS_MXNET.search(done.stderr)


def test_something_that_is_no_run_is_named(folder):
    _, err = call("eval", "--run", "nowhere", cwd=folder, status=2)
    assert "run: nowhere must be a run folder, but has no config.yaml" in err
    (folder / "empty").mkdir()
    (folder / "empty" / "config.yaml").write_text("seed: 0")
    _, err = call("eval", "--run", "empty", cwd=folder, status=2)
    assert len(err.splitlines()) == 1
