"""What a sweep shows: one bar for all of its runs on a terminal, a line a run elsewhere."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

from lossbench.report.details import duration
from lossbench.runs import Run
from lossbench.sweep import state, wording
from lossbench.sweep.runner import log_of
from lossbench.sweep.timing import epochs_left, training_seconds


class Progress:
    """Shows how far a number of runs is. A context manager.

    Parameters
    ----------
    runner : runner.Runner
    wanted : list of (checkpoint, split, metric)
        The first one's value is shown of a run that is finished.
    count : int
        Of the runs that are to be done.
    epochs : int
        That these runs lack.
    stream : file, default standard error
    """

    def __init__(self, runner, wanted, count: int, epochs: int, stream=None):
        self._runner, self._place, self._count, self._epochs = runner, wanted[0], count, epochs
        self._stream = stream or sys.stderr
        self._ended, self._done = 0, 0
        self._due: dict = {}
        self._began = time.monotonic()
        self._bar = None

    def __enter__(self):
        if self._stream.isatty() and self._count:
            shape = "{desc} {percentage:3.0f} %|{bar}| epoch {n_fmt}/{total_fmt}{postfix}"
            self._bar = tqdm(total=self._epochs, bar_format=shape, leave=False, file=self._stream, dynamic_ncols=True)
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def begins(self, planned, counted: int) -> None:
        """A run is about to begin, of which so many epochs were counted; another process may have trained some."""
        self._due[planned.folder] = self._lacking(planned)
        self._epochs -= counted - self._due[planned.folder]

    def look(self, ended) -> None:
        """Show what is new: a run that has ended, or None."""
        if ended is not None:
            self._ended += 1
            self._count_out(ended)
        done = self._done + self._under_way()
        if ended is not None and (self._bar is None or ended.status != state.FINISHED):
            self._say(f"[{self._ended}/{self._count}] {self._line(ended)}{self._left(done)}")
        if self._bar is not None:
            self._bar.total = self._epochs
            self._bar.n = min(self._epochs, done)
            self._bar.set_description_str(f"run {min(self._ended + 1, self._count)}/{self._count}", refresh=False)
            self._bar.set_postfix_str(self._left(self._bar.n).lstrip("; "))

    def _count_out(self, ended) -> None:
        """Count a run's epochs as done; those that it was to train and did not are no longer to be done."""
        trained, due = self._trained(ended.planned), self._due.pop(ended.planned.folder)
        # What there is of a run that waits, another process trained.
        done = {state.FINISHED: due, state.LACKING: due, state.WAITING: 0}.get(ended.status, trained)
        self._done += done
        self._epochs -= due - done

    def _under_way(self) -> int:
        return sum(self._trained(planned) for planned in self._runner.busy.values())

    def _trained(self, planned) -> int:
        return max(0, self._due[planned.folder] - self._lacking(planned))

    def _lacking(self, planned) -> int:
        return epochs_left(planned, Run(self._runner.out / planned.folder))

    def _left(self, done) -> str:
        if not 0 < done < self._epochs:
            return ""
        return f"; about {duration((time.monotonic() - self._began) / done * (self._epochs - done))} left"

    def _line(self, ended) -> str:
        run = Run(self._runner.out / ended.planned.folder)
        if ended.status == state.FAILED:
            return f"{ended.planned.name} failed: {ended.reason} (log: {log_of(self._runner.out, ended.planned)})"
        if ended.status == state.LACKING:
            return f"{ended.planned.name}: {ended.reason}"
        if ended.status == state.WAITING:
            return f"{ended.planned.name} was passed over: {ended.reason}"
        if ended.status != state.FINISHED:
            return f"{ended.planned.name} was stopped and is saved"
        value, seconds = state.value(run, *self._place), training_seconds(run)
        unit = wording.Unit(self._place[2])
        shown = (
            "" if value is None else f": {wording.metric(self._place[2])} {unit.value(value)} {unit.of_means}".rstrip()
        )
        return f"{ended.planned.name}{shown}" + (f", trained in {duration(seconds)}" if seconds else "")

    def _say(self, text):
        if self._bar is not None:
            self._bar.clear()
        print(text, file=self._stream, flush=True)
