"""A whole sweep: what is due of it, the search first, then the runs."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lossbench.errors import UserError
from lossbench.sweep import comparison, state, tune
from lossbench.sweep.plan import Plan, Planned
from lossbench.sweep.progress import Progress
from lossbench.sweep.runner import Ended, Runner
from lossbench.sweep.timing import Timing, epochs_left


@dataclass
class Work:
    """What is to be done of a sweep.

    Parameters
    ----------
    plan : Plan
    out : path
    only : sequence of str
        Patterns of names such as `lgm*` or `*/seed-0`; the trials of a search count by their variant.
    retry : bool
        Whether runs that failed are tried again.
    """

    plan: Plan
    out: Path
    only: Sequence[str] = ("*",)
    retry: bool = False
    searches: list = field(init=False)

    def __post_init__(self):
        self.out = Path(self.out)
        if self.out.exists() and not self.out.is_dir():
            raise UserError(f"sweep: {self.out} must be a folder, got a file. Give the sweep another one with --out.")
        self.searches = tune.searches(self.plan, self.out)
        for pattern in self.only:
            if not any(_is_named(planned, pattern) for planned in self.plan.runs()):
                names = ", ".join(dict.fromkeys(arm.folder.as_posix() for arm in self.plan.arms))
                raise UserError(f"sweep: --only must match a run, got {pattern!r}. Runs are those of {names}.")

    def _is_meant(self, planned) -> bool:
        return any(_is_named(planned, pattern) for pattern in self.only)

    def chosen_plan(self) -> Plan:
        """The plan with what the searches chose; arms whose search is not done or found nothing are not in it."""
        found = []
        for arm in self.plan.arms:
            search = next((each for each in self.searches if each.arm == arm), None)
            if search is None or search.is_done and not search.is_hopeless:
                found.append(arm if search is None else search.chosen())
        return self.plan.with_arms(found)

    def searching(self) -> list:
        """Searches that have trials to do.

        Raises
        ------
        UserError
            Runs of the setting that fewer trials chose are there, or trials without a checkpoint to measure.
        """
        found = [search for search in self.searches if self.runs_of(search.arm) and not search.is_done]
        state.require_checkpoints(trial.state for search in found for trial in search.trials() if not trial.has_ended)
        for search in found:
            if self._has_runs(search.arm):
                reasons = [trial.state.reason for trial in search.trials() if not trial.has_ended] or [""]
                raise UserError(
                    f"sweep: {self.out / search.arm.folder} must hold no runs before its search is done, got some of "
                    f"the setting that other trials chose{f' (trials are {reasons[0]})' * bool(reasons[0])}. Leave "
                    "tune.trials and what trials are judged by as they were, or give the sweep another folder with "
                    "--out."
                )
        return found

    def _has_runs(self, arm) -> bool:
        return any((self.out / arm.run(seed).folder / "config.yaml").exists() for seed in self.plan.sweep.seeds)

    def to_retry(self) -> dict:
        """Search -> its failed trials that are to be tried again: nothing was trained yet of what the others chose."""
        if not self.retry:
            return {}
        chosen = [each for each in self.searches if self.runs_of(each.arm) and not self._has_runs(each.arm)]
        failed = {each: [trial for trial in each.trials() if trial.state.kind == state.FAILED] for each in chosen}
        return {search: trials for search, trials in failed.items() if trials}

    def forget_failed_trials(self) -> None:
        """Have trials that failed tried again."""
        trials = [trial for failed in self.to_retry().values() for trial in failed]
        state.require_checkpoints(trial.state for trial in trials)
        for trial in trials:
            state.forget_failure(trial.state.run.path)

    def runs_of(self, arm) -> list[Planned]:
        """The runs of an arm that are meant."""
        return [planned for planned in self.plan.runs() if planned.arm == arm and self._is_meant(planned)]

    def states(self) -> list[tuple[Planned, state.State]]:
        """The runs that are meant, of arms that are settled, with what there is of each."""
        plan = self.chosen_plan()
        asked = comparison.wanted(plan.sweep)
        return [(planned, state.look(planned, self.out, asked)) for planned in plan.runs() if self._is_meant(planned)]

    def due(self) -> list[tuple[Planned, state.State]]:
        """Those that are to be trained, or measured.

        Raises
        ------
        UserError
            Of a training that is over something is to be measured, and no checkpoint is there.
        """
        done = (state.FINISHED,) if self.retry else (state.FINISHED, state.FAILED)
        due = [(planned, found) for planned, found in self.states() if found.kind not in done]
        state.require_checkpoints(found for _, found in due)
        return due

    def results(self) -> comparison.Results:
        """What there is of the whole sweep, whatever `only` says."""
        return comparison.collect(self.chosen_plan(), self.out, self.searches)


def pace(work: Work, *, jobs: int = 1, device: str = "auto") -> tuple[Timing, list[str]]:
    """How long runs take: by what was trained of them, else by some steps timed now; and why some were not timed."""
    timing = Timing()
    for planned, found in work.states():
        timing.learn(planned, found.run)
    for search in work.searches:
        for trial in search.trials():
            timing.learn(search.planned, trial.state.run)
    to_do = [search.planned for search in (*work.searching(), *work.to_retry())] + [
        planned for planned, _ in work.due()
    ]
    return timing, timing.measure(to_do, jobs, device)


def train(work: Work, *, jobs: int = 1, device: str = "auto", stream=None) -> list[str]:
    """Do what is due: first the trials of searches, then the runs.

    Returns a sentence for each run that was passed over, since another process trains in it or what it starts from is
    not finished, or that ended without a value.

    Raises
    ------
    runner.Interrupted
        By Ctrl-C or SIGTERM; what was under way is saved.
    """
    notes = []
    work.forget_failed_trials()
    with Runner(work.out, jobs, device, home=work.plan.home) as runner:
        searching, due = work.searching(), work.due()
        if searching:
            notes += _search(runner, searching, stream)
            due = work.due()
        epochs = {planned.folder: epochs_left(planned, found.run) for planned, found in due}
        wanted = comparison.wanted(work.plan.sweep)
        with Progress(runner, wanted, len(due), sum(epochs.values()), stream) as progress:
            runs = _in_order(runner, [planned for planned, _ in due])
            for ended in runner.run(_announced(progress, runs, epochs)):
                notes += _settle(runner, progress, wanted, ended, of_search=False)
    return notes


def _is_named(planned, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in (planned.name, planned.arm.folder.as_posix()))


def _announced(progress, runs, counted):
    for planned in runs:
        if planned is not None:
            progress.begins(planned, counted.get(planned.folder, planned.settings.trainer.epochs))
        yield planned


def _settle(runner, progress, wanted, ended, of_search) -> list[str]:
    """Show what became of a run; why it was passed over, or what it lacks, if it is so.

    A trial without a value has failed and counts. A run is trained all the same, and what it has is in the tables.
    """
    if ended is not None and ended.status == state.FINISHED:
        found = state.look(ended.planned, runner.out, wanted)
        if not found.has_ended:
            reason = f"It ended without {', '.join(state.lacks(found.run, wanted))}."
            ended = runner.failed(ended.planned, reason) if of_search else Ended(ended.planned, state.LACKING, reason)
    progress.look(ended)
    if ended is None or ended.status not in (state.WAITING, state.LACKING):
        return []
    return [f"{'Passed over: ' * (ended.status == state.WAITING)}{ended.planned.name}: {ended.reason}"]


def _in_order(runner, waiting):
    """The runs one by one; one that starts from another of the sweep waits until that has ended, and None is given."""
    while waiting:
        ahead = {runner.folder(planned) for planned in [*waiting, *runner.busy.values()]}
        ready = [planned for planned in waiting if runner.origin(planned) not in ahead]
        if not ready and not runner.busy:
            ready = waiting  # each starts from another: the worker says so
        if ready:
            waiting.remove(ready[0])
        yield ready[0] if ready else None


def _search(runner, searching, stream) -> list[str]:
    owner, notes = {}, []

    def trials():
        while any(search.has_more for search in searching):
            begun = [(planned, search) for search in searching for planned in [search.next()] if planned is not None]
            for planned, search in begun:
                owner[planned.folder] = search
                yield planned
            if not begun:
                yield None

    left = {search: search.trials_left for search in searching}
    epochs = sum(count * search.arm.settings.trainer.epochs for search, count in left.items())
    wanted = searching[0].wanted
    with Progress(runner, wanted, sum(left.values()), epochs, stream) as progress:
        for ended in runner.run(_announced(progress, trials(), {})):
            notes += _settle(runner, progress, wanted, ended, of_search=True)
            if ended is not None:
                owner[ended.planned.folder].ended(ended.status)
    return notes
