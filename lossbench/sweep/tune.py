"""The search for a variant's settings: as many trials for each, judged on validation images alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import qmc

from lossbench import atomic
from lossbench.errors import UserError
from lossbench.report import names
from lossbench.sweep import state
from lossbench.sweep.plan import Arm, Plan, Planned

FOLDER = "trials"
ASKED = "search.json"
NO_TEST = {
    "evaluation.splits": ["validation"],
    "evaluation.pictures": None,
    "evaluation.test_every_epochs": None,
    "evaluation.embeddings_every_epochs": None,
}
"""A trial has nothing to do with the test images."""
_SAID = {"seed": "tune.seed", "metric": "tune.metric", "ranges": "tune.shared and tune.ranges"}
SPREAD = 10
"""Trials that are spread over the ranges before those that learn from the ones before."""


@dataclass(frozen=True)
class Trial:
    """One setting that was tried."""

    number: int
    parameters: dict
    """Dotted key -> value."""
    value: float | None
    """The metric on validation images; None where the run failed or is not finished."""
    state: state.State

    @property
    def has_ended(self) -> bool:
        return self.state.has_ended


class Search:
    """The trials of one arm, one after the other; what was tried before is read from the sweep's folder.

    Which setting comes next depends on the seed of the search, the number of the trial and the trials before, and on
    nothing else: a search that was interrupted goes on as if it had not been.

    Raises
    ------
    UserError
        It was begun with other ranges, another seed or another metric.
    """

    def __init__(self, arm: Arm, plan: Plan, out):
        self.arm, self.out = arm, Path(out)
        self._tuning = plan.sweep.tune
        self._ranges = self._tuning.of(arm.base)
        self._under_way = self._is_given_up = False
        self._finished: dict[int, Trial] = {}
        self._require_as_begun()

    @property
    def wanted(self) -> list:
        """Values without which a trial is not finished."""
        return [("last", "validation", self._tuning.metric)]

    @property
    def planned(self) -> Planned:
        """A run with the file's own setting and the trials' seed: a trial takes about as long."""
        return self.arm.run(self._tuning.seed)

    def trials(self) -> list[Trial]:
        """What was tried so far."""
        return [trial for trial in map(self._read, range(self._tuning.trials)) if trial is not None]

    @property
    def trials_left(self) -> int:
        return self._tuning.trials - sum(trial.has_ended for trial in self.trials())

    @property
    def is_done(self) -> bool:
        return self.trials_left == 0

    @property
    def has_more(self) -> bool:
        """Whether there are trials to do, and nothing in the way."""
        return not self.is_done and not self._is_given_up

    def next(self) -> Planned | None:
        """The run of the next trial; None while one is under way, or where there is none left."""
        if self._under_way or not self.has_more:
            return None
        if self._tuning.trials > SPREAD:
            _optuna()  # that it is missing is said before the first trial, not after the tenth
        tried = {trial.number: trial for trial in self.trials()}
        number = next(n for n in range(self._tuning.trials) if n not in tried or not tried[n].has_ended)
        if number in tried:
            chosen = tried[number].parameters
        else:
            before = [trial for trial in tried.values() if trial.number < number]
            chosen = suggest(self._ranges, before, self._tuning.seed, number, self.better)
            folder = self.out / self._folder(number)
            folder.mkdir(parents=True, exist_ok=True)
            atomic.write_json(folder.parent / ASKED, self._asked)
            atomic.write_json(folder / "parameters.json", chosen)
        self._under_way = True
        return self._planned(number, chosen)

    def ended(self, status: str) -> None:
        """The run that `next` gave has ended: one that was passed over is in the way of the others."""
        self._under_way = False
        self._is_given_up = status == state.WAITING

    @property
    def is_hopeless(self) -> bool:
        """Whether every trial failed."""
        return self.is_done and all(trial.value is None for trial in self.trials())

    @property
    def metric(self) -> str:
        return self._tuning.metric

    @property
    def better(self) -> int:
        """1 where a higher value is better, -1 where a lower one is."""
        return names.value(self.metric.split(".")).better

    @property
    def best(self) -> Trial:
        """The trial with the best value; of equal ones the first."""
        values = [trial for trial in self.trials() if trial.value is not None]
        return max(values, key=lambda trial: (self.better * trial.value, -trial.number))

    def chosen(self) -> Arm:
        """The arm with the setting of the best trial."""
        return self.arm.changed(self.best.parameters)

    @property
    def asked_file(self) -> Path:
        return self.out / self._folder(0).parent / ASKED

    @property
    def _asked(self) -> dict:
        """What decides which settings are tried and which is chosen, as JSON has it."""
        ranges = {key: section.model_dump(mode="json") for key, section in self._ranges.items()}
        return {"seed": self._tuning.seed, "metric": self.metric, "ranges": ranges}

    def _require_as_begun(self) -> None:
        if not any((self.out / self._folder(number)).exists() for number in range(self._tuning.trials)):
            return
        begun = _read_json(self.asked_file, "Remove it")
        changed = [
            key for key, value in self._asked.items() if begun and json.dumps(begun.get(key)) != json.dumps(value)
        ]
        if changed:
            keys = " and ".join(_SAID[key] for key in changed)
            raise UserError(
                f"sweep: {keys} must stay as they are once trials were made, but those in "
                f"{self.asked_file.parent} were made otherwise ({ASKED}). Undo the change, or give the sweep another "
                "folder with --out."
            )

    def _folder(self, number) -> Path:
        return Path(self.arm.data_set or "") / FOLDER / self.arm.variant / f"trial-{number:03d}"

    def _parameters(self, number) -> dict | None:
        return _read_json(self.out / self._folder(number) / "parameters.json", "Remove its folder")

    def _planned(self, number, parameters) -> Planned:
        arm = self.arm.changed({**parameters, **NO_TEST})
        return Planned(arm, self._tuning.seed, self._folder(number) / f"seed-{self._tuning.seed}")

    def _read(self, number) -> Trial | None:
        if number in self._finished:  # it stays as it is, and is asked for dozens of times
            return self._finished[number]
        parameters = self._parameters(number)
        if parameters is None:
            return None
        for key in dict.fromkeys([*self._ranges, *parameters]):
            section = self._ranges.get(key)
            if section is None or key not in parameters or not section.holds(parameters[key]):
                raise UserError(
                    f"sweep: {self.out / self._folder(number)} must be a trial within the ranges of the file, got "
                    f"{key} {parameters.get(key, 'as the config has it')}. Ranges stay as they are once trials were "
                    "made: undo the change, or give the sweep another folder with --out."
                )
        found = state.look(self._planned(number, parameters), self.out, self.wanted)
        value = state.value(found.run, *self.wanted[0]) if found.kind == state.FINISHED else None
        trial = Trial(number, parameters, value, found)
        if value is not None:
            self._finished[number] = trial
        return trial


def suggest(ranges, before, seed: int, number: int, better: int = 1) -> dict:
    """Return the setting to try next.

    The first ten are points of a scrambled Halton sequence, which leave no part of a range out for long; those of the
    shared ranges are the same for every variant. Later ones are of Optuna's tree-structured Parzen estimator, which
    learns from those before.

    Parameters
    ----------
    ranges : dict of str to config.tuning.RangeSection
    before : sequence of Trial
        One that failed counts as the worst of them.
    seed, number : int
        Of the search and of the trial.
    better : int
        1 where a higher value is better, -1 where a lower one is.
    """
    if number < SPREAD:
        shares = qmc.Halton(len(ranges), seed=seed).random(number + 1)[number]
        return {key: section.at(float(share)) for (key, section), share in zip(ranges.items(), shares, strict=True)}
    optuna = _optuna()
    distributions = {key: _distribution(optuna, section) for key, section in ranges.items()}
    sampler = optuna.samplers.TPESampler(seed=(seed * 1_000_003 + number) % 2**32)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    worst = min((better * trial.value for trial in before if trial.value is not None), default=0.0)
    for trial in before:
        value = worst if trial.value is None else better * trial.value
        study.add_trial(optuna.trial.create_trial(params=trial.parameters, distributions=distributions, value=value))
    return study.ask(distributions).params


def _read_json(path, way_out: str) -> dict | None:
    """What a file of a search holds; None where there is none."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"sweep: {path} must be JSON ({error}). {way_out}.") from None
    if not isinstance(found, dict):
        raise UserError(f"sweep: {path} must hold a mapping. {way_out}.")
    return found


def _optuna():
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            f"sweep: tune needs Optuna for more than {SPREAD} trials ({error}). Install it with: "
            "pip install 'lossbench[tune]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(optuna, section):
    if section.kind == "choice":
        return optuna.distributions.CategoricalDistribution(section.of)
    if section.kind == "integer":
        return optuna.distributions.IntDistribution(section.low, section.high)
    return optuna.distributions.FloatDistribution(section.low, section.high, log=section.kind == "log")


def searches(plan: Plan, out) -> list[Search]:
    """One for every arm that is tuned."""
    tuning = plan.sweep.tune
    return [Search(arm, plan, out) for arm in plan.arms if tuning and tuning.of(arm.base)]
