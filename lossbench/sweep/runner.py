"""Trains runs in worker processes, one or several at a time; whatever becomes of one, the others go on."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lossbench import _cores, plugins
from lossbench.sweep import state, worker

LOOK_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Ended:
    """What became of one run."""

    planned: object
    status: str
    """`finished`, `failed`, `stopped` or `waiting`."""
    reason: str = ""
    seconds: float | None = None
    """Of an epoch, where that was the task."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the sweep; every run under way was saved."""

    def __init__(self, number: int):
        super().__init__(number)
        self.signal = number


class Runner:
    """Worker processes of a sweep. A context manager; at its end, however it comes, the runs under way are saved.

    Parameters
    ----------
    out : path
        The sweep's folder.
    jobs : int
        Worker processes. Each gets its share of the cores, unless OMP_NUM_THREADS says otherwise.
    device : str
    task : str
        What is done with a run: `worker.TRAIN`, or `worker.TIME`, which times an epoch of it by some steps.
    home : path, optional
        What `init_from` calls the sweep's folder.
    """

    def __init__(self, out, jobs: int = 1, device: str = "auto", task: str = worker.TRAIN, home=None):
        self.out, self.jobs, self.device, self.task, self.home = Path(out), jobs, device, task, home
        self.busy = {}
        """Worker -> the run under way in it."""
        self._workers = []

    def __enter__(self):
        self._former = signal.signal(signal.SIGTERM, _interrupt)
        self._former_int = signal.signal(signal.SIGINT, _interrupt)
        return self

    def __exit__(self, *_):
        for each in self._workers:
            each.end()
        for each in self._workers:
            each.wait()
        signal.signal(signal.SIGTERM, self._former)
        signal.signal(signal.SIGINT, self._former_int)

    def run(self, runs):
        """Train runs; yields an `Ended` for each as it ends, and None at least every second.

        A worker that dies, by a crash of MXNet or for want of memory, costs the run that it had, and is replaced.

        Parameters
        ----------
        runs : iterable of plan.Planned
            Taken one by one as workers become free; it may depend on what has ended. It may yield None where nothing
            can be begun before another run has ended.
        """
        source, busy = iter(runs), self.busy
        exhausted = False
        with selectors.DefaultSelector() as selector:
            while busy or not exhausted:
                while not exhausted and len(busy) < self.jobs:
                    planned = next(source, StopIteration)
                    if planned is StopIteration:
                        exhausted = True
                    elif planned is None:
                        break
                    else:
                        process = self._free_worker()
                        process.begin(self._job(planned))
                        busy[process] = planned
                        selector.register(process.answers, selectors.EVENT_READ, process)
                for key, _ in selector.select(LOOK_EVERY_SECONDS):
                    process = key.data
                    selector.unregister(process.answers)
                    answer = process.answer()
                    if not process.lives:
                        self._workers.remove(process)
                    yield self._ended(busy.pop(process), answer)
                yield None

    def failed(self, planned, reason: str) -> Ended:
        """Note that a run failed."""
        state.note_failure(self.out / planned.folder, reason)
        return Ended(planned, state.FAILED, reason)

    def folder(self, planned) -> Path:
        """Of a run, without links."""
        return (self.out / planned.folder).resolve()

    def origin(self, planned) -> Path | None:
        """The run of this sweep that a run starts from, by `init_from`."""
        if planned.settings.origin is None:
            return None
        named = Path(planned.settings.origin)
        if self.home and named.is_relative_to(self.home):
            named = self.out / named.relative_to(self.home)
        origin = named.resolve()
        return origin if origin.is_relative_to(self.out.resolve()) else None

    def processes(self) -> list[int]:
        """Process ids of the workers."""
        return [each.process_id for each in self._workers]

    def _free_worker(self):
        for each in self._workers:
            if each not in self.busy:
                return each
        self._workers.append(_Worker(self.jobs))
        return self._workers[-1]

    def _job(self, planned) -> dict:
        folder = self.out / planned.folder
        state.forget_failure(folder)
        log = log_of(self.out, planned)
        log.parent.mkdir(parents=True, exist_ok=True)
        return {
            "task": self.task,
            "config": str(planned.arm.config_path),
            "overrides": list(planned.arm.overrides),
            "seed": planned.seed,
            "folder": str(folder),
            "device": self.device,
            "log": str(log),
            "origin": str(origin) if (origin := self.origin(planned)) else None,
        }

    def _ended(self, planned, answer) -> Ended:
        if answer["status"] == state.FAILED:
            return self.failed(planned, answer["reason"])
        return Ended(planned, answer["status"], answer.get("reason", ""), answer.get("seconds"))


def log_of(out, planned) -> Path:
    """The file that holds what a run said."""
    return Path(out) / "logs" / f"{planned.name}.txt"  # in folders: joined by a dash, two runs may have one name


def _interrupt(number, _frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough; SIGKILL is for the impatient
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise Interrupted(number)


class _Worker:
    """The sweep's side of a worker process."""

    def __init__(self, jobs: int):
        environment = dict(os.environ)
        environment.update(plugins.surroundings())
        cores = _cores.thread_count()
        if environment.get("OMP_NUM_THREADS") == str(cores):
            environment["OMP_NUM_THREADS"] = str(max(1, cores // jobs))
        # not -m, for which another lossbench in the working directory would come first
        program = f"import sys; sys.path[:] = {sys.path!r}; from lossbench.sweep import worker; worker.main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C goes to the sweep alone
        )
        self.process_id = self._process.pid
        self.answers = self._process.stdout
        self.lives = True

    def begin(self, job: dict) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict:
        """What became of the job; a process that has ended gives its reason."""
        line = self.answers.readline()
        if line:
            return json.loads(line)
        self.lives = False
        status = self._process.wait()
        self.end()
        self.answers.close()
        how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return {"status": state.FAILED, "reason": f"Its process ended {how}."}

    def end(self) -> None:
        """Let it save what is under way and end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def wait(self) -> None:
        self._process.wait()
        self.answers.close()
