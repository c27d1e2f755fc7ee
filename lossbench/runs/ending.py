"""When a run is finished: its training is over, and everything that its config asks for at the end is there.

A training writes `plan.json` before its first step: what will be measured and drawn. The plan, the values and the
files are compared, so that it does not matter at which moment a process died.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from lossbench.errors import UserError
from lossbench.runs import reading
from lossbench.training.position import Position


@dataclass(frozen=True)
class End:
    """Where a training stands."""

    epoch: int
    step: int
    is_over: bool
    """Whether all epochs are done, or early stopping or `trainer.max_steps` ended them."""
    best: dict | None = None
    """`{"epoch", "step"}` of the best validation accuracy."""

    @property
    def checkpoints(self) -> dict:
        """Name -> its epoch and step, of the checkpoints that are evaluated."""
        best = {"best": self.best} if self.best else {}
        return {"last": {"epoch": self.epoch, "step": self.step}, **best}


def end(run) -> End | None:
    """Return where the training of a run stands: by its history, or by its newest checkpoint where that is further.

    Also by that where the history has lost rows, of which one may have been the best epoch's.
    """
    epochs = run.value("trainer.epochs", 0)
    found = _by_history(run.history, epochs, run.value("trainer.early_stopping_epochs"), run.value("trainer.max_steps"))
    is_whole = [row["epoch"] for row in run.history] == list(range(1, len(run.history) + 1))
    if found and found.is_over and is_whole:
        return found
    saved = _by_checkpoint(run.newest_state(), epochs)
    return saved if saved and (found is None or saved.step >= found.step) else found


def _by_history(rows, epochs, patience, max_steps):
    if not rows or "step" not in rows[-1]:
        return None
    limits = [limit if reading.is_count(limit) else None for limit in (patience, max_steps)]
    position = Position()
    for row in rows:
        position.epoch = row["epoch"]
        if "step" in row:
            position.judge(row.get("validation_accuracy"), row["step"], *limits)
    return _end(position.epoch, rows[-1]["step"], epochs, position)


def _by_checkpoint(state, epochs):
    try:
        position = Position.from_dict(state.get("position"), "state.json")
    except UserError:
        return None
    return _end(position.epoch - 1, state["step"], epochs, position) if reading.is_count(state.get("step")) else None


def _end(epoch, step, epochs, position):
    best = {"epoch": position.best["epoch"], "step": position.best["step"]} if position.best else None
    return End(epoch, step, epoch >= epochs or position.stopped_early, best)


def plan(measured: dict, pictures) -> dict:
    """Return what `plan.json` holds.

    Parameters
    ----------
    measured : dict of str to list of str
        Split -> names of the values that are measured of it, of the last and the best checkpoint alike.
    pictures : sequence of str
        Kinds that are drawn of the last checkpoint.
    """
    return {"measured": {split: list(names) for split, names in measured.items()}, "pictures": list(pictures)}


def unmeasured(run, which: str, step: int) -> dict[str, list]:
    """Return split -> names of the planned values that one checkpoint lacks.

    Parameters
    ----------
    run : Run
    which : str
        `last` or `best`.
    step : int
        Its own; values of another step do not count.
    """
    entry = run.metrics.get(which, {})
    entry = entry if entry.get("step") == step else {}
    found = {}
    for split, names in _planned(run, "measured", dict).items():
        there = entry.get(split)
        missing = [name for name in _texts(names) if not (isinstance(there, dict) and _is_there(run, there, name))]
        if missing:
            found[split] = missing
    return found


def _is_there(run, values, name):
    """Whether a value is there, and the arrays that belong to it."""
    if name not in values:
        return False
    arrays = values[name].get("arrays") if isinstance(values[name], dict) else None
    return not isinstance(arrays, str) or os.path.isfile(run.path / arrays)  # False for any text


def drawn(run, step: int) -> dict:
    """Return what came of the pictures at that step: kind -> names of files, or why there is none."""
    kinds = run.drawn.get("kinds") if run.drawn.get("step") == step else None
    return kinds if isinstance(kinds, dict) else {}


def undrawn(run, step: int) -> list[str]:
    """Return the kinds of planned pictures that are not there; one that cannot be drawn of this run is not missing."""
    kinds = drawn(run, step)
    return [kind for kind in _texts(_planned(run, "pictures", list)) if not _is_drawn(run, kinds.get(kind))]


def _is_drawn(run, outcome):
    if isinstance(outcome, dict):
        return "unavailable" in outcome
    return isinstance(outcome, list) and all(os.path.isfile(run.plots / name) for name in _texts(outcome))


def missing(run) -> list[str]:
    """Return what a run still owes, in words; empty where it is finished."""
    place = end(run)
    epochs = run.value("trainer.epochs", 0)
    if place is None or not place.is_over:
        return [f"{place.epoch if place else 0} of {epochs} epochs are done"]
    if run.plan is None:  # written before there were plans, which leaves the values of the last epoch to go by
        return [] if run.metrics.get("last", {}).get("step") == place.step else ["the last epoch is not evaluated"]
    if not (isinstance(run.plan.get("measured"), dict) and isinstance(run.plan.get("pictures"), list)):
        return ["plan.json does not say what was to be measured"]
    owed = [
        f"{which} {split}: {', '.join(names)}"
        for which, at in place.checkpoints.items()
        for split, names in unmeasured(run, which, at["step"]).items()
    ]
    pictures = undrawn(run, place.step)
    return owed + ([f"pictures: {', '.join(pictures)}"] if pictures else [])


def _planned(run, key, kind):
    value = (run.plan or {}).get(key)
    return value if isinstance(value, kind) else kind()


def _texts(values):
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
