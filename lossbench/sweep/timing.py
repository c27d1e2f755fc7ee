"""How long the runs of a sweep take, by those that have been trained, or by some steps of what never was."""

from __future__ import annotations

import statistics
import tempfile

from lossbench.config import values
from lossbench.runs import Run
from lossbench.runs.environment import processor
from lossbench.sweep import state, worker
from lossbench.sweep.runner import Runner


class Timing:
    """Seconds that an epoch takes: of the same arm where one of its runs has been timed, else of one like it.

    Alike are arms with the same data set, backbone, batch size and precision.
    """

    def __init__(self):
        self._seconds = {}
        self._processor = processor()

    def learn(self, planned, run: Run) -> None:
        """Take in what a run's history says, where it was trained on a processor like this machine's."""
        if run.environment.get("processor") != self._processor:
            return
        if planned.settings.trainer.max_steps and epochs_left(planned, run):
            return  # the epochs to come would count as those that never come
        seconds = [row["seconds"] for row in run.history if isinstance(row.get("seconds"), (int, float))]
        for key in (_arm(planned), _kind(planned)) if seconds else ():
            self._seconds.setdefault(key, {})[run.path] = self._each(planned, seconds)

    @staticmethod
    def _each(planned, seconds) -> float:
        """With `trainer.max_steps` a run has fewer rows than epochs, and the last is short."""
        trainer = planned.settings.trainer
        return sum(seconds) / trainer.epochs if trainer.max_steps else statistics.fmean(seconds)

    def measure(self, runs, jobs: int, device: str) -> list[str]:
        """Time some steps of each kind among runs that nothing is known of, as many at once as will be trained.

        Returns why that failed, where it did.
        """
        unknown = {}
        for planned in runs:
            if self.seconds_per_epoch(planned) is None:
                unknown.setdefault(_kind(planned), planned)
        copies = [planned for planned in unknown.values() for _ in range(jobs)]
        reasons = []
        with tempfile.TemporaryDirectory() as folder, Runner(folder, jobs, device, worker.TIME) as runner:
            for ended in filter(None, runner.run(copies)):
                if ended.status == state.FINISHED:
                    measured = self._seconds.setdefault(_kind(ended.planned), {})
                    measured["measured", len(measured)] = ended.seconds
                else:
                    reasons.append(f"{ended.planned.arm.folder.as_posix()}: {ended.reason}")
        return list(dict.fromkeys(reasons))

    def seconds_per_epoch(self, planned) -> float | None:
        """None where nothing like it has been timed."""
        found = self._seconds.get(_arm(planned)) or self._seconds.get(_kind(planned))
        return statistics.fmean(found.values()) if found else None

    def of_whole(self, planned) -> float | None:
        """Seconds of a whole training; None where nothing like it has been timed."""
        each = self.seconds_per_epoch(planned)
        return None if each is None else each * planned.settings.trainer.epochs

    def left(self, planned, run: Run) -> float | None:
        """Seconds that the training of a run still takes; None where nothing like it has been timed."""
        each = self.seconds_per_epoch(planned)
        return None if each is None else each * epochs_left(planned, run)


def epochs_done(planned, run: Run) -> int:
    return min(run.history[-1]["epoch"], planned.settings.trainer.epochs) if run.history else 0


def epochs_left(planned, run: Run) -> int:
    """None where early stopping or `trainer.max_steps` ended the training."""
    if run.end is not None and run.end.is_over:
        return 0
    return planned.settings.trainer.epochs - epochs_done(planned, run)


def training_seconds(run: Run) -> float | None:
    """Seconds of all epochs of a run, None where its history does not say."""
    seconds = [row.get("seconds") for row in run.history]
    return sum(seconds) if seconds and None not in seconds else None


def _arm(planned):
    return planned.arm.variant, planned.arm.data_set


def _kind(planned):
    found = values(planned.settings)
    keys = [key for key in found if key.startswith(("backbone.", "data."))] + ["trainer.precision"]
    keys += ["trainer.max_steps", "trainer.epochs"] if planned.settings.trainer.max_steps else []
    return tuple((key, str(found[key])) for key in keys if key not in ("data.root", "data.workers"))
