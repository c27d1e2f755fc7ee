"""A contestant in a process of its own, stopped (SIGSTOP) whenever it is not its turn.

Other processes then neither burn the cores with waiting threads nor prepare batches while another is timed, and what a
data loader has prepared ahead when its turn ends is what it begins its next turn with.

`python -m lossbench.benchmarks.contest.child CONTESTANT` is that process. It answers each JSON line of its input,
``["prepare", task]``, ``["open", config]``, ``["run", kind, seconds]`` or ``["drop"]``, with one line.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import subprocess
import sys
import time

from lossbench import _cores
from lossbench.benchmarks.contest.task import Missing, Task

# Name -> how the table calls it.
CONTESTANTS = {
    "lossbench": "lossbench",
    "lossbench-bfloat16": "lossbench, bfloat16",
    "gluon-default": "Gluon, MXNet's default threads",
    "gluon": "Gluon, threads set",
    "pytorch": "PyTorch, channels last",
    "pytorch-bfloat16": "PyTorch, channels last, bfloat16",
}

# Seconds that a contestant may take for one request; a turn is some seconds long, building one a minute at worst.
PATIENCE = 180


class Stalled(RuntimeError):
    """A contestant gave no answer in time, and was ended."""


class Child:
    """The parent's side of a contestant. A context manager; a child that outlives its parent is ended by the system."""

    def __init__(self, name: str, environment: dict[str, str] | None = None):
        self.name = name
        command = [sys.executable, "-W", "ignore", "-m", "lossbench.benchmarks.contest.child", name]
        # In a group of its own, so that data-loading workers are stopped too; in the parent's session, so that the
        # kernel ends (SIGHUP) a stopped group whose parent is gone.
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=os.setpgrp
        )

    def ask(self, *request):
        """Let it work on one request; returns the answer.

        Raises
        ------
        Missing
            What it needs is not installed.
        Stalled
            It gave no answer in `PATIENCE` seconds; it is ended.
        RuntimeError
            It failed or ended.
        """
        self._signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            self._signal(signal.SIGKILL)
            raise Stalled(f"no answer in {PATIENCE} s")
        line = self._process.stdout.readline()
        self._signal(signal.SIGSTOP)
        if not line:
            raise RuntimeError(f"benchmark: {self.name} ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "missing" in answer:
            raise Missing(answer["missing"])
        if "failed" in answer:
            raise RuntimeError(f"benchmark: {self.name} failed: {answer['failed']}")
        return answer

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._signal(signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()


def new_contestant(name: str, task: Task):
    """Build a contestant in this process."""
    if name.startswith("gluon"):
        from lossbench.benchmarks.contest import gluon

        return gluon.Contestant(task)
    library, _, precision = name.partition("-")
    if precision == "bfloat16" and not _cores.has_bfloat16():
        raise Missing("this processor has no bfloat16 instructions")
    if library == "pytorch":
        from lossbench.benchmarks.contest import pytorch as module
    else:
        from lossbench.benchmarks.contest import own as module
    return module.Contestant(task, precision or "float32")


def open_config(path: str):
    """Build a contestant from a config file in this process."""
    from lossbench import config
    from lossbench.benchmarks.contest import own

    return own.Contestant.of(config.load(path))


def turn(contestant, kind: str, seconds: float) -> dict:
    """Run steps for at least so many seconds, and wait for their end.

    Returns
    -------
    dict
        `images`, `steps` and `seconds` of the turn.
    """
    images = steps = 0
    began = time.perf_counter()
    while steps < 2 or time.perf_counter() - began < seconds:
        images += contestant.step(kind)
        steps += 1
    contestant.wait()
    return {"images": images, "steps": steps, "seconds": time.perf_counter() - began}


def _serve(name, requests, answers):
    contestant = None
    for line in requests:
        order, *arguments = json.loads(line)
        answer = {}
        try:
            if order == "prepare":
                contestant = new_contestant(name, Task(**arguments[0]))
                for kind in ("whole", "bare"):
                    turn(contestant, kind, 0)
            elif order == "open":
                contestant = open_config(*arguments)
                turn(contestant, "whole", 0)
            elif order == "run":
                answer = turn(contestant, *arguments)
            else:
                contestant.close()
                contestant = None
                gc.collect()
        except Missing as error:
            answer = {"missing": str(error)}
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    name = sys.argv[1]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    if name.startswith("gluon"):
        os.environ.pop("MXNET_ENGINE_TYPE", None)
    if name == "gluon-default":
        os.environ.pop("OMP_NUM_THREADS", None)
    _serve(name, sys.stdin, answers)


if __name__ == "__main__":
    main()
