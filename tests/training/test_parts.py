"""Batches in parts: devices of one process against one device, against ranks of MPI, and what crosses between ranks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lossbench._mxnet import mx
from lossbench.training.communication import ALONE
from tests.training import cases

ROOT = Path(__file__).resolve().parents[2]
RANKS = 3


def mpiexec():
    """The launcher beside this interpreter, or the system's."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install mpi4py mpich")
    found = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if not found:
        pytest.skip("mpiexec is not installed: pip install mpich")
    return found


@pytest.mark.parametrize("name", sorted(set(cases.CASES) - {"normalized", "uneven", "empty"}))
def test_two_devices_train_as_one(name):
    one, two = (cases.trained(devices, **cases.CASES[name]) for devices in ([mx.cpu()], [mx.cpu(0), mx.cpu(1)]))
    for key, value in one.items():
        np.testing.assert_allclose(two[key], value, rtol=1e-5, atol=1e-5, err_msg=key)


def test_running_statistics_are_the_same_on_every_device_after_a_step():
    devices = [mx.cpu(0), mx.cpu(1)]
    found = [cases.trained(devices, normalized=True, batch_size=26, epochs=1, read=k) for k in (0, 1)]
    for name in ("backbone.1.running_mean", "backbone.1.running_var"):
        np.testing.assert_array_equal(found[0][name], found[1][name])
        assert np.ptp(found[0][name]) > 0


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """case -> name -> array, of as many ranks and of as many devices; what a rank computed is the same on each."""
    folder = tmp_path_factory.mktemp("ranks")
    work = [sys.executable, "-m", "tests.training.ranks", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for command in ([mpiexec(), "-n", str(RANKS), *work], [*work, str(RANKS)]):
        subprocess.run(command, check=True, timeout=240, cwd=ROOT, env=environment)

    def read(case, name):
        return dict(np.load(folder / f"{case}-{name}.npz"))

    for case in cases.CASES:
        for rank in range(1, RANKS):
            same(read(case, rank), read(case, 0))
    return {case: (read(case, 0), read(case, "devices")) for case in cases.CASES}


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(other[name], value, err_msg=name)


@pytest.mark.parametrize("case", cases.CASES)
def test_ranks_compute_the_bits_of_as_many_devices(computed, case):
    same(*computed[case])


def test_one_process_has_everything_already():
    array = np.arange(3.0)
    assert ALONE.sum(array) is array
    assert ALONE.gather([1, 2]).tolist() == [[1.0, 2.0]]
    assert ALONE.gather_values({"a": 1}) == [{"a": 1}]
    assert ALONE.broadcast({"a": 1}) == {"a": 1}
    assert ALONE.broadcast_array(array) is array
    assert ALONE.stop(15) == 15
