"""What the processes of one training say to each other: nothing where there is one, MPI (mpi4py) where there are more.

Every rank calls the same methods in the same order. None of them unpickles anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable

import numpy as np

from lossbench import errors
from lossbench.errors import UserError

INSTALL = "pip install mpi4py mpich"
LAUNCH = "mpiexec -n 2 python -m mpi4py scripts/train.py --config CONFIG --distributed"


def join() -> None:
    """Begin MPI: from here on `python -m mpi4py` ends all ranks where one exits with a status other than 0."""
    with contextlib.suppress(ImportError, RuntimeError):  # `MPI` says what is missing
        from mpi4py import MPI as _library  # noqa: F401


class Alone:
    """One process: everything is there already."""

    rank, size = 0, 1

    def at(self, place: str) -> None:
        """Say where the training is, for the message of an exchange that does not return."""

    def if_lost(self, way_on: Callable[[], str]) -> None:
        """Say how to go on, in a sentence that is asked for when a rank was lost."""

    def sum(self, array: np.ndarray) -> np.ndarray:
        """The sum over the ranks of a flat array, in their order: the same bits on each."""
        return array

    def gather(self, values) -> np.ndarray:
        """Every rank's numbers (k,), as float64 (size, k)."""
        return np.asarray(values, np.float64)[None]

    def stop(self, signal: int) -> int:
        """Ask all ranks to stop for a signal (0: go on); returns the one that they agreed on in the last step, or 0."""
        return signal

    def gather_values(self, value) -> list:
        """Every rank's value, plain JSON."""
        return [value]

    def broadcast(self, value):
        """Rank 0's value, plain JSON; waits for it however long it takes."""
        return value

    def broadcast_array(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        """The array of rank `root`; the others' tells shape and type."""
        return array


ALONE = Alone()


class MPI:
    """The processes that `mpiexec` started. As a context it ends the whole job where one of them fails.

    Parameters
    ----------
    patience : float
        Seconds after which an exchange that does not return ends the job: a rank was stopped, or lost its network.

    Raises
    ------
    UserError
        mpi4py is not installed, or `mpiexec` did not start this process.
    """

    def __init__(self, patience: float = 300.0):
        try:
            from mpi4py import MPI as library
        except (ImportError, RuntimeError) as error:  # RuntimeError: no MPI library
            reason = str(error).splitlines()[0]
            raise UserError(f"distributed: mpi4py must be installed, got {reason}. Run: {INSTALL}") from error
        self._library, self._world = library, library.COMM_WORLD.Dup()
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        self._patience, self._place, self._way_on = patience, "the start", str
        self.asked = self.agreed = 0
        if self.size == 1 and "PMI_SIZE" not in os.environ and "OMPI_COMM_WORLD_SIZE" not in os.environ:
            raise UserError(f"distributed: must be started by mpiexec, got one process without it. Run: {LAUNCH}")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        """End all ranks with an error's exit status. They mostly meet it together: rank 0 speaks first, and for all."""
        if error is None or isinstance(error, SystemExit):
            return
        status = 130 if isinstance(error, KeyboardInterrupt) else errors.exit_status(error)
        if self.rank:
            time.sleep(1 + 0.1 * min(self.rank, 20))
        if status is None or "--debug" in sys.argv:
            traceback.print_exception(kind, error, trace)
        self._end(str(error) or kind.__name__, 1 if status is None else status)

    def _end(self, sentence: str, status: int) -> None:
        speaker = f"rank {self.rank} on {socket.gethostname()}: " if self.rank else ""
        print(f"{speaker}{sentence}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        self._world.Abort(status)

    def at(self, place):
        self._place = place

    def if_lost(self, way_on):
        self._way_on = way_on

    def sum(self, array):
        # Each rank adds up one part for all, in the order of the ranks, as MXNet adds up its devices.
        part = -(-array.size // self.size)
        sent = np.zeros((self.size, part), array.dtype)
        sent.reshape(-1)[: array.size] = array
        received = np.empty_like(sent)
        self._wait(self._world.Ialltoall(sent, received))
        total = received[0]
        for other in received[1:]:
            total += other
        self._wait(self._world.Iallgather(total, sent))
        return sent.reshape(-1)[: array.size]

    def gather(self, values):
        own = np.asarray(values, np.float64)
        gathered = np.empty((self.size, own.size))
        self._wait(self._world.Iallgather(own, gathered))
        return gathered

    def stop(self, signal):
        self.asked = signal
        return self.agreed

    def gather_values(self, value):
        own = json.dumps(value).encode()
        lengths = self.gather([len(own)]).astype(int).ravel().tolist()
        gathered = bytearray(sum(lengths))
        self._wait(self._world.Iallgatherv(own, [gathered, lengths, self._library.BYTE]))
        ends = np.cumsum(lengths).tolist()
        return [json.loads(gathered[end - length : end]) for end, length in zip(ends, lengths)]

    def broadcast(self, value):
        own = json.dumps(value).encode() if self.rank == 0 else b""
        length = np.array([len(own)], np.int64)
        self._wait(self._world.Ibcast(length), limited=False)
        content = bytearray(own or bytes(int(length[0])))
        self._wait(self._world.Ibcast(content))
        return json.loads(content)

    def broadcast_array(self, array, root=0):
        array = np.ascontiguousarray(array)
        self._wait(self._world.Ibcast(array, root))
        return array

    def threads(self, cores: int) -> int:
        """This rank's share of the cores of its host, where others may use the same ones."""
        mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
        ranks = self.gather_values([socket.gethostname(), mine])
        sharing = sum(host == socket.gethostname() and bool({*mine} & {*theirs}) for host, theirs in ranks)
        return max(1, cores // sharing)

    @property
    def place_on_host(self) -> int:
        """How many ranks of lower number run on the same host: the number of this rank's GPU."""
        return self.gather_values(socket.gethostname())[: self.rank].count(socket.gethostname())

    def _wait(self, request, limited: bool = True) -> None:
        """Wait for an exchange: awake at first, then asleep, since MPI itself would keep a core busy."""
        began, pause = time.monotonic(), 0.0
        while not request.Test():
            waited = time.monotonic() - began
            if waited > 0.005:
                pause = min(0.01, waited / 50)
            if limited and waited > self._patience + 0.5 * self.rank:  # rank 0 speaks first
                self._end(
                    f"distributed: the exchange of {self._place} must return, got nothing for {self._patience:g} s: a "
                    f"rank was stopped or cannot be reached. {self._way_on()}".strip(),
                    errors.RunFailed.exit_status,
                )
            time.sleep(pause)
