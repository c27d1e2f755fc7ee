"""From a sweep file to the runs that it asks for, each with its config and its folder."""

from __future__ import annotations

import dataclasses
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from lossbench import config
from lossbench.config import shipped
from lossbench.config import sweep as schema
from lossbench.errors import UserError, nearest
from lossbench.evaluation import METHODS
from lossbench.runs import shown


@dataclass(frozen=True)
class Arm:
    """A variant on a data set: what is repeated with every seed."""

    variant: str
    base: str
    """The variant's name in the file, where a grid makes several of it."""
    data_set: str | None
    """None where the sweep names none."""
    config_path: Path
    overrides: tuple
    """As the command line takes them."""
    settings: config.Config
    """With the config's own seed."""
    stated: str
    """Where the overrides stand."""

    @property
    def folder(self) -> Path:
        """Within the sweep's."""
        return Path(self.data_set or "") / self.variant

    def run(self, seed: int) -> Planned:
        return Planned(self, seed, self.folder / f"seed-{seed}")

    def changed(self, parameters: dict) -> Arm:
        """Return the arm with dotted keys and values over its own."""
        kept = [override for override in self.overrides if override.split("=", 1)[0] not in parameters]
        overrides = (*kept, *(config.as_override(key, value) for key, value in parameters.items()))
        settings = config.load(self.config_path, overrides, overrides_from=self.stated)
        return dataclasses.replace(self, overrides=overrides, settings=settings)


@dataclass(frozen=True)
class Planned:
    """One run of a sweep."""

    arm: Arm
    seed: int
    folder: Path
    """Within the sweep's."""

    @property
    def settings(self) -> config.Config:
        return self.arm.settings.model_copy(update={"seed": self.seed})

    @property
    def name(self) -> str:
        """`variant/seed-0`, below the data set where there are several: what `--only` is matched with."""
        return self.folder.as_posix()

    @property
    def command(self) -> str:
        """What trains the same run alone."""
        words = ["python", "scripts/train.py", "--config", shown(self.arm.config_path), *self.arm.overrides]
        return shlex.join([*words, "--seed", str(self.seed)])


@dataclass(frozen=True)
class Plan:
    """A sweep file with the configs of its variants."""

    path: Path
    sweep: schema.Sweep
    arms: tuple

    def runs(self) -> list[Planned]:
        """Every run, seed by seed, so that an unfinished sweep has whole pairs."""
        return [arm.run(seed) for seed in self.sweep.seeds for arm in self.arms]

    def with_arms(self, arms) -> Plan:
        """Return the plan with other arms, such as those of the settings that a search chose."""
        return dataclasses.replace(self, arms=tuple(arms))

    @property
    def home(self) -> Path:
        """The sweep's folder where none is given: what `init_from` calls it wherever it lies."""
        return Path("sweeps") / self.sweep.name

    @property
    def data_sets(self) -> list:
        """Names, or None alone."""
        return list(self.sweep.data_sets) or [None]


def load(path) -> Plan:
    """Read a sweep file, or the one that comes with lossbench under a name, and the configs that it names.

    Raises
    ------
    ConfigError
        One line: file, key, rule, value, way out.
    """
    path = shipped.find(path, "sweeps")
    sweep = schema.load(path)
    arms = [
        _arm(path, sweep, name, base, variant, data_set)
        for data_set in list(sweep.data_sets) or [None]
        for name, base, variant in sweep.expanded()
    ]
    _require_different(path, sweep, arms)
    return Plan(path, sweep, tuple(arms))


def _require_different(path, sweep, arms) -> None:
    """Two names for one training would be compared with one another; on one data set of several they may agree."""
    trainings: dict = {}
    for arm in arms:
        searched = sweep.tune.of(arm.base) if sweep.tune else {}
        settings = {
            key: value
            for key, value in config.values(arm.settings).items()
            if key not in {"name", "seed", *searched} and config.on_resume(key) != "neutral"
        }
        trainings.setdefault(arm.variant, []).append((settings, searched))
    for variant, training in trainings.items():
        other = next(other for other, found in trainings.items() if found == training)
        if other != variant:
            raise UserError(
                f"config {path}: variants {other} and {variant} must differ, got the same settings. Remove one, or see "
                "whether an override of one is lost."
            )


