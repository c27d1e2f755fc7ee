"""The floors that the configs state in their comments, trained for real: two to three hours on two CPU cores.

    make floors

A run goes on where it was interrupted, and one that is finished is not trained again: runs/floors keeps them.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STATED = re.compile(r"# Floor: ([\d.]+) % of the test images after trainer\.epochs=(\d+) \(seed 0: ([\d.]+)\)\.\n")


def stated(path):
    """Floor, epochs and the accuracy of seed 0 that a config states, or None."""
    found = STATED.search(path.read_text(encoding="utf-8"))
    return None if found is None else (float(found[1]), int(found[2]), float(found[3]))


CONFIGS = [path for path in sorted((ROOT / "configs").glob("*.yaml")) if stated(path)]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_short_training_reaches_the_floor(path):
    floor, epochs, _ = stated(path)
    run = ROOT / "runs" / "floors" / path.stem
    command = [sys.executable, ROOT / "scripts" / "train.py", "--config", path, "--run-dir", run, "--resume"]
    subprocess.run([*command, f"trainer.epochs={epochs}", "trainer.progress=lines"], check=True)
    metrics = json.loads((run / "metrics.json").read_text())
    assert 100 * metrics["last"]["test"]["accuracy"] >= floor
