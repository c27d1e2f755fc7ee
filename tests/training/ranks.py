"""What `test_parts.py` runs: under `mpiexec`, exchanges held against closed forms and the cases; alone, devices."""

import os
import sys

import numpy as np

from lossbench._mxnet import mx
from lossbench.training import communication
from tests.training import cases


def check_exchanges(communicator):
    rank, size = communicator.rank, communicator.size
    rng = np.random.default_rng(0)
    for length in (1, size, 1000, 1001):
        everyone = rng.normal(size=(size, length)).astype(np.float32)
        expected = everyone[0].copy()
        for other in everyone[1:]:
            expected += other
        assert (communicator.sum(everyone[rank]) == expected).all()
    assert communicator.gather([rank, 7]).tolist() == [[k, 7] for k in range(size)]
    assert communicator.gather_values({"é": rank * [1]}) == [{"é": k * [1]} for k in range(size)]
    assert communicator.broadcast({"rank": rank}) == {"rank": 0}
    assert communicator.broadcast_array(np.full((2, 3), rank)).tolist() == [[0] * 3] * 2
    assert communicator.place_on_host == rank
    cores = len(os.sched_getaffinity(0))
    assert communicator.threads(12) == 12 // size
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[min(rank, cores - 1)]})
    assert communicator.threads(1) == 1


def write(folder, name, devices, communicator):
    for case, options in cases.CASES.items():
        np.savez(f"{folder}/{case}-{name}.npz", **cases.trained(devices, communicator, **options))


def main(folder, devices=None):
    if devices:
        write(folder, "devices", [mx.cpu(k) for k in range(int(devices))], communication.ALONE)
        return
    with communication.MPI() as mpi:
        check_exchanges(mpi)
        write(folder, mpi.rank, [mx.cpu()], mpi)


if __name__ == "__main__":
    main(*sys.argv[1:])
