"""Trainings that faults strike, and what such a training must end with."""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np

from lossbench import params
from lossbench.runs import Run

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = """\
seed: 5  # the best epoch is not the last one
data: {source: digits, batch_size: 64, limit: 320, validation_fraction: 0.2, augment: {pad: 1}}
backbone: {name: lenet, embedding_size: 2}
head: {name: lgm, margin: 0.1}
regularizers: [{name: center}]
optimizer: {name: adam, learning_rate: 1e-3}
schedule: {name: one_cycle}
trainer: {epochs: 4, checkpoint_every_steps: 3, keep_checkpoints: 2, progress: none}
evaluation: {methods: [softmax, knn, confusion], embeddings_every_epochs: 1}
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
VOLATILE = {"seconds", "images_per_second"}


class Trainings:
    """Trainings in one folder, each a process of its own that may be stricken."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tiny.yaml").write_text(CONFIG)
        self._server = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "faults" / "stricken.py"],
            cwd=folder, env=ENVIRONMENT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def train(self, run, *, status=0, kind=None, number=0, **job):
        """Start or go on with a training, where the fault strikes at the `number`-th event of a kind."""
        arguments = ["--config", "tiny.yaml", "--run-dir", str(run), "--resume", "--device", "cpu"]
        print(json.dumps({"arguments": arguments, "kind": kind, "number": number, **job}), file=self._server.stdin)
        self._server.stdin.flush()
        done = json.loads(self._server.stdout.readline())
        assert done["status"] in (status if isinstance(status, tuple) else (status,)), done["out"] + done["err"]
        assert "Traceback" not in done["err"], done["err"]
        return done

    def events(self, run):
        """Train without fault; returns kind -> the files of its events, in order."""
        log, found = self.folder / "events", collections.defaultdict(list)
        self.train(run, log=str(log))
        for kind, name in map(json.loads, log.read_text().splitlines()):
            found[kind].append(re.sub(r"^\.(.*)\.\d+$", r"\1", name))  # the file that a temporary one becomes
        return found

    def close(self):
        self._server.communicate()


def contents(path):
    """All that a run holds, by name, but for what names times and machines."""
    run = Run(path)
    found = {file.name: file.read_bytes() for file in (run.config_file, path / "data.json", path / "plan.json")}
    found |= {file.name: file.read_bytes() for file in (path / "data.png", *sorted(run.plots.iterdir()))}
    found["metrics"], found["drawn"] = run.metrics, run.drawn
    found["history"] = [{k: v for k, v in row.items() if k not in VOLATILE} for row in run.history]
    for file in [*run.embeddings.iterdir(), *run.evaluation.iterdir()]:
        with np.load(file) as arrays:
            found[file.name] = {name: arrays[name].tolist() for name in arrays}
    for step in run.steps():
        state = json.loads((step / "state.json").read_text())
        del state["position"]["seconds"]
        found[step.name] = state
        for file in step.glob("*.params"):
            found[f"{step.name}/{file.name}"] = {n: (a.shape, a.tobytes()) for n, a in params.read(file).items()}
    return found


def assert_whole(path, undisturbed):
    """A run that faults struck has ended with every bit of one that was left alone, and with nothing besides."""
    run = Run(path).read_all()
    assert run.problems == []
    assert run.missing == []
    got = contents(path)
    assert sorted(got) == sorted(undisturbed)
    assert [name for name in undisturbed if got[name] != undisturbed[name]] == []
    assert [file.name for file in path.rglob(".*") if file.name != ".lock"] == []
