"""Trainings that are killed: the same bits in the end, whatever the moment."""

import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.faults import amount
from tests.faults.trainings import ENVIRONMENT, ROOT, assert_whole

pytestmark = pytest.mark.slow  # real trainings in processes of their own

KILLED = -signal.SIGKILL
CUT = -signal.SIGXFSZ
KINDS = ("sync", "rename", "removal", "array", "figure", "text")


def struck(kind, rng):
    """How a kill strikes: before what changes a name, and in the middle of what is written."""
    if kind in ("array", "figure", "text"):
        return {"fault": "cut", "size": int(rng.choice([0, 60, 150] if kind != "figure" else [0, 2000, 9000]))}, CUT
    return {"fault": "kill"}, KILLED


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_event_loses_nothing(trainings, events, undisturbed, kind):
    """Killed at that event, its resume perhaps killed as well, then left to finish."""
    count = len(events[kind])
    assert count > 4
    numbers = range(1, count + 1, 1 + count // 25) if amount.ALL else [1 + int(amount.seeded(kind).integers(count))]
    for number in numbers:
        rng, run = amount.seeded(kind, number), f"killed-{kind}-{number}"
        fault, status = struck(kind, rng)
        trainings.train(run, kind=kind, number=number, status=status, **fault)
        other = str(rng.choice(KINDS))
        fault, status = struck(other, rng)
        trainings.train(run, kind=other, number=int(rng.integers(1, len(events[other]))), status=(0, status), **fault)
        trainings.train(run)
        assert_whole(trainings.folder / run, undisturbed)
        amount.OUTCOMES[f"killed at {kind}, resumed, perhaps killed again: nothing lost"] += 1
        shutil.rmtree(trainings.folder / run)


@pytest.fixture(scope="module")
def command(trainings):
    """The command that trains, but for the run folder."""
    command = [sys.executable, ROOT / "scripts" / "train.py", "--config", trainings.folder / "tiny.yaml", "--resume"]
    return [*command, "--device", "cpu", "--run-dir"]


@pytest.fixture(scope="module")
def duration(trainings, command):
    """Seconds that it takes."""
    began = time.monotonic()
    subprocess.run([*command, trainings.folder / "timed"], env=ENVIRONMENT, check=True, capture_output=True)
    return time.monotonic() - began


@pytest.mark.skipif(not amount.ALL, reason="tried by make faults")
@pytest.mark.parametrize("number", range(30))
def test_a_kill_at_any_moment_loses_nothing(command, duration, undisturbed, number, tmp_path):
    """The command itself, killed from outside, from its start on."""
    command = [*command, tmp_path / "run"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(amount.seeded("moments", number).uniform(0, duration))
    process.kill()
    assert process.wait() in (KILLED, 0)
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    assert_whole(tmp_path / "run", undisturbed)
    amount.OUTCOMES["killed at any moment: nothing lost"] += 1
