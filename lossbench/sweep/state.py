"""What there is of a planned run: finished, failed with a reason, begun, nothing, or a run of another config."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from lossbench import atomic, config
from lossbench.errors import UserError
from lossbench.runs import Run

FINISHED, FAILED, BEGUN, ABSENT = "finished", "failed", "begun", "absent"
STOPPED = "stopped"  # what became of a run that was saved and goes on later
WAITING = "waiting"  # of one that was passed over, since something else is to end first
LACKING = "lacking"  # of one that was trained, and has not every value that is wanted
FAILURE = "failed.json"


@dataclass(frozen=True)
class State:
    """Of one planned run."""

    kind: str
    run: Run
    reason: str = ""
    """Why it failed, or what is to be measured anew."""
    is_trained: bool = False
    """Whether what was measured of it counts: its training is over, and by the config as it is."""

    @property
    def has_ended(self) -> bool:
        return self.kind in (FINISHED, FAILED)

    @property
    def is_kept(self) -> bool:
        """Whether there is something of it for the tables."""
        return self.has_ended or self.is_trained


def look(planned, out, wanted) -> State:
    """Read what there is of a planned run.

    Parameters
    ----------
    planned : plan.Planned
    out : path
        The sweep's folder.
    wanted : iterable of (checkpoint, split, metric)
        Values without which it is not finished.

    Raises
    ------
    UserError
        The folder holds a run of another config or another version of a plugin.
    """
    run = Run(Path(out) / planned.folder)
    changed = _changed(run, planned) if run.config_file.exists() else []
    is_trained = run.config_file.exists() and not changed and run.is_finished
    lacking = lacks(run, wanted)
    if is_trained and not lacking:
        return State(FINISHED, run, is_trained=True)
    reason = failure(run.path)
    if reason is not None:
        return State(FAILED, run, reason, is_trained)
    anew = f"to be measured anew by its {' and '.join(changed)}" if changed and run.is_finished else ""
    anew = f"{', '.join(lacking)} to be measured" if is_trained else anew
    return State(BEGUN if run.config_file.exists() else ABSENT, run, anew, is_trained)


def require_checkpoints(states) -> None:
    """`UserError` where something is to be measured of trainings that are over, and no checkpoint is there.

    They would be trained again, and what is published of them overwritten.
    """
    bare = [found for found in states if found.run.is_finished and not found.run.steps()]
    if bare:
        more = f", and {len(bare) - 1} more" if len(bare) > 1 else ""
        raise UserError(
            f"sweep: {bare[0].run.path} must have a checkpoint ({bare[0].reason}), got small files alone{more}. Undo "
            "the change of the file, give the sweep another folder with --out, or remove these folders to have them "
            "trained again."
        )


def _changed(run, planned) -> list[str]:
    """Keys that `experiment.run` has to look at anew; `UserError` where they make another training."""
    settings = planned.settings
    try:
        recorded = run.load_config()
    except UserError as error:
        raise UserError(
            f"sweep: {run.path} must hold a run of this version, got a config that it does not read: {error}"
        ) from None
    differing = [key for key in config.changes(recorded, settings) if config.on_resume(key) != "neutral"]
    other = [key for key in differing if config.on_resume(key) is None or key == "trainer.epochs"]
    if other:
        raise UserError(
            f"sweep: {run.path} must hold a run of {planned.arm.variant}, got one whose config differs in "
            f"{', '.join(other)}. Give the changed variant another name, or the sweep another folder with --out."
        )
    for sentence in run.changed_plugins():
        raise UserError(
            f"sweep: {run.path} must hold a run of the plugin as it is. {sentence} Keep that "
            "file as it was and put the changed loss into one of its own, or give the sweep another folder with --out."
        )
    return [key for key in differing if config.on_resume(key) == "remeasures"]


def lacks(run, wanted) -> list[str]:
    """Return the metrics that are neither there nor said to be unavailable."""
    return [each[-1] for each in wanted if value(run, *each) is None and unavailable(run, *each) is None]


def value(run, checkpoint: str, split: str, metric: str) -> float | None:
    """Return one number of a run's metrics; `metric` may be nested, such as `retrieval.cosine.map_at_r`."""
    found = _found(run, checkpoint, split, metric)
    return float(found) if _is_number(found) and math.isfinite(found) else None


def unavailable(run, checkpoint: str, split: str, metric: str) -> str | None:
    """Return why a run has no such number, None where nothing is said."""
    place = run.metrics.get(checkpoint, {}).get(split, {})
    for key in metric.split("."):
        place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict) and "unavailable" in place:
            return str(place["unavailable"])
    return f"It is {place}." if _is_number(place) and not math.isfinite(place) else None


def judged_by(run, checkpoint: str, split: str, metric: str) -> list:
    """What is said of the images or pairs that a number was taken from, such as how many they were."""
    place, found = run.metrics.get(checkpoint, {}).get(split), []
    for key in metric.split("."):
        if not isinstance(place, dict):
            break
        found.append({of: place[of] for of in ("images", "pairs", "same_pairs", "different_pairs") if of in place})
        place = place.get(key)
    return found


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _found(run, checkpoint, split, metric):
    place = run.metrics.get(checkpoint, {}).get(split)
    for key in metric.split("."):
        place = place.get(key) if isinstance(place, dict) else None
    return place


def failure(folder) -> str | None:
    """Return why a run failed, None where it did not."""
    with contextlib.suppress(OSError, ValueError):
        return str(json.loads((Path(folder) / FAILURE).read_text(encoding="utf-8"))["reason"])
    return None


def note_failure(folder, reason: str) -> None:
    """Keep why a run failed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_json(folder / FAILURE, {"reason": reason})


def forget_failure(folder) -> None:
    """Before a run is tried again."""
    (Path(folder) / FAILURE).unlink(missing_ok=True)
