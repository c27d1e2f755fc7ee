"""What a contestant's step does, and that all of its processes are stopped between its turns."""

import importlib
import importlib.util
import operator
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lossbench import _cores
from lossbench.benchmarks.contest import child, own
from lossbench.benchmarks.contest.task import LGM, OPTIMIZER, Missing, Task

ROOT = Path(__file__).resolve().parents[2]
ALONE = "LOSSBENCH_TEST_ALONE"  # set in a process that runs a single test


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """LeNet++ on 40 images."""
    path = tmp_path_factory.mktemp("contestants") / "images.npz"
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(40, dtype=np.int32) % 10, mean=np.array([0.5]), std=np.array([0.3]))
    return Task("lenet", "softmax", 8, str(path))


def weights(name, contestant):
    if name.startswith("pytorch"):
        parameters = [*contestant.backbone.parameters(), *contestant.head.parameters()]
        return [parameter.detach().numpy().copy() for parameter in parameters]
    block = contestant.model.objective if name.startswith("lossbench") else contestant.network
    parameters = block.collect_params().values()
    return [parameter.data().asnumpy() for parameter in parameters if parameter.grad_req != "null"]


@pytest.fixture
def runs_elsewhere(request, name):
    """Whether the test of this contestant has just passed in a process of its own: MXNet crashes beside PyTorch."""
    if "bfloat16" in request.node.name and not _cores.has_bfloat16():
        pytest.skip("this processor has no bfloat16 instructions")
    if not name.startswith("pytorch") or ALONE in os.environ:
        return False
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid]
    environment = {**os.environ, ALONE: "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    return True


@pytest.mark.parametrize("name", ["lossbench", "lossbench-bfloat16", "gluon", "pytorch", "pytorch-bfloat16"])
def test_a_step_trains_all_weights_whole_on_the_next_batch_and_bare_on_one_in_memory(
    name, task, monkeypatch, runs_elsewhere
):
    if runs_elsewhere:
        return
    if name == "gluon":
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: ())  # no workers, which the next test has
    contestant = child.new_contestant(name, task)
    contestant._stream = iter([contestant._batch] * 2)
    contestant.step("bare")  # makes the parameters, whose shapes are not known before
    before = weights(name, contestant)
    for kind, left in (("bare", 2), ("whole", 1)):
        assert contestant.step(kind) == 8
        contestant.wait()
        assert operator.length_hint(contestant._stream) == left
        after = weights(name, contestant)
        assert all(np.abs(new - old).max() > 0 for new, old in zip(after, before))
        before = after
    contestant.close()


@pytest.mark.parametrize("name", ["lossbench", "pytorch"])
def test_bfloat16_moves_the_same_weights_by_about_as_much(name, task, runs_elsewhere):
    """The same start and batch: weights that differ after a step, and not by more than the precision lets them."""
    if runs_elsewhere:
        return
    moved = {}
    for precision in ("", "-bfloat16"):
        if name == "pytorch":
            importlib.import_module("torch").manual_seed(0)
        contestant = child.new_contestant(name + precision, task)
        before = weights(name, contestant)
        contestant.step("bare")
        contestant.wait()
        moved[precision] = [new - old for new, old in zip(weights(name, contestant), before)]
        contestant.close()
    plain, narrow = (np.concatenate([change.ravel() for change in moved[key]]) for key in moved)
    assert 1e-4 < np.linalg.norm(plain - narrow) / np.linalg.norm(plain) < 0.3


@pytest.mark.parametrize("name", ["lossbench-bfloat16", "pytorch-bfloat16"])
def test_a_processor_without_bfloat16_is_named(name, task, monkeypatch):
    monkeypatch.setattr(_cores, "has_bfloat16", lambda: False)
    with pytest.raises(Missing, match="this processor has no bfloat16 instructions"):
        child.new_contestant(name, task)


def test_a_config_of_a_task_says_what_the_others_do():
    settings = own.settings(Task("resnet20", "lgm", 8))
    assert (settings.data.batch_size, settings.data.augment.pad, settings.data.augment.flip) == (8, 4, True)
    assert settings.backbone.name == "resnet20"
    assert {key: getattr(settings.head, key) for key in ("name", *LGM)} == {"name": "lgm", **LGM}
    assert {key: getattr(settings.optimizer, key) for key in ("name", *OPTIMIZER)} == {"name": "nag", **OPTIMIZER}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="states of processes are read from Linux's /proc")
def test_the_workers_of_a_data_loader_are_stopped_too(task):
    def group(number):
        """States of the processes of a group, but of those that have ended."""
        fields = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
        return [state for state, _, process_group, *_ in fields if int(process_group) == number and state != "Z"]

    def stopped(number):
        """Whether all of them come to a stop: a busy machine takes a moment to deliver a signal."""
        for _ in range(100):
            if set(group(number)) == {"T"}:
                return True
            time.sleep(0.05)
        return False

    with child.Child("gluon") as contestant:
        contestant.ask("prepare", task.as_dict())
        assert len(group(contestant._process.pid)) > 1
        assert stopped(contestant._process.pid)
        done = contestant.ask("run", "whole", 0)  # begins with what its workers prepared before
        assert (done["images"], done["steps"]) == (16, 2)
        assert stopped(contestant._process.pid)


def test_a_child_goes_on_when_it_is_asked_again(monkeypatch):
    monkeypatch.setattr(child, "PATIENCE", 60)
    with child.Child("nobody") as contestant:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="nobody failed: AttributeError"):
                contestant.ask("drop")  # nothing has been prepared


def test_plain_gluon_runs_with_the_engine_and_the_threads_that_its_row_names():
    code = (
        "import os, sys\n"
        "from lossbench.benchmarks.contest import child\n"
        "names = 'OMP_NUM_THREADS', 'MXNET_ENGINE_TYPE'\n"
        "child._serve = lambda *_: print(sys.argv[1], *map(os.environ.get, names), file=sys.stderr)\n"
        "for name in child.CONTESTANTS:\n"
        "    os.environ.update(OMP_NUM_THREADS='3', MXNET_ENGINE_TYPE='NaiveEngine')\n"
        "    sys.argv[1:] = [name]\n"
        "    child.main()\n"
        "assert 'mxnet' not in sys.modules  # which reads both while it is imported\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    found = dict(line.split(" ", 1) for line in done.stderr.splitlines())
    plain = {"gluon-default": "None None", "gluon": "3 None"}
    assert found == {**dict.fromkeys(child.CONTESTANTS, "3 NaiveEngine"), **plain}
