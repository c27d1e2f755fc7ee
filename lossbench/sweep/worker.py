"""A process that trains the runs of a sweep one after the other.

`main` answers each JSON line of its input, a job, with one line: ``{"status": …}``, and with the `seconds` of an epoch
where the job is to time one. The runs share imports and the data in memory, and nothing else. What a run says goes to
the job's log. When the input ends, because the sweep was stopped or its process is gone, the run under way saves and
ends, too.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path

from lossbench import errors, plugins
from lossbench.sweep.state import FAILED, FINISHED, STOPPED, WAITING

TRAIN, TIME = "train", "time"


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    plugins.request_from_surroundings()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the sweep, which ends the input
    jobs = _requests()
    while True:
        line = jobs.get()
        if not line:
            return
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


def _requests() -> queue.Queue:
    """The lines of the input, read beside the training; its end stops the run under way."""
    lines = queue.Queue()

    def read():
        for line in sys.stdin:
            lines.put(line)
        lines.put("")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _answer(job) -> dict:
    with open(job["log"], "a", encoding="utf-8", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            if job["task"] == TIME:
                return {"status": FINISHED, "seconds": _time(job)}
            return {"status": STOPPED if _train(job) else FINISHED}
        except errors.NotNow as error:
            return {"status": WAITING, "reason": " ".join(str(error).split())}
        except Exception as error:
            traceback.print_exc()
            known = errors.exit_status(error) is not None
            text = " ".join(str(error).split())
            return {"status": FAILED, "reason": text if known else f"{type(error).__name__}: {text}"}


def _train(job) -> bool:
    """Train one run as `train.py` does; returns whether a signal interrupted it."""
    from lossbench import experiment
    from lossbench.runs import Run

    if job["origin"] and not Run(job["origin"]).is_finished:
        raise errors.NotNow(f"sweep: a run that others start from must be finished, got {job['origin']}.")
    result = experiment.run(
        _settings(job),
        Path(job["folder"]),
        resume=True,
        device=job["device"],
        load=_shared_data(),
        origin=job["origin"],
    )
    return result.signal is not None


def _time(job) -> float:
    from lossbench import experiment

    return experiment.seconds_per_epoch(_settings(job), device=job["device"], load=_shared_data())


def _settings(job):
    from lossbench import config

    return config.load(job["config"], [*job["overrides"], f"seed={job['seed']}"])


@functools.cache
def _shared_data():
    from lossbench import experiment

    return experiment.SharedData()
