"""From `metrics.json` to tables: one row a group of runs, one column a metric."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from lossbench.evaluation import Value as Declared
from lossbench.report import names

ACCURACY = "Accuracy"
MANY_COLUMNS = 12


@dataclass(frozen=True)
class Value:
    """A number, or the reason why there is none (empty: it was not measured)."""

    number: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Cell:
    """What a group of runs has of one metric."""

    mean: float | None
    deviation: float | None
    """Sample standard deviation over the runs that have the value; None for one."""
    n: int
    reasons: tuple
    """Why runs lack the value, each reason once."""

    @property
    def is_known(self) -> bool:
        """Whether there is a value, or a reason why there is none."""
        return self.mean is not None or any(self.reasons)


@dataclass(frozen=True)
class Column:
    """A metric over all groups."""

    path: tuple
    above: str
    """What it shares with its neighbors in the table, such as a score; may be empty."""
    name: str
    """What tells it from those."""
    cells: tuple
    value: Declared
    """What its method declares."""
    decimals: int

    @property
    def title(self) -> str:
        """What tells it from the others of its table."""
        return ", ".join(filter(None, (self.above, self.name)))

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is, 0 where neither is said."""
        return self.value.better

    @property
    def is_fraction(self) -> bool:
        return self.value.is_fraction

    @property
    def unit(self) -> str:
        return {"fraction": "%", "degrees": "°"}.get(self.value.unit, "")

    def best(self, kinds) -> set[int]:
        """Return the numbers of the rows whose mean, as it is shown, is the best among rows of the same kind.

        None of a kind where fewer than two rows have a mean, or all share it.
        """
        shown = {row: round(cell.mean * self.factor, self.decimals) for row, cell in enumerate(self.cells)
                 if cell.mean is not None}  # fmt: skip
        found = set()
        for kind in set(kinds) if self.sign else ():
            values = {row: self.sign * value for row, value in shown.items() if kinds[row] == kind}
            if len(set(values.values())) > 1:
                found |= {row for row, value in values.items() if value == max(values.values())}
        return found

    @property
    def is_constant(self) -> bool:
        """Whether it is a count that all runs share of which it is known."""
        shared = {(cell.mean, cell.deviation or 0, cell.reasons) for cell in self.cells if cell.is_known}
        return not self.is_fraction and not self.decimals and len(shared) == 1 and None not in next(iter(shared))

    @property
    def factor(self) -> int:
        return 100 if self.is_fraction else 1

    def written(self, number: float) -> str:
        return f"{self.factor * number:,.{self.decimals}f}"


@dataclass(frozen=True)
class Table:
    """The metrics of one family, such as verification."""

    title: str
    columns: tuple
    counts: tuple
    """Metrics that are one and the same whole number everywhere, such as that of the pairs: `same pairs 3,000`."""
    remarks: tuple
    """Texts that the metrics hold beside their numbers, such as the rule of a threshold."""


