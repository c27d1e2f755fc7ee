"""Trainings whose disk fills at one of their files: a line names it, and with space again the same bits come out."""

import os
import shutil
import subprocess

import pytest

from tests.faults import amount
from tests.faults.trainings import Trainings, assert_whole

pytestmark = [
    pytest.mark.slow,  # real trainings in processes of their own
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root"),
]

KINDS = ("array", "figure", "text")


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """Trainings in a folder that is a disk of its own."""
    folder = tmp_path_factory.mktemp("disk")
    options = "size=48m,nr_inodes=500"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this root may not mount: {mounted.stderr.strip()}")
    trainings = Trainings(folder)
    yield trainings
    trainings.close()
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("fault", ["fill", "names"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_fills_loses_nothing(small_disk, events, undisturbed, kind, fault):
    """No byte is left, a few are, or no file can be made any more."""
    rng = amount.seeded(f"{kind} {fault}")
    if amount.ALL:
        numbers = range(1, len(events[kind]) + 1, 1 if kind == "figure" else 3)
    else:
        numbers = [1 + int(rng.integers(len(events[kind])))]
    for number in numbers:
        size = 4096 * int(rng.choice([0, 0, 1, 40]) if kind == "array" else 0)
        done = small_disk.train("run", kind=kind, number=number, fault=fault, size=size, status=(0, 1) if size else 1)
        if done["status"]:
            (line,) = done["err"].splitlines()
            assert "No space left on device: '" in line
            assert events[kind][number - 1] in line or size or kind == "figure", line
            amount.OUTCOMES[f"full disk at {kind}: one line, nothing lost"] += 1
        ballast = small_disk.folder / "ballast"
        shutil.rmtree(ballast) if ballast.is_dir() else ballast.unlink(missing_ok=True)
        small_disk.train("run")
        assert_whole(small_disk.folder / "run", undisturbed)
        shutil.rmtree(small_disk.folder / "run")
