"""Scalars for TensorBoard: each epoch's row of the history, and the metrics at the end."""

from __future__ import annotations

import os
import shutil
import time

from lossbench.errors import UserError


class Scalars:
    """Writes a run's scalars into its `tensorboard` folder, or nothing where the config does not ask for it.

    The history is the truth: where a run starts or goes on, the folder is written anew from its rows, so that no step
    is there twice, and none of an epoch that was undone.

    Parameters
    ----------
    folder : Path
        The run folder.
    wanted : bool
        `trainer.tensorboard`.

    Raises
    ------
    ValueError
        tensorboardX is wanted and not installed.
    """

    def __init__(self, folder, wanted: bool):
        self._path = folder / "tensorboard"
        self._writer = None
        self._new_writer = _writer_class() if wanted else None

    def begin(self, rows) -> None:
        """Write the rows that there are already, in place of what the folder holds."""
        if self._new_writer is None:
            return
        self.close()
        shutil.rmtree(self._path, ignore_errors=True)
        self._writer = self._new_writer(os.fspath(self._path))
        moment = time.time() - sum(row.get("seconds", 0) for row in rows)
        for row in rows:
            moment += row.get("seconds", 0)
            self.row(row, moment)

    def row(self, row: dict, moment=None) -> None:
        """Write one row of the history at its `step`: loss, accuracies, learning rate, scheduled values, images/s.

        `moment` is when that was, in seconds since 1970; by default now.
        """
        if self._writer is None or "step" not in row:
            return
        for name, value in row.items():
            if name not in ("epoch", "step", "seconds"):
                self._writer.add_scalar(_tag(name), value, row["step"], walltime=moment)
        self._writer.flush()

    def metrics(self, metrics: dict) -> None:
        """Write what `metrics.json` holds, numbers alone, at the steps of its checkpoints."""
        if self._writer is None:
            return
        for which, entry in metrics.items():
            for split, measured in entry.items():
                if isinstance(measured, dict):
                    for name, value in _numbers(measured):
                        self._writer.add_scalar(f"{which}/{split}/{name}", value, entry["step"])
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _writer_class():
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UserError(
            "trainer: tensorboard needs the package tensorboardX, which is not installed. "
            "Bring it with: pip install tensorboardX; or set trainer.tensorboard=false."
        ) from error
    return SummaryWriter


def _tag(name):
    """TensorBoard groups by what stands before a slash."""
    return name.replace(".", "/") if "." in name else f"training/{name}"


def _numbers(measured, path=""):
    """Yield names and numbers of nested metrics; reasons why something is unavailable, texts and lists are left out."""
    for name, value in measured.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{path}{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{path}{name}", value
