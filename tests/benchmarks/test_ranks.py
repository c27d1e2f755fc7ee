"""`benchmark.py ranks`: the real command on a few steps."""

import json
import pathlib
import subprocess
import sys

from tests.training.test_parts import mpiexec

ROOT = pathlib.Path(__file__).resolve().parents[2]


def benchmark(*arguments):
    command = [sys.executable, ROOT / "scripts" / "benchmark.py", "ranks", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, cwd=ROOT)


def test_the_command_measures_one_rank_and_two(tmp_path):
    mpiexec()
    arguments = ("--steps", 2, "--repetitions", 1, "--json", tmp_path / "ranks.json", "data.batch_size=32")
    done = benchmark(*arguments)
    assert done.returncode == 0, done.stderr
    one, two = json.loads((tmp_path / "ranks.json").read_text())["rows"]
    assert (one["ranks"], two["ranks"]) == (1, 2)
    assert one["ratio"]["median"] == 1
    assert two["ratio"]["median"] == two["images_per_second"]["median"] / one["images_per_second"]["median"] > 0
    assert one["exchange_milliseconds"]["median"] <= two["exchange_milliseconds"]["median"] < 1000
    assert 0 < two["exchange_milliseconds"]["median"] < two["cpu_milliseconds"]["median"]
    assert done.stdout.startswith("ranks  images/s")


def test_bad_counts_are_one_line():
    done = benchmark("--ranks", "0")
    assert done.returncode == 2
    assert done.stderr.startswith("benchmark: `ranks`, `steps` and `repetitions` must be at least 1.")
