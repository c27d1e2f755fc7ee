"""A long training: memory, open files and threads stay what they were."""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

import pytest

from tests.faults import amount
from tests.faults.trainings import ENVIRONMENT, ROOT

STEPS = 3000
MEMORY = 4 << 20
CONFIG = """\
data: {source: digits, batch_size: 64, limit: 800, validation_fraction: 0.2, augment: {pad: 1}}
backbone: {name: lenet, embedding_size: 2}
head: {name: lgm, margin: 0.1}
regularizers: [{name: center}]
optimizer: {name: adam, learning_rate: 1e-3}
trainer: {epochs: 300, checkpoint_every_steps: 50}
evaluation: {methods: [softmax, knn], embeddings_every_epochs: 30, test_every_epochs: 10}
"""


def usage(process):
    """Resident bytes, threads and open files of a process."""
    folder = pathlib.Path(f"/proc/{process.pid}")
    status = (folder / "status").read_text()
    resident, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))
    return resident << 10, threads, len(os.listdir(folder / "fd"))


@pytest.mark.skipif(not amount.ALL, reason="tried by make faults")
def test_three_thousand_steps_take_no_more_than_a_hundred(tmp_path):
    (tmp_path / "long.yaml").write_text(CONFIG)
    command = [sys.executable, ROOT / "scripts" / "train.py", "--config", "long.yaml", "--run-dir", "run"]
    command += ["--device", "cpu"]
    samples = []
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("epoch "):
                samples.append(usage(process))
    assert process.returncode == 0, line
    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == STEPS
    assert len(samples) == 300
    early, late = samples[60:120], samples[-60:]
    for number, (name, most) in enumerate([("memory", MEMORY), ("threads", 0), ("open files", 0)]):
        before, after = (statistics.median(sample[number] for sample in part) for part in (early, late))
        amount.OUTCOMES[f"{STEPS} steps: {name} {before:,.0f} after the first hundreds, {after:,.0f} at the end"] += 1
        assert after - before <= most, name