def _arm(path, sweep, name, base, variant, data_set) -> Arm:
    where = f"{path}: variants.{name}"
    if "{data}" in variant.config and data_set is None:
        raise UserError(
            f"config {where}.config: must not hold {{data}} without data_sets, got {variant.config!r}. "
            "Name data_sets, or the config itself."
        )
    named = Path(os.path.normpath(path.parent / variant.config.replace("{data}", data_set or "")))
    overrides = _overrides(sweep.overrides, sweep.data_sets.get(data_set, {}), variant.overrides)
    settings = config.load(named, overrides, overrides_from=where)
    splits = {split for split, _ in sweep.places}
    if settings.data.validation_fraction == 0 and (sweep.tune or "best" in sweep.checkpoints or "validation" in splits):
        raise UserError(
            f"config {where}: data.validation_fraction must be above 0 where validation images decide, got 0. "
            "Write data.validation_fraction: 0.1 below overrides."
        )
    if "holdout" in splits and not settings.data.held_out():
        raise UserError(
            f"config {where}: data.holdout_classes must name classes where metrics of holdout are compared, got none. "
            "Write data.holdout_classes: [8, 9] below overrides, or take the metrics of test."
        )
    for split in sorted(splits - {*settings.evaluation.splits, "train"}):
        raise UserError(
            f"config {where}: evaluation.splits must have {split}, which is compared, got "
            f"{', '.join(settings.evaluation.splits)}. Add it."
        )
    asked = [*(metric for _, metric in sweep.places), *([sweep.tune.metric] if sweep.tune else [])]
    for metric in asked:
        if not settings.evaluation.measures(metric):
            raise UserError(
                f"config {where}: evaluation.methods must give {metric}, which is compared, got "
                f"{', '.join(settings.evaluation.methods)}. {_way_to(metric)}"
            )
    arm = Arm(name, base, data_set, named, overrides, settings, where)
    for key, section in (sweep.tune.of(base) if sweep.tune else {}).items():
        for value in section.ends():
            config.load(named, (*overrides, config.as_override(key, value)), overrides_from=f"{path}: tune, {name}")
        moved = _as_in_anneal(key, settings)
        if moved in settings.anneal:
            raise UserError(
                f"config {path}: tune, {name}: {key} must be a value that stays, got one that anneal.{moved} moves. "
                f"Search a key of anneal.{moved}, or write anneal.{moved}: null below overrides."
            )
    return arm


def _way_to(metric: str) -> str:
    gives = next((method.name for method in METHODS.values() if method.number(metric)), None)
    if gives:
        return f"Add {gives}, or take another metric."
    known = {number for method in METHODS.values() for number in method.numbers if not {*"*?"} & {*number}}
    close = nearest(metric, known)
    return f"Did you mean {close}?" if close else "No method gives such a number; take another metric."


def _as_in_anneal(key: str, settings: config.Config) -> str:
    """The key by a regularizer's name, which may also be written by its number."""
    keys = key.split(".")
    if keys[0] == "regularizers" and keys[1:] and keys[1].isdigit():
        keys[1] = settings.regularizers[int(keys[1])].name
    return ".".join(keys)


def _overrides(*layers) -> tuple:
    """As the command line takes them, one layer after the other; of a key's values the last, and sections merged.

    A value stands where its own layer does: what an earlier layer says of a whole section must not come after it.
    """
    found: list[tuple] = []
    for layer in layers:
        for key, value in layer.items():
            if not isinstance(value, dict):
                found = [pair for pair in found if pair[0] != key and not pair[0].startswith(f"{key}.")]
            found.append((key, value))
    return tuple(config.as_override(key, value) for key, value in found)
