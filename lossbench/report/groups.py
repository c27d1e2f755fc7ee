"""Runs that differ by their seed alone belong together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lossbench import config
from lossbench.runs import shown

ABSENT = object()
_OF_TRAINING = (
    "batch_size", "validation_fraction", "class_imbalance", "label_noise", "drop_last", "normalize.", "augment.",
)  # fmt: skip
"""Keys of the data section that move no test image."""


@dataclass
class Group:
    """Repetitions of one experiment with different seeds."""

    runs: list
    label: str = ""
    kind: int = 0
    """The same of groups that are judged by the same images."""

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @property
    def data(self) -> str:
        """What was trained on, in a few words."""
        run = self.runs[0]
        held_out = run.value("data.holdout_classes")
        held_out = held_out if isinstance(held_out, list) else []
        return run.value("data.source") + (f" without classes {', '.join(map(str, held_out))}" if held_out else "")

    @property
    def values(self) -> dict:
        """Dotted config keys and their values, but the seed, which makes repetitions, and those that move no number."""
        values = self.runs[0].values.items()
        return {key: value for key, value in values if key != "seed" and config.on_resume(key) != "neutral"}


def _same_images(one, other) -> bool:
    """Whether two groups are judged by the same images and classes, as far as configs and checksums say."""

    def chosen(group):
        values = {key[len("data.") :]: value for key, value in group.values.items() if key.startswith("data.")}
        return {key: value for key, value in values.items() if not key.startswith(_OF_TRAINING)}

    return chosen(one) == chosen(other) and not one.runs[0].read_other_files(other.runs[0])


def group(runs) -> list[Group]:
    """Return runs with the same config and data but the seed together, each with a label of its own.

    Groups come in the order of their first run, those on the same data one after the other. Of runs with the same seed,
    which is no repetition, one is kept, a finished one if there is; the others say so among their problems.

    Parameters
    ----------
    runs : iterable of Run
        With a readable config.
    """
    groups = []
    for run in runs:
        alone = Group([run])
        for other in groups:
            if other.values == alone.values and not other.runs[0].read_other_files(run):
                other.runs.append(run)
                break
        else:
            groups.append(alone)
    for each in groups:
        each.runs = _once_a_seed(each.runs)
    _label(groups)
    for number, each in enumerate(groups):
        each.kind = next((other.kind for other in groups[:number] if _same_images(other, each)), number)
    return sorted(groups, key=lambda each: each.kind)


def _once_a_seed(runs):
    kept = {}
    for run in sorted(runs, key=lambda run: (run.seed, not run.is_finished)):
        first = kept.setdefault(run.seed, run)
        if first is not run:
            run.problems.append(f"Left out: the same config and seed as {shown(first.path)}.")
    return list(kept.values())


def _label(groups):
    """The config's name; the folder's where two share it; its whole path where that does not tell them apart."""
    for name_of in (lambda run: run.name, lambda run: _folder(run).name, lambda run: str(_folder(run))):
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
