"""Training beside other work: how much of its speed each way of waiting keeps, measured under a load made here."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

from lossbench.benchmarks.contest.child import Child
from lossbench.benchmarks.timing import spread

# Way of waiting -> what it sets in the environment.
WAYS = {
    "lossbench": {},
    "asleep": {"OMP_WAIT_POLICY": "passive"},
    "awake": {"GOMP_SPINCOUNT": "300000"},  # libgomp's own default, which nothing then watches
    "one thread": {"OMP_NUM_THREADS": "1"},
}
SETTINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@contextlib.contextmanager
def busy_processes(count: int):
    """Keep so many processes busy meanwhile, as another user's would be: in sessions of their own."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measure(
    config: str, *, processes: int = 2, seconds: float = 2.0, repetitions: int = 5, progress=None
) -> list[dict]:
    """Images/s of whole training steps by each way of waiting, with and without a load, in turn.

    Parameters
    ----------
    config : path
        Experiment to train.
    processes : int
        Busy ones that make the load.
    seconds : float
        Least length of a turn; one second before it is not counted, in which the load is noticed.
    repetitions : int
    progress : callable, optional
        Called once per turn.

    Returns
    -------
    list of dict
        A row per way: `way`; `idle` and `loaded` images/s as `spread`s; `idle_share` of the speed awake and
        `loaded_share` of the speed asleep, repetition by repetition.
    """
    rates = {(way, loaded): [] for way in WAYS for loaded in (False, True)}
    with contextlib.ExitStack() as stack:
        children = {}
        for way, settings in WAYS.items():
            environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
            children[way] = stack.enter_context(Child("lossbench", {**environment, **settings}))
            children[way].ask("open", str(config))
        for _ in range(repetitions):
            for loaded in (False, True):
                with busy_processes(processes if loaded else 0):
                    for way, child in children.items():
                        child.ask("run", "whole", 1.0)
                        done = child.ask("run", "whole", seconds)
                        rates[way, loaded].append(done["images"] / done["seconds"])
                        if progress is not None:
                            progress()
    return [_row(way, rates) for way in WAYS]


def _row(way, rates):
    idle, loaded = rates[way, False], rates[way, True]
    return {
        "way": way,
        "idle": spread(idle),
        "loaded": spread(loaded),
        "idle_share": spread([mine / best for mine, best in zip(idle, rates["awake", False])]),
        "loaded_share": spread([mine / best for mine, best in zip(loaded, rates["asleep", True])]),
    }
