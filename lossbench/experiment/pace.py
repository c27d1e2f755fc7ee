"""How fast a config trains on this machine, before it is trained."""

from __future__ import annotations

import itertools
import time

from lossbench import _mxnet, data
from lossbench._mxnet import mx
from lossbench.data import foreign
from lossbench.errors import UserError
from lossbench.experiment.model import Model
from lossbench.experiment.training import new_batches, new_trainer

WARM_UP_STEPS = 3


def seconds_per_epoch(settings, *, device: str = "auto", load=data.load, least: float = 3.0) -> float:
    """Time whole training steps, data path and all, for at least so many seconds; nothing is written.

    With `trainer.max_steps` it is the mean of all epochs, of which the last may not come.

    Parameters
    ----------
    settings : config.Config
    device : str
    load : callable
        As for `run`.
    least : float
        Seconds.

    Raises
    ------
    UserError
        The data would have to be downloaded first, or are bad.
    """
    section = settings.data
    if not foreign.is_present(section.source, section.root):
        raise UserError(f"data: the files of {section.source} must be here to time a training, and are not yet.")
    dataset = load(section, settings.seed)
    model = Model(settings, dataset, _mxnet.devices(device), for_training=True)
    batches = new_batches(settings, dataset)
    trainer = new_trainer(settings, model, batches)
    stream = itertools.chain.from_iterable(batches.epoch(epoch) for epoch in itertools.count(1))

    def steps(count):
        for _ in range(count):
            trainer.update(list(itertools.islice(stream, trainer.accumulate_steps)), 1, trainer.step)
        mx.nd.waitall()

    steps(WARM_UP_STEPS)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < least:
        steps(5)
        done += 5
    each = (time.perf_counter() - began) / done
    whole = settings.trainer.epochs * batches.updates(trainer.accumulate_steps)
    return each * min(whole, settings.trainer.max_steps or whole) / settings.trainer.epochs
