"""From a config to a trained and evaluated run folder."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass

from lossbench import _mxnet, config, data, plugins
from lossbench.config.memory import require_enough
from lossbench.errors import UserError
from lossbench.experiment import distributed
from lossbench.experiment.model import Model
from lossbench.experiment.origin import take_over
from lossbench.experiment.training import Training, new_batches, new_trainer
from lossbench.runs import Run
from lossbench.training.communication import ALONE
from lossbench.training.interruption import noticed
from lossbench.training.progress import Progress
from lossbench.training.scalars import Scalars


@dataclass
class Result:
    """What `run` did: the run, the signal that interrupted it, or that it was finished before."""

    run: Run
    signal: int | None = None
    finished_before: bool = False


def run(
    settings,
    run_dir,
    *,
    resume=False,
    accept_changed_data=False,
    device="auto",
    communicator=ALONE,
    hint="",
    load=data.load,
    origin=None,
) -> Result:
    """Train what a config describes, in a run folder, then evaluate it on the test set.

    Parameters
    ----------
    settings : config.Config
    run_dir : path
        Made if absent. A finished run there is left alone.
    resume : bool
        Go on from the newest whole checkpoint of an unfinished run, or do what its evaluation lacks; options may have
        changed that are marked so (`config.on_resume`), such as `trainer.epochs`.
    accept_changed_data : bool
        Go on although the data have other checksums than those that the run was started with; both are kept.
    device : str
        `auto`, `cpu`, `gpu`, `gpu:0,1`, …
    communicator : communication.Alone or communication.MPI
        The processes that train together, each of which calls this function. Rank 0 alone has the run folder.
    hint : str
        Said where the estimated time exceeds an hour.
    load : callable
        What loads the data: `data.load`, or a `SharedData` that several runs of a process have in common.
    origin : path, optional
        Where that lies which the config calls `init_from`. Default: where the config says.

    Returns
    -------
    Result

    Raises
    ------
    UserError
        The folder holds an unfinished run and `resume` is not set, a run of another config or of other data, or
        checkpoints of which none is usable; bad data; bad settings.
    RunFailed
        A non-finite loss or a disk that cannot be written; the message names the last good checkpoint.
    """
    folder = Run(run_dir)
    communicator.if_lost(lambda: distributed.way_on(folder))
    if communicator.rank:
        return _follow(folder, settings, communicator, device, load)
    with folder.locked():
        folder.remove_temporary()
        changed = []
        begun = folder.begun
        if begun is not None:
            changed = _changed(folder, begun.load_config(), settings, resume)
            if folder.is_finished and {config.on_resume(key) for key in changed} <= {"neutral"}:
                communicator.broadcast({"trains": False})
                return Result(folder, finished_before=True)
            for sentence in folder.changed_plugins():
                raise UserError(f"run: {folder.path} must go on as it began. {sentence} Choose another --run-dir.")
            if not resume:
                raise UserError(
                    f"run: {folder.path} holds an unfinished run. Go on with it: --resume; or start another: --run-dir."
                )
        require_enough(settings)
        scalars = Scalars(folder.path, settings.trainer.tensorboard)
        progress = Progress(settings.trainer.progress, settings.trainer.epochs, hint)
        communicator.broadcast({"trains": True})
        devices = distributed.devices(communicator, device)
        dataset = load(settings.data, settings.seed)
        folder.require_data(dataset.checksums, accept=accept_changed_data)
        hosts = distributed.require_alike(communicator, settings, dataset)
        dataset = distributed.share_statistics(communicator, _normalized_as(folder, dataset))
        model = Model(settings, dataset, devices, for_training=True, ranks=communicator.size)
        training = Training(folder, settings, model, progress, scalars, communicator)
        resumed = training.resume()
        if "trainer.epochs" in changed:
            _require_longer(folder, training, progress)
        source = None if resumed else origin or settings.origin
        if source:
            take_over(model, source, progress.say)  # before the folder is a run: another source may be named then
        folder.write_plan(*training.plan())
        folder.write_environment(
            device=[str(d) for d in devices],
            cores=_mxnet.thread_count(),
            threads=_mxnet.threads(),
            hosts=hosts,
            precision=_precision(folder, model, training) if resumed else model.precision,
            plugins=plugins.used_by(settings),
            data={
                "checksums": dataset.checksums,
                "former_checksums": folder.former_checksums(dataset.checksums),
                "notes": dataset.notes,
            },
        )
        folder.write_data(dataset.describe())
        if any(config.on_resume(key) == "remeasures" for key in changed):
            folder.forget_measured()  # before the config says so: a kill in between must not leave old values
        folder.write_config(config.dump(settings))
        if communicator.size > 1:
            progress.say(f"{communicator.size} ranks on {', '.join(dict.fromkeys(hosts))}; a batch is split over them.")
        if not resumed:
            training.start_fresh()
        with contextlib.closing(scalars):
            with noticed() as interruption:
                training.fit(interruption)
                interruption.signal = interruption.signal or communicator.stop(0) or None
                if training.is_complete and not interruption.signal:
                    with interruption.at_once():
                        training.evaluate()
                if not training.is_complete:
                    interruption.signal = interruption.signal or signal.SIGINT
            return Result(folder, signal=communicator.broadcast(interruption.signal))


def _require_longer(folder, training, progress) -> None:
    position, asked = training.position, training.settings.trainer.epochs
    begun = position.epoch if position.epoch_step else position.epoch - 1
    if asked < begun:
        raise UserError(
            f"run: trainer.epochs must be at least the {begun} epochs that {folder.path} has begun, got {asked}. Train "
            "fewer in another folder: --run-dir."
        )
    if position.stopped_early:
        progress.say(f"The run stopped early after {begun} epochs: more are not trained.")


def _normalized_as(run, dataset):
    """The dataset with mean and deviation of the run so far: streamed or not, they are measured once."""
    if run.data is None:
        return dataset
    kept = data.rebuilt(run.data, f"run: {run.path / 'data.json'}")
    return dataset.replace(mean=kept.mean, std=kept.std)


def _precision(run, model, training) -> str:
    """What the steps of a resumed run are computed in, with what it began in where that was another."""
    before = run.precision or model.precision
    if training.is_complete or model.precision in before.split(", "):
        return before
    training.progress.say(f"Its steps were computed in {before}, from here on in {model.precision}.")
    return f"{before}, {model.precision}"


def _follow(folder, settings, communicator, device, load) -> Result:
    """`run` on every rank but the first."""
    if not communicator.broadcast(None)["trains"]:
        return Result(folder, finished_before=True)
    devices = distributed.devices(communicator, device)
    dataset = load(settings.data, settings.seed)
    distributed.require_alike(communicator, settings, dataset)
    dataset = distributed.share_statistics(communicator, dataset)
    ranks = {"rank": communicator.rank, "ranks": communicator.size}
    model = Model(settings, dataset, devices, for_training=True, **ranks)
    batches = new_batches(settings, dataset, communicator)
    trainer = new_trainer(settings, model, batches, communicator)
    with noticed() as interruption:
        return Result(folder, signal=distributed.follow(communicator, settings, trainer, batches, interruption))


def describe_groups(settings, device="auto") -> list[str]:
    """The optimizer's groups of a config with what they hold, as lines: builds the model, trains nothing.

    The data are read where the config alone does not tell the number of classes and the form of the images.
    """
    described = data.outline(settings.data)
    if described is None:
        try:
            described = data.load(settings.data, settings.seed)
        except UserError as error:
            return [f"known once the data can be read: {error}"]
    model = Model(settings, described, _mxnet.devices(device))
    return [line for group in model.groups() for line in group.describe()]


def _changed(folder, previous, settings, resume) -> list[str]:
    """The keys in which a run's config differs; `UserError` where one of them may not change."""
    changed = config.changes(previous, settings)
    refused = [key for key in changed if not (resume and config.on_resume(key))]
    if refused:
        raise UserError(
            f"run: {folder.path} was started with another config; differing: {', '.join(refused)} in its "
            f"{folder.config_file.name}. Choose another folder with --run-dir, or the same config."
        )
    return changed