def flatten(value, path=()) -> dict:
    """Return numbers and reasons by their path in nested metrics; lists are left out, and texts that explain.

    Examples
    --------
    >>> flatten({"accuracy": 0.5, "roc": {"area": {"unavailable": "no pairs"}, "rule": "above", "points": [1, 2]}})
    {('accuracy',): Value(number=0.5, reason=''), ('roc', 'area'): Value(number=None, reason='no pairs')}
    """
    if isinstance(value, dict) and "unavailable" in value:
        return {path: Value(reason=str(value["unavailable"]) or "no reason given")}
    if isinstance(value, dict):
        return {key: leaf for name, inner in value.items() for key, leaf in flatten(inner, (*path, str(name))).items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        finite = math.isfinite(value)
        return {path: Value(value) if finite else Value(reason=f"The value is not finite: {value}.")}
    return {}


def remarks(value, path=()) -> dict:
    """Return the sentences in nested metrics by their path; a single word, such as a file's name, is none."""
    if isinstance(value, dict) and "unavailable" not in value:
        return {key: text for name, inner in value.items() for key, text in remarks(inner, (*path, str(name))).items()}
    return {path: value} if isinstance(value, str) and " " in value else {}


def tables(groups, checkpoint: str, split: str) -> list[Table]:
    """Return a table per family of metrics: the accuracies, then what lies nested in each key.

    Parameters
    ----------
    groups : list of list of dict
        For every group, the metrics of its runs, as `metrics.json` has them.
    checkpoint, split : str
        Which part, such as `last` and `test`.
    """
    parts = [[_part(metrics, checkpoint, split) for metrics in group] for group in groups]
    flat = [[flatten(part) for part in group] for group in parts]
    paths = list(dict.fromkeys(path for group in flat for run in group for path in run))
    texts = {key: text for group in parts for part in group for key, text in remarks(part).items()}
    found = []
    for family, members in _families(paths).items():
        columns = tuple(
            _column(path, len(family), [[run.get(path, Value()) for run in group] for group in flat])
            for path in members
        )
        same = [column for column in columns if column.is_constant]
        found.append(
            Table(
                title=names.family(family) if family else ACCURACY,
                columns=tuple(column for column in columns if column not in same),
                counts=_counts(same),
                remarks=tuple(dict.fromkeys(t for key, t in texts.items() if family and key[: len(family)] == family)),
            )
        )
    return found


def _part(metrics, checkpoint, split):
    part = metrics.get(checkpoint, {}).get(split, {})
    return part if isinstance(part, dict) else {}


def parts(all_metrics) -> list[tuple[str, str]]:
    """Return which (checkpoint, split) there are in any of the metrics: last before best, test before the others."""
    found = {
        (checkpoint, split)
        for metrics in all_metrics
        for checkpoint, entry in metrics.items()
        for split, values in entry.items()
        if isinstance(values, dict) and values
    }
    order = {"last": 0, "best": 1, "test": 0, "validation": 1, "train": 2}
    return sorted(found, key=lambda part: (order.get(part[0], 2), order.get(part[1], 3), part))


def _counts(columns):
    """Said once where all of a name agree, such as the numbers of images under several scores."""
    means = [next(cell.mean for cell in column.cells if cell.is_known) for column in columns]
    values = [(column, column.written(mean)) for column, mean in zip(columns, means)]
    by_name = {}
    for column, value in values:
        by_name.setdefault(column.path[-1], set()).add(value)
    short = {name for name, found in by_name.items() if len(found) == 1}
    said = (f"{c.value.called(c.path[-1]) if c.path[-1] in short else c.title} {value}" for c, value in values)
    return tuple(dict.fromkeys(said))


def _families(paths, size=0):
    """Paths by their first key; by the next, too, where a family has many members beside counts."""
    families = {}
    for path in paths:
        families.setdefault(path[: size + 1] if len(path) > size + 1 else path[:size], []).append(path)
    split = {}
    for family, members in families.items():
        many = sum(names.value(path).unit != "count" for path in members) > MANY_COLUMNS
        split.update(_families(members, size + 1) if many and len(family) > size else {family: members})
    return split


def _column(path, size, rows):
    cells = tuple(map(_cell, rows))
    means = [cell.mean for cell in cells if cell.mean is not None]
    value = names.value(path)
    counts = all(isinstance(value.number, int) for row in rows for value in row if value.number is not None)
    whole = counts and all(float(mean).is_integer() for mean in means)
    decimals = 2 if value.is_fraction else 0 if whole else _decimals(means)
    return Column(path, *names.within(path, size), cells, value, decimals)


def _cell(values):
    numbers = [value.number for value in values if value.number is not None]
    reasons = tuple(dict.fromkeys(value.reason for value in values if value.number is None))
    mean = statistics.fmean(numbers) if numbers else None
    return Cell(mean, statistics.stdev(numbers) if len(numbers) > 1 else None, len(numbers), reasons)


def _decimals(means):
    """Four significant digits of the largest."""
    largest = max(map(abs, means), default=0)
    return 2 if not largest else min(6, max(0, 3 - math.floor(math.log10(largest))))
