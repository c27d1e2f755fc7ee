"""Runs that differ by their seed alone belong together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lossbench import config
from lossbench.report.runs import shown

# What changes no result: the seed makes repetitions, the others move no number.
NEUTRAL = {
    *("seed", "data.workers", "trainer.progress", "trainer.tensorboard", "trainer.keep_checkpoints"),
    *("trainer.checkpoint_every_epochs", "trainer.checkpoint_every_steps"),
}
ABSENT = object()


@dataclass
class Group:
    """Repetitions of one experiment with different seeds."""

    runs: list
    label: str = ""

    @property
    def seeds(self) -> list[int]:
        return [run.settings.seed for run in self.runs]

    @property
    def data(self) -> str:
        """What was trained on, in a few words; figures compare only between groups that share them."""
        section = self.runs[0].settings.data
        held_out = getattr(section, "holdout_classes", None)
        return section.source + (f" without classes {', '.join(map(str, held_out))}" if held_out else "")

    @property
    def values(self) -> dict:
        """Dotted config keys and their values, but for those that change no result."""
        return {key: value for key, value in config.values(self.runs[0].settings).items() if key not in NEUTRAL}


def group(runs) -> list[Group]:
    """Return runs with the same config but the seed together, each with a label of its own.

    Groups come in the order of their first run, those on the same data one after the other. Of runs with the same seed,
    which is no repetition, one is kept, a finished one if there is; the others say so among their problems.

    Parameters
    ----------
    runs : iterable of Run
        With settings.
    """
    groups = []
    for run in runs:
        alone = Group([run])
        for other in groups:
            if other.values == alone.values:
                other.runs.append(run)
                break
        else:
            groups.append(alone)
    for each in groups:
        each.runs = _once_a_seed(each.runs)
    _label(groups)
    kinds = list(dict.fromkeys(each.data for each in groups))
    return sorted(groups, key=lambda each: kinds.index(each.data))


def _once_a_seed(runs):
    kept = {}
    for run in sorted(runs, key=lambda run: (run.settings.seed, not run.is_finished)):
        first = kept.setdefault(run.settings.seed, run)
        if first is not run:
            run.problems.append(f"Left out: the same config and seed as {shown(first.path)}.")
    return list(kept.values())


def _label(groups):
    """The config's name; the folder's where two share it; its whole path where that does not tell them apart."""
    for name_of in (lambda run: run.settings.name, lambda run: _folder(run).name, lambda run: str(_folder(run))):
        taken = Counter(each.label for each in groups)
        for each in groups:
            if taken[each.label] > 1 or not each.label:
                each.label = name_of(each.runs[0])
    taken = Counter(each.label for each in groups)
    for number, each in enumerate(groups, 1):
        if taken[each.label] > 1:
            each.label = f"{each.label} ({number})"


def _folder(run) -> Path:
    """The folder of a run, or the one around it where it is called by its seed."""
    path = run.path.resolve()
    return path.parent if path.name.startswith("seed-") else path


def differing(groups) -> dict[str, list]:
    """Return the config keys whose values differ between groups, but `name`, each with the value of every group.

    `ABSENT` stands for a group that has no such key.
    """
    values = [each.values for each in groups]
    keys = list(dict.fromkeys(key for mapping in values for key in mapping if key != "name"))
    found = {key: [mapping.get(key, ABSENT) for mapping in values] for key in keys}
    return {key: row for key, row in found.items() if any(value != row[0] for value in row)}
