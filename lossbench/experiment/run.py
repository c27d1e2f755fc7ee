"""From a config to a trained and evaluated run folder."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import threading
from dataclasses import dataclass
from typing import Optional

from lossbench import _mxnet, atomic, checkpoint, config, data
from lossbench.errors import UserError
from lossbench.experiment.model import Model
from lossbench.experiment.progress import Progress
from lossbench.experiment.run_folder import RunFolder
from lossbench.experiment.scalars import Scalars
from lossbench.experiment.training import Training
from lossbench.training.position import Position

RESUMABLE_CHANGES = ("trainer.epochs", "trainer.progress", "trainer.tensorboard", "trainer.keep_checkpoints")


@dataclass
class Result:
    """What `run` did: the folder, its metrics, the signal that interrupted it, or that it was finished before."""

    run_dir: pathlib.Path
    metrics: dict
    signal: Optional[int] = None
    finished_before: bool = False


def run(
    settings, run_dir, *, resume=False, device="auto", heads=None, backbones=None, data_sources=None, hint=""
) -> Result:
    """Train what a config describes, in a run folder, then evaluate it on the test set.

    Parameters
    ----------
    settings : config.Config
    run_dir : path
        Made if absent. A finished run there is left alone.
    resume : bool
        Go on from the newest whole checkpoint of an unfinished run; `trainer.epochs` may have grown since.
    device : str
        `auto`, `cpu`, `gpu`, `gpu:0,1`, …
    heads, backbones, data_sources : dict
        The user's own classes and loaders by the name that the config uses.
    hint : str
        Said where the estimated time exceeds an hour.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        The folder holds an unfinished run and `resume` is not set, a run of another config, or checkpoints of which
        none is usable; bad data; bad settings.
    RunFailed
        A non-finite loss or a disk that cannot be written; the message names the last good checkpoint.
    """
    folder = RunFolder(run_dir)
    own = {"heads": heads or (), "backbones": backbones or (), "data": data_sources or ()}
    with folder.locked():
        if folder.config.exists():
            previous = config.load(folder.config, **own)
            refuse_other_config(folder, previous, settings, resume)
            if _is_finished(folder, settings, checkpoint.newest(folder.checkpoints, _require_position)[2]):
                return Result(folder.path, folder.metrics(), finished_before=True)
            if not resume:
                raise UserError(
                    f"run: {folder.path} holds an unfinished run. Go on with it: --resume; or start another: --run-dir."
                )
        scalars = Scalars(folder.path, settings.trainer.tensorboard)
        progress = Progress(settings.trainer.progress, settings.trainer.epochs, hint)
        devices = _mxnet.devices(device)
        dataset = data.load(settings.data, settings.seed, data_sources or {})
        model = Model(settings, dataset, devices, own_heads=heads, own_backbones=backbones, for_training=True)
        training = Training(folder, model, progress, scalars)
        resumed = training.resume()
        atomic.write_atomically(folder.config, config.dump(settings))
        folder.write_environment(
            device=[str(d) for d in devices],
            threads=_mxnet.thread_count(),
            data={"checksums": dataset.checksums, "notes": dataset.notes, "classes": dataset.class_map()},
        )
        if not resumed:
            training.start_fresh()
        with contextlib.closing(scalars):
            with _interruption() as interruption:
                training.fit(interruption)
                if not training.is_complete:
                    return Result(folder.path, folder.metrics(), signal=interruption.signal or signal.SIGINT)
            training.evaluate()
        return Result(folder.path, folder.metrics())


def describe_groups(settings, device="auto", *, heads=None, backbones=None, data_sources=None) -> list[str]:
    """The optimizer's groups of a config with what they hold, as lines: builds the model, trains nothing."""
    dataset = data.load(settings.data, settings.seed, data_sources or {})
    model = Model(settings, dataset, _mxnet.devices(device), own_heads=heads, own_backbones=backbones)
    return [line for group in model.groups() for line in group.describe()]


def refuse_other_config(folder, previous, settings, resume) -> None:
    """`ValueError` where a run folder's config differs in more than a resumed run may change."""
    changed = config.differences(previous, settings)
    refused = [key for key in changed if not (resume and key in RESUMABLE_CHANGES)]
    if refused:
        raise UserError(
            f"run: {folder.path} was started with another config; differing: {', '.join(refused)}. "
            "Choose another folder with --run-dir, or the same config."
        )


def _require_position(path, arrays, state):
    Position.from_dict(state.get("position"), f"checkpoint {path}")


def _is_finished(folder, settings, state) -> bool:
    if state is None:
        return False
    complete = state["position"]["epoch"] > settings.trainer.epochs or state["position"]["stopped_early"]
    return complete and folder.metrics().get("last", {}).get("step") == state["step"]


class _Interruption:
    signal = None


@contextlib.contextmanager
def _interruption():
    """Note the first SIGINT or SIGTERM, so that the step is finished and saved; a second one acts as usual."""
    noted = _Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number, frame):
        noted.signal = number
        for which, handler in previous.items():
            signal.signal(which, handler)

    previous = {which: signal.signal(which, note) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for which, handler in previous.items():
            signal.signal(which, handler)
