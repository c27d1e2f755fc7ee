"""One training on several ranks: rank 0 has the run folder and the screen, the others follow what it tells them."""

from __future__ import annotations

import hashlib
import platform
import socket

import numpy as np

from lossbench import __version__, _mxnet, config, plugins
from lossbench._mxnet import mx
from lossbench.errors import RunFailed, UserError
from lossbench.training.loop import Hooks, fit
from lossbench.training.position import Position


def devices(communicator, device: str) -> list:
    """The devices of this rank: what `--device` says, the GPUs of a host in turn."""
    found = _mxnet.devices(device)
    if communicator.size == 1:
        return found
    if len(found) > 1:
        raise UserError(
            f"distributed: --device must name one device, got {device}. Each rank has one: start more ranks instead."
        )
    number = communicator.place_on_host
    return _mxnet.devices(f"gpu:{number}") if found[0].device_type == "gpu" and ":" not in device else found


def way_on(run) -> str:
    """What to do after a rank was lost."""
    steps = run.steps()
    newest = f"Last good checkpoint: {steps[-1]}. " if steps else "There is no checkpoint yet. "
    return f"{newest}Go on with the same command and --resume."


def require_alike(communicator, settings, dataset) -> list[str]:
    """`UserError` where ranks would train something else; returns their hosts."""
    if communicator.size == 1:
        return [socket.gethostname()]
    own = {
        "config": hashlib.sha256(config.dump(settings).encode()).hexdigest(),
        "data": _digest(dataset),
        "plugins": [[plugin.name, plugin.checksum] for plugin in plugins.loaded()],
        "versions": {
            "lossbench": __version__,
            "python": platform.python_version(),
            "mxnet": mx.__version__,
            "numpy": np.__version__,
        },
    }
    ranks = communicator.gather_values([socket.gethostname(), own])
    for number, (host, facts) in enumerate(ranks):
        for name, fact in facts.items():
            if fact != ranks[0][1][name]:
                shown = f" ({fact}, not {ranks[0][1][name]})" if name in ("versions", "plugins") else ""
                raise UserError(
                    f"distributed: {name} must be the same on every rank, got another on rank {number}, {host}{shown}."
                )
    return [host for host, _ in ranks]


def _digest(dataset) -> str:
    """Of the checksums of the data, the labels, and some images, whatever the source."""
    split = dataset.train
    digest = hashlib.sha256(repr(sorted(dataset.checksums.items())).encode())
    digest.update(split.labels.tobytes())
    digest.update(split.images[:: max(1, len(split) // 500)].tobytes())
    return digest.hexdigest()


def share_statistics(communicator, dataset):
    """The dataset with rank 0's mean and deviation: a rank that streams its images measures a sample of them."""
    mean, std = communicator.broadcast([dataset.mean, dataset.std])
    return dataset.replace(mean=tuple(mean), std=tuple(std))


def share(communicator, trainer, position: Position) -> Position:
    """Give every rank what rank 0 starts from: parameters, optimizer state, step and position; returns the position."""
    if communicator.size == 1:
        return position
    arrays, counts = trainer.optimizers.state() if communicator.rank == 0 else ({}, {})
    ranges, trained = trainer.ranges, trainer.objective.trained_parameters()
    arrays = {**arrays, **(ranges.states if ranges else {})}
    told = communicator.broadcast(
        {
            "position": position.as_dict(),
            "step": trainer.step,
            "counts": counts,
            "arrays": [[name, list(array.shape), array.dtype.__name__] for name, array in arrays.items()],
        }
    )
    for name, parameter in trainer.objective.named_parameters().items():
        array = parameter.list_data()[0].asnumpy()
        if ranges and ranges.rows_of(name):
            trained[name].set_data(mx.nd.array(ranges.handed_out(name, array)))
            continue
        array = mx.nd.array(communicator.broadcast_array(array))
        for one in (parameter, trained[name]) if ranges else (parameter,):
            one.set_data(array)
    state = {}
    for name, shape, dtype in told["arrays"]:
        if ranges and ranges.rows_of(name):
            own = arrays[name].asnumpy() if name in arrays else np.empty((0, *shape[1:]), np.float32)
            state[name] = mx.nd.array(ranges.handed_out(name, own))
            continue
        own = arrays[name] if name in arrays else mx.nd.zeros(shape, dtype=dtype)
        state[name] = mx.nd.array(communicator.broadcast_array(own.asnumpy()), dtype=dtype)
    if communicator.rank:
        trainer.optimizers.load_state(state, told["counts"])
        trainer.step = told["step"]
        trainer.apply_schedules()
    return Position.from_dict(told["position"], "distributed")


def own_states(trainer, arrays: dict) -> dict:
    """What rank 0 remembers of its own range, of what a checkpoint holds of all classes; `share` hands the rest out."""
    ranges = trainer.ranges
    if ranges is None:
        return arrays
    ranges.states = {name: array for name, array in arrays.items() if ranges.rows_of(name)}
    return {name: ranges.first_rows(name, array) if name in ranges.states else array for name, array in arrays.items()}


def collect(trainer) -> None:
    """Bring the class parameters of all ranks into the head of rank 0, where each has a range of the classes."""
    if trainer.ranges is not None:
        trainer.ranges.collect()


def states(trainer) -> tuple[dict, dict]:
    """What the optimizers remember, on rank 0 that of all classes."""
    arrays, counts = trainer.optimizers.state()
    ranges = trainer.ranges
    if ranges is None:
        return arrays, counts
    ranges.states = {}
    whole = {name: ranges.collected(name, array.asnumpy()) for name, array in arrays.items() if ranges.rows_of(name)}
    return {**arrays, **{name: mx.nd.array(array) for name, array in whole.items()}}, counts


def follow(communicator, settings, trainer, batches, interruption) -> int:
    """Train as rank 0 does, which alone validates and writes; returns the signal that ended it, 0 for none."""

    def validate(epoch):
        collect(trainer)
        return communicator.broadcast(None)

    def checkpoint(position):
        collect(trainer)
        states(trainer)

    hooks = Hooks(
        validate=validate,
        checkpoint=checkpoint,
        interrupted=lambda: bool(communicator.stop(interruption.signal or 0)),
    )
    position = share(communicator, trainer, Position())
    try:
        fit(trainer, batches, position, hooks=hooks, **fitting(settings.trainer))
    except FloatingPointError as error:
        communicator.broadcast(None)  # rank 0 met it as well, and ends all
        raise RunFailed(str(error)) from error
    return communicator.broadcast(None)


def fitting(section) -> dict:
    """What the loop takes from the `trainer` section."""
    return {
        "epochs": section.epochs,
        "checkpoint_every_epochs": section.checkpoint_every_epochs,
        "checkpoint_every_steps": section.checkpoint_every_steps,
        "patience": section.early_stopping_epochs,
        "max_steps": section.max_steps,
    }
