"""Training throughput of a config: the whole (data path, augmentation, step, sums) beside the bare step."""

from __future__ import annotations

import itertools

from lossbench import _mxnet, data
from lossbench._mxnet import mx
from lossbench.benchmarks.timing import interleaved, spread
from lossbench.experiment import Model, new_batches, new_trainer


def measure(settings, *, steps: int = 50, repetitions: int = 5, device: str = "auto", progress=None) -> dict:
    """Images per second of whole training steps and of the same steps on one batch that is in memory already.

    Parameters
    ----------
    settings : config.Config
    steps : int
        Steps of one repetition.
    repetitions : int
    device : str
    progress : callable, optional
        Called once per repetition of either.

    Returns
    -------
    dict
        `whole` and `bare`: median, min, max and n of images/s; `share`: the same of whole / bare, pair by pair.
    """
    dataset = data.load(settings.data, settings.seed)
    model = Model(settings, dataset, _mxnet.devices(device))
    batches = new_batches(model)
    trainer = new_trainer(model, len(batches))
    stream = itertools.chain.from_iterable(batches.epoch(epoch) for epoch in itertools.count(1))
    batch = next(stream)

    def run(take):
        for k in range(steps):
            trainer.update([take() for _ in range(trainer.accumulate_steps)], 1, k)
        mx.nd.waitall()

    work = {"whole": lambda: run(lambda: next(stream)), "bare": lambda: run(lambda: batch)}
    seconds = interleaved(work, repetitions, progress=progress)
    images = steps * len(batch[1]) * trainer.accumulate_steps
    rates = {name: [images / value for value in values] for name, values in seconds.items()}
    share = [whole / bare for whole, bare in zip(rates["whole"], rates["bare"])]
    return {**{name: spread(values) for name, values in rates.items()}, "share": spread(share)}
