"""The real command line under mpiexec: bits, resumes, and what becomes of all when one is stopped, killed or fails."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lossbench import checkpoint
from tests.experiment.test_run import ROOT, assert_same, final
from tests.training.test_parts import mpiexec

pytestmark = pytest.mark.slow  # real trainings in processes of their own

CONFIG = """\
data: {source: digits, batch_size: 62, validation_fraction: 0.1, augment: {pad: 1}}
backbone: {name: resnet20}
head: {name: arcface, scale: 16}
regularizers: [{name: center}, {name: ring, radius: auto}]
optimizer: {name: nag, learning_rate: 0.02, weight_decay: 1e-3, clip_global_norm: 2}
schedule: {name: one_cycle}
anneal: {head.margin: {kind: linear, start: 0.03, end: 0.3, epochs: 1}}
trainer: {epochs: 3, accumulate_steps: 2, checkpoint_every_steps: 1}
evaluation: {methods: [softmax, centers], pictures: []}
"""
RUN = pathlib.Path("runs/tiny/seed-0")
SCRIPT = [sys.executable, "-m", "mpi4py", str(ROOT / "scripts" / "train.py"), "--config", "tiny.yaml", "--distributed"]
FAILS = """\
import sys
from lossbench.cli.train import main
from lossbench.training import step

update = step.Trainer.update
def failing(self, *arguments):
    if self.step == 5:
        raise IndexError("planted")
    return update(self, *arguments)

step.Trainer.update = failing
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return tmp_path


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def start(folder, *programs):
    """One process for each program, or two of the script with these arguments."""
    parts = programs if isinstance(programs[0], list) else [[*SCRIPT, *programs]] * 2
    command = [mpiexec()]
    for program in parts:
        command += [*([":"] if len(command) > 1 else []), "-n", "1", *program]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment(), **pipes)


def ended(process, status):
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, out + err
    return out, err


def struck(process, rank, number, status):
    """Send a signal to a rank, 0 or 1, or to `mpiexec`, None; returns what the job wrote until it ended.

    What came of it is printed: `pytest -rP -k ranks_that_are` shows it.
    """
    target = process.pid if rank is None else ranks_of(process)[rank]
    began = time.monotonic()
    os.kill(target, number)
    _, err = ended(process, status)
    said = [line for line in err.splitlines() if re.search("is saved|must return|BAD TERMINATION|EXIT CODE", line)]
    name = "mpiexec" if rank is None else f"rank {rank}"
    seconds = time.monotonic() - began
    print(f"{signal.Signals(number).name} to {name}: status {status} after {seconds:.1f} s. {' '.join(said)}")
    assert seconds < 20
    return err


