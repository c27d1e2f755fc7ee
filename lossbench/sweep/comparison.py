"""From the runs of a sweep to what is compared: per variant a summary, per pair of variants the difference by seed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lossbench import config
from lossbench.errors import UserError
from lossbench.runs import reading
from lossbench.sweep import state, statistics
from lossbench.sweep.plan import Arm, Plan, Planned


@dataclass(frozen=True)
class Row:
    """One planned run with what there is of it."""

    planned: Planned
    state: state.State

    @property
    def is_finished(self) -> bool:
        return self.state.kind == state.FINISHED


@dataclass(frozen=True)
class Side:
    """One arm in a table."""

    arm: Arm
    values: dict
    """Seed -> value, of the finished runs that have one."""
    failed: int
    """How many runs failed."""
    unavailable: dict = dataclasses.field(default_factory=dict)
    """Seed -> why a finished run has no value."""

    @property
    def summary(self) -> statistics.Summary | None:
        return statistics.summarize(list(self.values.values())) if self.values else None


@dataclass(frozen=True)
class Comparison:
    """A variant less a baseline, seed by seed."""

    variant: str
    baseline: str
    differences: dict
    """Seed -> difference."""
    bootstrap: statistics.Interval | None
    """None where no per-image results were kept."""
    p: float | None
    """None where so few pairs allow none below 0.05."""
    adjusted: float | None
    """By Holm's method over the comparisons of the table; None where so few pairs allow none below 0.05."""
    unpaired: tuple
    """Keys of the data section that differ, so that a seed does not give both sides the same batches."""
    mixed: tuple = ()
    """Seeds of which one run was computed in float32 and the other in bfloat16, though the configs ask for the same."""
    other_data: tuple = ()
    """Seeds whose two runs read other contents of a file, though the configs ask for the same data."""
    judged_otherwise: tuple = ()
    """Seeds whose two values are of other images or pairs, as options of `eval.py` choose them."""

    @property
    def summary(self) -> statistics.Summary:
        return statistics.summarize(list(self.differences.values()))

    @property
    def interval(self) -> statistics.Interval | None:
        return statistics.t_interval(list(self.differences.values()))


@dataclass(frozen=True)
class Table:
    """One metric of one split and checkpoint on one data set."""

    data_set: str | None
    checkpoint: str
    split: str
    metric: str
    sides: tuple
    """The highest mean first."""
    comparisons: tuple

    @property
    def has_runs(self) -> bool:
        """Whether any that belongs to it has ended."""
        return any(side.values or side.failed for side in self.sides)

    @property
    def reasons(self) -> dict:
        """Why finished runs have no value, in no order."""
        return dict.fromkeys(reason for side in self.sides for reason in side.unavailable.values())


@dataclass(frozen=True)
class Results:
    """A sweep as far as it is trained."""

    plan: Plan
    rows: tuple
    tables: tuple
    """Those of which something is trained and has a value."""
    searches: tuple = ()
    without: tuple = ()
    """Tables of which no finished run has a value."""

    @property
    def awaited(self) -> dict:
        """Arm -> number of runs that wait for its search."""
        count = len(self.plan.sweep.seeds)
        return {search.arm.folder.as_posix(): count for search in self.searches if not search.is_done}

    @property
    def hopeless(self) -> list:
        """Arms of which every trial failed."""
        return [search.arm.folder.as_posix() for search in self.searches if search.is_hopeless]

    @property
    def is_complete(self) -> bool:
        return all(row.is_finished for row in self.rows) and all(search.is_done for search in self.searches)


def wanted(sweep) -> list:
    """(checkpoint, split, metric) of every value that a run of the sweep has to have."""
    return [(checkpoint, *place) for checkpoint in sweep.checkpoints for place in sweep.places]


def collect(plan: Plan, out, searches=()) -> Results:
    """Read every run of a sweep and compare.

    Parameters
    ----------
    plan : plan.Plan
        With the arms that are compared; those whose search is not done have no runs yet.
    out : path
        The sweep's folder.
    searches : iterable of tune.Search
    """
    asked = wanted(plan.sweep)
    rows = tuple(Row(planned, state.look(planned, out, asked)) for planned in plan.runs())
    tables = [
        _table(plan, rows, data_set, (checkpoint, *place))
        for data_set in plan.data_sets
        for place in plan.sweep.places
        for checkpoint in plan.sweep.checkpoints
    ]
    shown = tuple(table for table in tables if table.has_runs)
    without = tuple(table for table in tables if not table.has_runs and table.reasons)
    return Results(plan, rows, shown, tuple(searches), without)


