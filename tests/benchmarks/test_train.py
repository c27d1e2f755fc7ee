"""The contest of trainings: the real command, contestants in processes of their own, and what is absent."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lossbench import _cores
from lossbench.benchmarks.contest import child as child_module
from lossbench.benchmarks.contest import measure, merged, table
from lossbench.benchmarks.contest.child import Child
from lossbench.benchmarks.contest.task import Task, write_images

ROOT = Path(__file__).resolve().parent.parent.parent
ARGUMENTS = ["--networks", "lenet", "--losses", "softmax", "--batch-sizes", "8", "--repetitions", "2"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One run of the command on synthetic images: its output and its rows by contestant."""
    folder = tmp_path_factory.mktemp("contest")
    row = {"network": "resnet20", "loss": "lgm", "batch_size": 64, "data": "cifar10", "contestant": "lossbench"}
    (folder / "rates.json").write_text(json.dumps({"rows": [{**row, "missing": "kept"}]}))
    environment = {**os.environ, "LOSSBENCH_DATA": str(folder), "MXNET_HOME": str(folder)}
    command = [
        sys.executable,
        ROOT / "scripts" / "benchmark.py",
        "train",
        *ARGUMENTS,
        "--seconds",
        "0.05",
        "--markdown",
    ]
    done = subprocess.run(
        [*command, "--json", folder / "rates.json"], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((folder / "rates.json").read_text())["rows"]
    return done.stdout, rows


def test_every_contestant_is_measured_or_named_as_missing(measured):
    out, rows = measured
    assert [row["contestant"] for row in rows[1:]] == list(child_module.CONTESTANTS)
    for row in rows[1:]:
        assert (row["network"], row["loss"], row["batch_size"], row["data"]) == ("lenet", "softmax", 8, "synthetic")
        if row["contestant"].endswith("bfloat16") and not _cores.has_bfloat16():
            assert row["missing"] == "this processor has no bfloat16 instructions"
        elif row["contestant"].startswith("pytorch") and importlib.util.find_spec("torch") is None:
            assert row["missing"] == "PyTorch is not installed"
            assert "PyTorch, channels last: PyTorch is not installed" in out
        else:
            assert row["whole"]["n"] == row["bare"]["n"] == row["share"]["n"] == 2
            assert 1 < row["whole"]["min"] <= row["whole"]["median"] <= row["whole"]["max"]
            assert f"{row['whole']['median']:.0f} (" in out


def test_ratios_are_to_lossbench_repetition_by_repetition(measured):
    _, rows = measured
    ours, *others = [row for row in rows[1:] if "whole" in row]
    assert ours["ratio"] == {"median": 1, "min": 1, "max": 1, "n": 2}
    for row in others:
        low, high = ours["whole"]["min"] / row["whole"]["max"], ours["whole"]["max"] / row["whole"]["min"]
        assert low <= row["ratio"]["min"] <= row["ratio"]["max"] <= high


def test_rows_of_other_tasks_stay_in_the_file_and_the_table(measured):
    out, rows = measured
    assert rows[0]["missing"] == "kept"
    assert "| ResNet-20, L-GM, 64 | lossbench: kept |" in out


def test_a_task_measured_anew_replaces_its_rows():
    a = {"network": "lenet", "loss": "lgm", "batch_size": 64, "data": "mnist", "contestant": "pytorch", "missing": "x"}
    b = {**a, "network": "resnet20"}
    assert merged([{**a, "missing": "old"}], [a, b]) == [b, a]
    assert [line[0] for line in table([b, b, a])[1:]] == ["ResNet-20, L-GM, 64", "", "LeNet++, L-GM, 64"]


def states(pid):
    """Of its threads, by their letters; the system takes a process for stopped when all of them are."""
    found = set()
    for file in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # gone meanwhile
            found.add(file.read_text().rpartition(")")[2].split()[0])
    return found


def await_(condition):
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_child_is_stopped_between_its_turns_and_ends_with_its_parent():
    code = """
import sys
from lossbench.benchmarks.contest.child import Child
child = Child("lossbench")
try:
    child.ask("prepare", {"network": "lenet", "loss": "softmax", "batch_size": 4, "images": "absent.npz"})
except RuntimeError as error:
    print(error)
print(child._process.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True)
    try:
        assert "lossbench failed: FileNotFoundError" in parent.stdout.readline()
        pid = int(parent.stdout.readline())
        assert await_(lambda: states(pid) == {"T"})
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert await_(lambda: states(pid) <= {"Z"})  # none where it is gone
    finally:
        parent.kill()
        parent.wait()
        parent.stdin.close()
        parent.stdout.close()


def test_a_child_that_ends_is_an_error():
    with Child("no such one") as child:
        child._process.kill()
        with pytest.raises(RuntimeError, match="no such one ended with status -9"):
            child.ask("drop")


def test_images_are_the_real_ones_only_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    path, source = write_images("resnet20", tmp_path)
    images, labels, mean, std = Task("resnet20", "softmax", 8, path).arrays()
    assert source == "synthetic"
    assert images.shape == (20_000, 3, 32, 32)
    assert images.dtype == np.uint8
    assert np.allclose(images.mean(axis=(0, 2, 3)) / 255, mean, atol=1e-6)
    assert np.allclose(images.std(axis=(0, 2, 3)) / 255, std, atol=1e-6)
    assert sorted(set(labels.tolist())) == list(range(10))


def test_a_contestant_that_does_not_answer_is_ended_and_named(monkeypatch):
    monkeypatch.setattr(child_module, "PATIENCE", 0.2)  # too short to import MXNet
    tasks = [("lenet", "softmax", 8), ("lenet", "softmax", 16)]
    rows = measure(tasks, ["lossbench"], seconds=0, repetitions=1)
    assert [row["missing"] for row in rows] == 2 * ["no answer in 0.2 s"]  # it is not asked again
    assert "lossbench: no answer in 0.2 s" in table(rows)[1]
