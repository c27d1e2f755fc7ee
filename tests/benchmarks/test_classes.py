"""`benchmark.py classes`: the real command on a few classes."""

import json
import pathlib
import subprocess
import sys

from tests.training.test_parts import mpiexec

ROOT = pathlib.Path(__file__).resolve().parents[2]


def benchmark(*arguments):
    command = [sys.executable, ROOT / "scripts" / "benchmark.py", "classes", "--threads", "1", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_measures_all_classes_and_a_share(tmp_path):
    mpiexec()
    sizes = ("--classes", 50, "--embedding-size", 4, "--batch-size", 8, "--samples", 1, 0.2, "--ranks", 2)
    sizes += ("--repetitions", 2)
    done = benchmark(*sizes, "--json", tmp_path / "classes.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "classes.json").read_text())["rows"]
    assert [row["classes"] for row in rows] == [50, 10, 25]
    embeddings, numbers = 8 * 4 * 4, 8 * 8 * 5  # float32, and float64
    counts = 8 * (1 + 1 + 2 + 2)  # images, signal, loss and right answers; scale and margin
    assert [row["sent"] for row in rows] == [0, 0, 2 * embeddings + numbers + counts + 4 * 4]
    for row in rows:
        assert 0 < row["cpu_seconds"]["median"]
        assert row["seconds"]["n"] == 2
        assert 1e7 < row["bytes"] < 1e9
    assert done.stdout.startswith("classes of a step  CPU seconds")


def test_bad_arguments_are_one_line():
    for arguments, message in (
        (("--samples", "0"), "benchmark: `samples` must be in (0, 1], got [0.0]. They are shares of the classes."),
        (("--head", "logit_norm"), "benchmark: `head` must be one that can be sampled, got logit_norm: it brings"),
        (("--classes", "0"), "benchmark: `classes` must be at least 1, got 0."),
    ):
        done = benchmark(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith(message)