def _table(plan, rows, data_set, place) -> Table:
    runs = {
        arm.variant: {
            row.planned.seed: row.state.run for row in rows if row.planned.arm == arm and row.state.is_trained
        }
        for arm in plan.arms
        if arm.data_set == data_set
    }
    arms = {arm.variant: arm for arm in plan.arms if arm.data_set == data_set}
    sides = {}
    for name, found in runs.items():
        values = {seed: state.value(run, *place) for seed, run in found.items()}
        values = {seed: value for seed, value in values.items() if value is not None}
        reasons = {seed: state.unavailable(run, *place) for seed, run in found.items() if seed not in values}
        reasons = {seed: reason for seed, reason in reasons.items() if reason is not None}
        failed = sum(
            row.state.kind == state.FAILED and row.planned.seed not in {**values, **reasons}
            for row in rows
            if row.planned.arm == arms[name]
        )
        sides[name] = Side(arms[name], values, failed, reasons)
    pairs = [
        (name, baseline)
        for baseline in plan.sweep.baselines
        for name in sides
        if baseline in sides
        and name != baseline
        and not (name in plan.sweep.baselines and _before(plan, name, baseline))
    ]
    pairs = [pair for pair in pairs if sides[pair[0]].values.keys() & sides[pair[1]].values.keys()]
    comparisons = [_comparison(*(sides[name] for name in pair), [runs[name] for name in pair], place) for pair in pairs]
    ranked = sorted(sides.values(), key=lambda side: -side.summary.mean if side.summary else float("inf"))
    return Table(data_set, *place, tuple(ranked), tuple(_adjusted(comparisons)))


def _before(plan, name, baseline) -> bool:
    """Two baselines are compared once: the later less the earlier."""
    order = plan.sweep.baselines
    return order.index(name) < order.index(baseline)


def _comparison(side, base, runs, place) -> Comparison:
    seeds = [seed for seed in side.values if seed in base.values]
    differences = {seed: statistics.difference(side.values[seed], base.values[seed]) for seed in seeds}
    p = (
        statistics.sign_flip_p(list(differences.values()))
        if statistics.smallest_p(len(seeds)) < statistics.ALPHA
        else None
    )
    computed_in = {seed: {found[seed].precision for found in runs} - {None} for seed in seeds}
    mixed = tuple(seed for seed, precisions in computed_in.items() if len(precisions) > 1)
    asks_alike = side.arm.settings.trainer.precision == base.arm.settings.trainer.precision
    unpaired = _unpaired(side, base)
    ours, theirs = runs
    other_data = tuple(seed for seed in seeds if ours[seed].read_other_files(theirs[seed]))
    judged_otherwise = tuple(
        seed for seed in seeds if state.judged_by(ours[seed], *place) != state.judged_by(theirs[seed], *place)
    )
    return Comparison(
        side.arm.variant, base.arm.variant, differences, _bootstrap(runs, seeds, place), p, None,
        unpaired, mixed if asks_alike else (), () if "data.source" in unpaired else other_data,
        () if unpaired else judged_otherwise,
    )  # fmt: skip


def _adjusted(comparisons) -> list[Comparison]:
    """With Holm's p values; a comparison without a p counts as one that shows nothing."""
    adjusted = statistics.holm([1.0 if each.p is None else each.p for each in comparisons])
    best = statistics.best_holm([len(each.differences) for each in comparisons])
    return [
        dataclasses.replace(each, adjusted=p if smallest < statistics.ALPHA else None)
        for each, p, smallest in zip(comparisons, adjusted, best)
    ]


def _unpaired(side, base) -> tuple:
    found = config.differences(side.arm.settings, base.arm.settings)
    return tuple(key for key in found if key.startswith("data.") and config.on_resume(key) != "neutral")


def _bootstrap(runs, seeds, place) -> statistics.Interval | None:
    """Over seeds, then test images; validation images differ from seed to seed and are no common sample."""
    if place[1] == "validation" or len(seeds) < 2:
        return None
    right = [[_right(found[seed], *place) for seed in seeds] for found in runs]
    if any(each is None for side in right for each in side):
        return None
    labels = [label for side in right for label, _ in side]
    if not all(np.array_equal(label, labels[0]) for label in labels):
        return None
    ours, theirs = (np.array([correct for _, correct in side], np.float64) for side in right)
    return statistics.bootstrap_interval(ours - theirs)


def _right(run, checkpoint, split, metric):
    """Labels, and whether each image was classified rightly; None where that was not kept."""
    path = Path(run.path) / "evaluation" / f"{checkpoint}-{split}-{metric}.npz"
    if not path.exists():
        return None
    try:
        arrays = reading.arrays(path)
        label, predicted = arrays["label"], arrays["predicted"]
    except (UserError, KeyError):  # damaged, or of a method that keeps others
        return None
    are_ids = label.ndim == 1 and {label.dtype.kind, predicted.dtype.kind} <= set("iu")
    return (label, predicted == label) if are_ids and label.shape == predicted.shape else None