def ranks_of(process):
    """Process ids of the ranks of a job, by rank."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            rank = re.search(rb"\0PMI_RANK=(\d+)\0", (path / "environ").read_bytes())
            is_ours = b"tiny.yaml" in (path / "cmdline").read_bytes() and descends(int(path.name), process.pid)
        except OSError:  # it has ended
            continue
        if rank and is_ours:
            found[int(rank[1])] = int(path.name)
    return found


def descends(number, ancestor):
    """Whether a process was started by another, or by one that this one started."""
    while number not in (0, ancestor):
        number = int(pathlib.Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    return number == ancestor


def wait_for_checkpoint(folder, process):
    """Wait for the first one that this job writes."""
    before = checkpoint.steps(folder / RUN / "checkpoints")[-1:]
    deadline = time.monotonic() + 120
    while checkpoint.steps(folder / RUN / "checkpoints")[-1:] == before and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "tiny.yaml").write_text(CONFIG)
    process = start(folder, "--run-dir", RUN)
    return folder / RUN, ended(process, 0)


def test_two_ranks_write_the_run_of_two_devices(undisturbed, folder):
    run, (out, err) = undisturbed
    assert out.count("last (epoch 3), test:") == 1
    assert "2 ranks on " in err
    command = [sys.executable, ROOT / "scripts" / "train.py", "--config", "tiny.yaml", "--device", "cpu:0,1"]
    subprocess.run(command, check=True, cwd=folder, env=environment(), capture_output=True)
    assert_same(final(run), final(folder / RUN))
    assert json.loads((run / "metrics.json").read_text()) == json.loads((folder / RUN / "metrics.json").read_text())
    assert len(json.loads((run / "environment.json").read_text())["hosts"]) == 2


def test_two_ranks_of_64_images_train_as_one_of_128(folder):
    """Without batch normalization, over 20 steps."""
    few = ("backbone={name: lenet, embedding_size: 8}", "data.batch_size=128", "trainer.accumulate_steps=1")
    few += ("head={name: softmax}", "anneal={}", "regularizers=[]", "optimizer.learning_rate=0.01")
    few += ("trainer.checkpoint_every_steps=null", "trainer.max_steps=20")
    ended(start(folder, "--run-dir", RUN, *few), 0)
    command = [sys.executable, ROOT / "scripts" / "train.py", "--config", "tiny.yaml", "--run-dir", "one", *few]
    subprocess.run(command, check=True, cwd=folder, env=environment(), capture_output=True)
    (step, two, _, _), (other_step, one, _, _) = final(folder / RUN), final(folder / "one")
    assert step == other_step == "step-00000020"
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def test_ranks_that_are_stopped_or_killed_end_the_job_and_a_resume_has_the_same_bits(undisturbed, folder):
    """One job after another in the same folder: SIGTERM, SIGINT, SIGSTOP, SIGKILL, and one that is left alone."""

    def strike(rank, number, status, *arguments):
        process = start(folder, "--run-dir", RUN, *arguments)
        wait_for_checkpoint(folder, process)
        return struck(process, rank, number, status)

    for rank, number, status, arguments in [
        (1, signal.SIGTERM, 143, ()),
        (None, signal.SIGINT, 130, ("--resume",)),
    ]:
        err = strike(rank, number, status, *arguments)
        assert err.count("everything is saved") == 1
        assert "Traceback" not in err

    err = strike(1, signal.SIGSTOP, 1, "--resume", "--exchange-timeout", "3")
    (line,) = [line for line in err.splitlines() if "must return" in line]
    assert "distributed: the exchange of epoch " in line
    assert "got nothing for 3 s: a rank was stopped or cannot be reached. Last good checkpoint: runs/tiny" in line
    assert "--resume" in line

    for rank in (0, 1):
        strike(rank, signal.SIGKILL, 9, "--resume")

    _, err = ended(start(folder, "--run-dir", RUN, "--resume"), 0)
    assert "Resumed from" in err
    assert_same(final(folder / RUN), final(undisturbed[0]))


def test_an_error_in_one_rank_ends_the_job(folder):
    fails = [sys.executable, "-c", FAILS, "--config", "tiny.yaml", "--distributed", "--run-dir", str(RUN)]
    _, err = ended(start(folder, [*SCRIPT, "--run-dir", str(RUN)], fails), 1)
    assert "IndexError: planted" in err
    assert "rank 1 on " in err
    assert checkpoint.steps(folder / RUN / "checkpoints")


def test_ranks_that_differ_are_refused(folder):
    _, err = ended(start(folder, SCRIPT, [*SCRIPT, "seed=1"]), 2)
    assert "distributed: config must be the same on every rank, got another on rank 1, " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("mistake", "said"),
    [("--plugin=absent.py", "absent.py must be a Python file, but there is none"), ("--epochs", "--epochs")],
)
def test_a_rank_that_fails_before_it_knows_the_others_ends_the_job(folder, mistake, said):
    _, err = ended(start(folder, SCRIPT, [*SCRIPT, mistake]), 2)
    assert said in err
    assert "Traceback" not in err


def test_a_user_s_mistake_is_said_once(folder):
    _, err = ended(start(folder, "head.margn=1"), 2)
    assert err.count("head.margn: unknown key; did you mean `margin`?") == 1


def test_another_number_of_ranks_resumes_and_says_so(undisturbed, folder):
    shutil.copytree(undisturbed[0], folder / RUN)
    _, err = ended(start(folder, [*SCRIPT, "--resume", "trainer.epochs=4"]), 0)
    assert "Its batches were computed in 2 parts, now in 1: last bits differ from here on." in err
    assert len(final(folder / RUN)[2]) == 4


def test_a_loss_that_is_not_finite_ends_all_with_its_step(folder):
    _, err = ended(
        start(
            folder,
            "optimizer.groups=[{name: d, pattern: head, learning_rate: 1e30}]",
            "trainer.checkpoint_every_steps=null",
        ),
        1,
    )
    assert err.count("trainer: loss is") == 1
    assert "Traceback" not in err


def test_the_script_alone_is_refused(folder):
    mpiexec()
    done = subprocess.run(SCRIPT, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "distributed: must be started by mpiexec" in done.stderr
