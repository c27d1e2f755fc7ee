"""Where a run is: written into every checkpoint, and held to its form when it is read from one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lossbench.errors import UserError


@dataclass
class Position:
    """Where a run is: all that a checkpoint must remember besides parameters and optimizer state."""

    epoch: int = 1
    """The epoch that the next step belongs to, from 1."""
    epoch_step: int = 0
    """Updates done in it."""
    loss_sum: float = 0.0
    right: float = 0.0
    images: int = 0
    seconds: float = 0.0
    """Time spent in this epoch, also before an interruption."""
    best: dict | None = None
    """`{"epoch", "step", "accuracy"}` of the best validation accuracy so far, of equal ones the latest."""
    better_epoch: int = 0
    """The epoch that was last better than all before it."""
    stopped_early: bool = False

    def next_epoch(self) -> Position:
        return Position(
            epoch=self.epoch + 1, best=self.best, better_epoch=self.better_epoch, stopped_early=self.stopped_early
        )

    def judge(self, accuracy: float | None, step: int, patience: int | None, max_steps: int | None) -> bool:
        """Take in what the epoch reached at its end; returns whether its validation accuracy is the best so far.

        Of equal ones the later epoch is the best, but only a better one makes early stopping wait again.
        """
        before = self.best["accuracy"] if self.best else -1
        is_best = accuracy is not None and accuracy >= before
        if is_best:
            better = accuracy > before
            self.better_epoch = self.epoch if better else self.better_epoch or self.best["epoch"]
            self.best = {"epoch": self.epoch, "step": step, "accuracy": accuracy}
        since = self.epoch - (self.better_epoch or self.best["epoch"]) if self.best else 0
        waited = patience is not None and since >= patience
        self.stopped_early = waited or (max_steps is not None and step >= max_steps)
        return is_best

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, value, where: str) -> Position:
        """What `as_dict` returned, read from a file; `UserError` naming `where` if it is something else."""
        found = {**asdict(cls()), **value} if isinstance(value, dict) else {}
        if not (found.keys() == asdict(cls()).keys() and all(_FITS[key](each) for key, each in found.items())):
            raise UserError(f"{where}: position must be that of a training, got {str(value)[:200]}.")
        return cls(**found)


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_amount(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_best(value) -> bool:
    return value is None or (
        isinstance(value, dict)
        and value.keys() == {"epoch", "step", "accuracy"}
        and _is_count(value["epoch"])
        and _is_count(value["step"])
        and _is_amount(value["accuracy"])
    )


_FITS = {
    "epoch": lambda value: _is_count(value) and value >= 1,
    "epoch_step": _is_count,
    "loss_sum": lambda value: isinstance(value, (int, float)) and abs(value) < float("inf"),
    "right": _is_amount,
    "images": _is_count,
    "seconds": _is_amount,
    "best": _is_best,
    "better_epoch": _is_count,
    "stopped_early": lambda value: isinstance(value, bool),
}
