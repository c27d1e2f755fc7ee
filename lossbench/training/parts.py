"""The parts of a batch, one for each device of this process or for each rank: who gets what, and what makes them one.

With n parts, n devices of one process and n ranks compute the same bits.
"""

from __future__ import annotations

import numpy as np

from lossbench import _gluon
from lossbench._mxnet import mx


class Parts:
    """The parts of this process in one update.

    Parameters
    ----------
    objective : Objective
    devices : list of Context
        Several make parts in one process; with several ranks, each has one.
    communicator : communication.Alone or communication.MPI
    ranges : Ranges, optional
        Where every rank has a range of the classes. The gradients of their rows are whole already.
    """

    def __init__(self, objective, devices, communicator, ranges=None):
        assert len(devices) == 1 or communicator.size == 1
        self._devices, self._communicator = devices, communicator
        self.count = max(len(devices), communicator.size)
        named = objective.trained_parameters().values()
        rows = {id(parameter) for parameter in ranges.parameters} if ranges else ()
        self._trainable = [p for p in named if p.grad_req != "null" and id(p) not in rows]
        of_whole_batches = {id(p) for p in ranges.head.collect_params().values()} if ranges else ()
        self._of_own_images = [p for p in self._trainable if id(p) not in of_whole_batches]
        self._states = [parameter for parameter in named if _gluon.is_state(parameter)]
        self._weighed = _Weighed(objective.regularizers) if self.count > 1 else None

    def begin(self, place: str) -> None:
        """Start an update; `place` says which."""
        self._communicator.at(place)
        self._sizes, self._totals = [0] * len(self._devices), []

    def of(self, image, label, *more) -> list:
        """Images, labels and what else has a row for each, on its device, of each part here that is not empty.

        The images are those of this process, the rest is of the whole batch.
        """
        split = [np.array_split(image, len(self._devices)), *(self._own(array) for array in (label, *more))]
        self._labels = split[1]
        self._sizes = [size + len(part) for size, part in zip(self._sizes, self._labels)]
        return [
            tuple(mx.nd.array(array, ctx=device, dtype=array.dtype) for array in arrays)
            for *arrays, device in zip(*split, self._devices)
            if len(arrays[1])
        ]

    def start(self, label) -> int:
        """The first image of this rank's part of a batch with these labels."""
        return sum(len(part) for part in np.array_split(label, self.count)[: self._communicator.rank])

    def _own(self, array) -> list:
        return np.array_split(array, self.count)[self._communicator.rank :][: len(self._devices)]

    def done(self, label, totals: list) -> None:
        """Take the gradients of a batch with these labels, and the sums of loss and right answers of its parts."""
        self._totals.append(totals)
        if self._weighed:
            self._weighed.add(label, self._labels)

    def combine(self) -> list:
        """Make gradients and states those of whole batches; returns each part's sums of loss and right answers.

        Gradients are summed over ranks; over devices, the optimizers do it.
        """
        if self.count == 1:
            return [pair for pairs in self._totals for pair in pairs]
        self._weighed.finish()
        for k, size in enumerate(self._sizes):
            if not size:
                for parameter in self._of_own_images:
                    _gluon.zero_gradient(parameter, k)
        return self._over_ranks() if self._communicator.size > 1 else self._over_devices()

    def _over_devices(self):
        first = self._devices[0]
        for parameter in self._states:
            arrays = parameter.list_data()
            total = 0
            for array, size in zip(arrays, self._sizes):
                total = mx.nd.cast(array, "float64").as_in_context(first) * size + total
            mean = mx.nd.cast(total / sum(self._sizes), arrays[0].dtype)
            for array in arrays:
                mean.copyto(array)
        return [
            (loss.as_in_context(first), right.as_in_context(first)) for totals in self._totals for loss, right in totals
        ]

    def _over_ranks(self):
        communicator, device = self._communicator, self._devices[0]
        gradients = [parameter.list_grad()[0] for parameter in self._trainable]
        flat = np.concatenate([gradient.asnumpy().ravel() for gradient in gradients])
        _scatter(communicator.sum(flat), gradients)

        nothing = [(mx.nd.zeros(1), mx.nd.zeros(1))]  # of an empty part
        sums = [value.asscalar() for totals in self._totals for pair in totals or nothing for value in pair]
        states = [parameter.list_data()[0] for parameter in self._states]
        content = [state.asnumpy().ravel() for state in states]
        table = communicator.gather(np.concatenate([self._sizes, [communicator.asked], sums, *content]))
        sizes, asked, sums, values = np.split(table, [1, 2, 2 + len(sums)], axis=1)
        communicator.agreed = int(asked.max())
        _scatter((sizes * values).sum(axis=0) / sizes.sum(), states)
        pairs = sums.reshape(communicator.size, -1, 2).swapaxes(0, 1).reshape(-1, 2)
        return [tuple(mx.nd.array([value], ctx=device) for value in pair) for pair in pairs]


def _scatter(flat, arrays):
    """Copy consecutive parts of a flat NumPy array into NDArrays."""
    start = 0
    for array in arrays:
        array[:] = flat[start : start + array.size].reshape(array.shape).astype(array.dtype)
        start += array.size


class _Weighed:
    """Gradients whose rows are weighed in each part of a batch: see `Regularizer.row_weights`."""

    def __init__(self, regularizers):
        self._regularizers, self._sums = list(regularizers), []

    def add(self, label, parts) -> None:
        """Take the gradients out of their arrays, which the next batch of the update may add to."""
        for regularizer in self._regularizers:
            for k, part in enumerate(parts):
                for name, weights in regularizer.row_weights(label, part).items() if len(part) else ():
                    parameter = getattr(regularizer, name)
                    if parameter.grad_req != "null":
                        gradient = parameter.list_grad()[k]
                        column = mx.nd.array(weights, ctx=gradient.context, dtype=gradient.dtype).reshape((-1, 1))
                        self._sums.append((gradient, mx.nd.broadcast_mul(gradient, column)))
                        gradient[:] = 0

    def finish(self) -> None:
        """Put their sums in place."""
        for gradient, weighed in self._sums:
            gradient += weighed
        self._sums = []
