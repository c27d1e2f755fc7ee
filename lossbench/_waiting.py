"""How OpenMP's threads wait for their next loop: awake where the cores are ours, asleep where others want them.

Awake (libgomp: some milliseconds of spinning) is a tenth faster on an idle machine. On a busy one, a thread so spins
away the time in which the rest of its own team could run, and training falls to a hundredth. libgomp reads its settings
once, but it lets threads fall asleep at once while it manages more of them than there are processors. So a `Crowd` that
does nothing is held while other processes use the cores. The number of threads that compute stays, and with it every
bit of a result.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import NamedTuple

INTERVAL = 0.5  # seconds between two looks
BUSY, FREE = 0.10, 0.05  # share of our cores that others use: above, threads sleep; below, they wait awake again


class Look(NamedTuple):
    """What the system says at one moment, in seconds."""

    wall: float
    idle: float  # of all cores that this process may use
    own: float  # processor time of this process
    cores: int


def look(stat: str = "/proc/stat") -> Look:
    """Read the clock, the idle time of the cores that this process may use, and its own processor time."""
    cores = os.sched_getaffinity(0)
    names = {f"cpu{core}" for core in cores}
    with open(stat) as file:
        fields = [line.split() for line in file if line.startswith("cpu")]
    ticks = sum(int(idle) + int(for_disk) for name, *_, idle, for_disk in (f[:6] for f in fields) if name in names)
    return Look(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time(), len(cores))


def used_by_others(before: Look, after: Look) -> float:
    """Return the share of our cores that other processes, or other virtual machines, used between two looks.

    0 where no time has passed, as for a clock that stands.

    Examples
    --------
    >>> used_by_others(Look(0, 0, 0, cores=2), Look(10, 5, 10, cores=2))
    0.25
    >>> used_by_others(Look(0, 0, 0, cores=2), Look(0, 0, 0, cores=2))
    0.0
    """
    capacity = after.cores * (after.wall - before.wall)
    return 1 - (after.idle - before.idle + after.own - before.own) / capacity if capacity > 0 else 0.0


class Crowd:
    """More OpenMP threads than processors: while it is held, a thread that waits falls asleep at once."""

    def __init__(self, gomp: ctypes.CDLL):
        self._gomp = gomp
        self._released: threading.Event | None = None

    def hold(self) -> None:
        if self._released is None:
            self._released = threading.Event()
            threading.Thread(target=self._gather, args=(self._released,), name="lossbench-crowd", daemon=True).start()

    def release(self) -> None:
        if self._released is not None:
            self._released.set()
            self._released = None

    def _gather(self, released):
        nothing = ctypes.CDLL(None).getpid  # any function of the C library without a consequence
        self._gomp.GOMP_parallel(nothing, None, self._gomp.omp_get_num_procs() + 1, 0)
        released.wait()  # a team lives as long as the thread that gathered it


def watch() -> None:
    """Look every half a second whether others use the cores, in a thread, and let ours wait accordingly.

    Nothing happens where the user chose how threads wait (``OMP_WAIT_POLICY``, ``GOMP_SPINCOUNT``), where there is one
    thread, or where MXNet runs on something else than Linux and libgomp.
    """
    chosen = os.environ.get("OMP_WAIT_POLICY") or os.environ.get("GOMP_SPINCOUNT")
    gomp = None if chosen or not os.path.exists("/proc/stat") else loaded_libgomp()
    if gomp is not None and gomp.omp_get_max_threads() > 1:
        arguments = (Crowd(gomp), _looks())
        threading.Thread(target=_watch, args=arguments, name="lossbench-waiting", daemon=True).start()


def _looks():
    while True:
        yield look()
        time.sleep(INTERVAL)


def _watch(crowd, looks):
    before = next(looks)
    for after in looks:
        others = used_by_others(before, after)
        if others > BUSY:
            crowd.hold()
        elif others < FREE:
            crowd.release()
        before = after


def loaded_libgomp() -> ctypes.CDLL | None:
    """Return the libgomp that MXNet has loaded; scikit-learn has one of its own under another name."""
    try:
        return ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return None
