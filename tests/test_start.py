"""How long a command takes to answer: processor time, since a test shares the machine with others."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FIRST_STEP = """
import os, sys, time
from lossbench.training import step
from lossbench._mxnet import mx
from lossbench.cli import train

update = step.Trainer.update

def first_update(*arguments, **options):
    update(*arguments, **options)
    mx.nd.waitall()
    print("first step", time.process_time(), flush=True)
    os._exit(0)

step.Trainer.update = first_update
sys.exit(train.main(sys.argv[1:]))
"""


def processor_seconds(*command, status, cwd):
    """Run a command and return its output and the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, cwd=cwd)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == status, done.stderr
    return done.stdout, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize(
    ("arguments", "status", "limit"),
    [(["--help"], 0, 1.0), (["--config", ROOT / "configs" / "lgm_digits.yaml", "head.margn=1"], 2, 4.5)],
)
def test_help_and_a_mistake_answer_at_once(arguments, status, limit, tmp_path):
    """Half a second on an idle machine for help, without MXNet; a mistake may cost one import of it."""
    _, seconds = processor_seconds(ROOT / "scripts" / "train.py", *arguments, status=status, cwd=tmp_path)
    assert seconds < limit


def test_what_draws_is_imported_when_something_is_drawn():
    code = "import sys, lossbench.experiment; print({'matplotlib', 'sklearn'} & {*sys.modules} or 'neither')"
    out, _ = processor_seconds("-c", code, status=0, cwd=ROOT)
    assert out == "neither\n"


def test_the_first_step_of_the_digits_comes_soon(tmp_path):
    """Six seconds from the command on an idle machine."""
    script = tmp_path / "first_step.py"
    script.write_text(FIRST_STEP)
    arguments = ["--config", ROOT / "configs" / "lgm_digits.yaml", "--run-dir", tmp_path / "run"]
    out, seconds = processor_seconds(script, *arguments, status=0, cwd=ROOT)
    assert "first step" in out
    assert seconds < 12
