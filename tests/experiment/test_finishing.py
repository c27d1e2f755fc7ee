"""Runs interrupted in their last evaluation, by the real thing: each resume does what is missing and nothing twice."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from lossbench import cli, config, experiment
from lossbench.runs import Run

pytestmark = pytest.mark.slow  # real trainings in processes of their own

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = """\
data: {source: digits, batch_size: 256, validation_fraction: 0.1}
backbone: {name: convnet, embedding_size: 2}
head: {name: softmax}
optimizer: {name: adam, learning_rate: 2e-3}
trainer: {epochs: 2, progress: none}
evaluation: {methods: [softmax, knn, confusion, geometry]}
"""
FAULTY = """\
import os, resource, signal, sys
name, fault = sys.argv[1:3]
waiting = True

def hook(event, arguments):
    global waiting
    if waiting and event == "os.rename" and os.path.basename(os.fspath(arguments[1])) == name:
        waiting = False
        if fault == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        else:
            os.kill(os.getpid(), getattr(signal, fault))

sys.addaudithook(hook)
from lossbench.cli import train
sys.exit(train.main(sys.argv[3:], "train.py"))
"""
FAULTS = [  # the file that is about to take its place, the fault, the exit status
    ("metrics.json", "SIGKILL", -9),
    ("last-test-confusion.npz", "SIGTERM", 143),
    ("norms.png", "SIGKILL", -9),
    ("best-validation-confusion.npz", "full", 1),
    ("metrics.json", "SIGINT", 130),
]


def run(folder, *command, status=0):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def contents(path):
    """What the end of a training writes, by name: values, arrays and the bytes of pictures."""
    found = {"metrics": json.loads((path / "metrics.json").read_text())}
    for file in sorted((path / "evaluation").iterdir()):
        with np.load(file) as arrays:
            found[file.name] = {name: arrays[name].tolist() for name in arrays}
    return {**found, **{file.name: file.read_bytes() for file in (path / "plots").iterdir()}}


def written(path):
    """When each array and picture was written that the run counts as done."""
    records = [file.read_text() for file in (path / "metrics.json", path / "drawn.json") if file.exists()]
    found = [*path.glob("evaluation/[!.]*"), *path.glob("plots/[!.]*")]
    return {file: file.stat().st_mtime_ns for file in found if any(file.name in record for record in records)}


def test_an_evaluation_that_is_interrupted_again_and_again_ends_like_an_undisturbed_one(tmp_path, capsys):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    train = ["--config", "tiny.yaml", "--run-dir"]
    run(tmp_path, ROOT / "scripts" / "train.py", *train, "whole")
    path, resume = tmp_path / "broken", []
    for name, fault, status in FAULTS:
        before = written(path)
        done = run(tmp_path, "-c", FAULTY, name, fault, *train, "broken", *resume, status=status)
        assert not Run(path).is_finished
        assert written(path).items() >= before.items()
        assert status < 0 or "--resume" in done.stderr
        if not resume:
            assert list(path.glob(".metrics.json.*")), "the killed writer's file"
            assert cli.main(["eval", "--run", str(path), "--method", "knn"]) == 0
            assert not Run(path).is_finished
            assert cli.main(["train", "--config", str(tmp_path / "tiny.yaml"), "--run-dir", str(path)]) == 2
            assert "holds an unfinished run. Go on with it: --resume" in capsys.readouterr().err
            assert not list(path.glob(".metrics.json.*"))
        resume = ["--resume"]
    before = written(path)
    run(tmp_path, ROOT / "scripts" / "train.py", *train, "broken", *resume)
    assert Run(path).is_finished
    assert written(path).items() >= before.items()
    assert contents(path) == contents(tmp_path / "whole")


def test_each_split_goes_through_the_network_once_where_the_last_parameters_are_the_best(tmp_path, monkeypatch):
    asked, outputs = [], experiment.Model.outputs
    monkeypatch.setattr(
        experiment.Model,
        "outputs",
        lambda self, images, **how: asked.append(len(images)) or outputs(self, images, **how),
    )
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    quick = ["trainer.epochs=1", "evaluation.embeddings_every_epochs=null"]
    experiment.run(config.load(tmp_path / "tiny.yaml", quick), tmp_path / "run")
    validation = 144  # at the epoch's end, too
    assert sorted(asked) == [validation, validation, 359, 1294]
    found = contents(tmp_path / "run")
    measured = found.pop("metrics")
    assert measured["best"] == json.loads(json.dumps(measured["last"]).replace("/last-", "/best-"))
    assert {name: arrays for name, arrays in found.items() if name.startswith("best-")} == {
        name.replace("last-", "best-"): arrays for name, arrays in found.items() if name.startswith("last-")
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, made in this process."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(CONFIG)
    experiment.run(config.load(folder / "tiny.yaml", ["trainer.epochs=1"]), folder / "run", device="cpu")
    return folder


def resume(folder, *overrides, **options):
    settings = config.load(folder / "tiny.yaml", ["trainer.epochs=1", *overrides])
    return experiment.run(settings, folder / "run", resume=True, device="cpu", **options)


def test_what_the_config_asks_for_in_addition_is_done_on_resume(finished):
    before = Run(finished / "run")
    assert before.is_finished
    result = resume(finished, "evaluation.methods=[softmax, knn, confusion, geometry, class_means]", "data.workers=0")
    assert not result.finished_before
    after = Run(finished / "run")
    assert after.is_finished
    added = after.metrics["best"]["test"].pop("accuracy_class_means")
    assert 0 < added <= 1
    assert after.metrics["best"]["test"] == before.metrics["best"]["test"]
    assert after.value("data.workers") == 0
    assert resume(finished, "evaluation.methods=[softmax, knn, confusion, geometry, class_means]").finished_before


def test_pictures_are_those_that_the_config_names(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    none, some = "evaluation.pictures=[]", "evaluation.pictures=[angles, confusion]"
    experiment.run(config.load(tmp_path / "tiny.yaml", ["trainer.epochs=1", none]), tmp_path / "run", device="cpu")
    assert Run(tmp_path / "run").is_finished
    assert not (tmp_path / "run/plots").exists()
    assert resume(tmp_path, none).finished_before
    assert not resume(tmp_path, some).finished_before
    drawn = sorted(file.name for file in (tmp_path / "run/plots").iterdir())
    assert drawn == ["angles.png", "confusion-test.png"]
    assert resume(tmp_path, some).finished_before


def test_values_of_another_k_are_measured_anew(finished):
    before = Run(finished / "run").metrics["last"]["test"]["accuracy_knn"]
    resume(finished, "evaluation.k=1000")
    after = Run(finished / "run")
    assert after.is_finished
    assert after.metrics["last"]["test"]["accuracy_knn"] != before


DAMAGES = [
    ("history.jsonl", "{torn"),
    ("history.jsonl", '{"epoch": 1, "step": 5, "loss": NaN, "seconds": [1]}'),
    ("metrics.json", '{"last": '),
    ("metrics.json", '{"last": {"epoch": 1, "step": 5, "test": {"accuracy": 1' + "0" * 4000 + "}}}"),
    ("environment.json", "[" * 100_000),
    ("environment.json", '{"data": 3, "versions": [1]}'),
    ("drawn.json", "null"),
    ("data.json", "{"),
    ("plan.json", "{"),
]


@pytest.mark.parametrize(("name", "content"), DAMAGES, ids=[f"{name}-{k}" for k, (name, _) in enumerate(DAMAGES)])
def test_a_damaged_file_is_named_by_every_command_and_a_resume_does_what_is_missing(
    finished, tmp_path, capsys, name, content
):
    path = tmp_path / "run"
    shutil.copytree(finished / "run", path)
    (path / name).write_text(content)
    is_harmless = content.startswith('{"data"')

    def call(command, *arguments):
        assert cli.main([command, *map(str, arguments)]) == 0
        return capsys.readouterr().err

    said = call("embed", "--run", path, "--out", tmp_path / "test.npz")
    assert is_harmless or name in said
    said = call("eval", "--run", path, "--method", "softmax")
    assert is_harmless or name in said
    call("plot", path, "--kinds", "training", "confusion")
    (path / name).write_text(content)
    said = call("report", path, "--out", tmp_path / "page.html")
    assert is_harmless or name in said
    said = call("train", "--config", path / "config.yaml", "--run-dir", path, "--resume", "trainer.progress=lines")
    after = Run(path).read_all()
    assert [problem for problem in after.problems if problem not in said] == [], said
    assert after.is_finished
    assert set(after.metrics["last"]["test"]) >= {"accuracy", "accuracy_knn", "confusion", "geometry"}
    assert name in ("history.jsonl", "environment.json", "data.json") or after.problems == []


def test_a_damaged_best_checkpoint_is_said_in_its_values_place(finished, tmp_path, capsys):
    path = tmp_path / "run"
    shutil.copytree(finished / "run", path)
    overrides = ["--config", str(finished / "tiny.yaml"), "--run-dir", str(path), "--resume", "trainer.progress=lines"]
    assert cli.main(["train", *overrides, "trainer.epochs=2"]) == 0
    first, last = Run(path).steps()
    state = json.loads((last / "state.json").read_text())  # as if the first epoch had been the better one
    state["position"]["best"] = {"epoch": 1, "step": int(first.name[5:]), "accuracy": 1.0}
    (last / "state.json").write_text(json.dumps(state))
    sums = json.loads((last / "checksums.json").read_text())
    sums["state.json"] = hashlib.sha256((last / "state.json").read_bytes()).hexdigest()
    (last / "checksums.json").write_text(json.dumps(sums))
    rows = Run(path).history
    Run(path).write_history([{**rows[0], "validation_accuracy": 1.0}, rows[1]])
    (first / "head.params").write_bytes(b"torn")
    before = Run(path)
    assert not before.is_finished
    assert cli.main(["train", *overrides, "trainer.epochs=2"]) == 0
    out, err = capsys.readouterr()
    said = f"checkpoint {first}: head.params must have the checksum it was written with."
    assert f"The best epoch, 1, cannot be evaluated: {said}" in err
    after = Run(path)
    assert after.is_finished
    assert after.metrics["last"] == before.metrics["last"]
    assert after.metrics["best"]["epoch"] == 1
    assert after.metrics["best"]["test"]["accuracy"] == {"unavailable": said}
    assert "unavailable: checkpoint" in out
    assert cli.main(["report", str(path), "--out", str(tmp_path / "page.html")]) == 0
    assert cli.main(["eval", "--run", str(path), "--checkpoint", "best"]) == 2
    assert said in capsys.readouterr().err


def test_a_run_is_opened_while_it_trains_and_prunes(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    quick = ["trainer.keep_checkpoints=1", "trainer.checkpoint_every_steps=1", "trainer.epochs=1000"]
    command = [sys.executable, ROOT / "scripts" / "train.py", "--config", "tiny.yaml", "--run-dir", "run", *quick]
    training = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        run, seen = Run(tmp_path / "run"), set()
        while not run.steps():
            assert training.poll() is None
            time.sleep(0.01)
        deadline = time.monotonic() + 120
        while len(seen) < 5 and time.monotonic() < deadline:
            seen.add(experiment.open_run(run.path, device="cpu").step)
        assert len(seen) == 5
        assert len(run.steps()) <= 3
        assert training.poll() is None
    finally:
        training.kill()
        training.wait()
