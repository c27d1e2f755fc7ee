"""Steps that compute some of the classes: those of the batch, and others drawn at random (Partial FC).

The head with all classes keeps what is learned. A small head of the same loss, the window, holds the rows of a step:
they are copied into it with what the optimizer remembers of them, trained, and copied back. No other row is touched.
"""

from __future__ import annotations

import numpy as np

from lossbench import _gluon
from lossbench._mxnet import mx
from lossbench.errors import UserError

_NEGATIVES = 2**32 - 2  # marks the draws of classes among those that follow from the seed


def drawn(num_classes: int, count: int, label, seed: int, step: int) -> np.ndarray:
    """Return `count` class ids, ascending: those among the labels, and others drawn evenly from the rest.

    References
    ----------
    X. An et al. Partial FC: Training 10 Million Identities on a Single Machine. ICCV Workshops 2021, arXiv 2010.05222.

    Examples
    --------
    >>> drawn(1000, 5, [7, 993, 7], seed=0, step=0).tolist()
    [7, 182, 422, 468, 993]
    """
    present = np.unique(np.asarray(label, np.int64))
    rng = np.random.default_rng([seed, step, _NEGATIVES])
    others = rng.choice(num_classes - len(present), count - len(present), replace=False, shuffle=False)
    # The k-th class that is absent: k, and one more for each present class before it.
    others += np.searchsorted(present - np.arange(len(present)), others, side="right")
    return np.sort(np.concatenate([present, others]))


class Sampling:
    """The classes of each step of a training.

    Parameters
    ----------
    head : Head
        With all classes.
    window : Head
        `head.of_classes(count)`, which the objective trains; as many classes as a step computes.
    seed : int
        The run's.
    """

    def __init__(self, head, window, seed: int):
        self._head, self._window, self._seed = head, window, seed
        self._rows = head.class_rows()
        self._whole, self._part = _gluon.own_parameters(head), _gluon.own_parameters(window)
        for name, parameter in self._whole.items():
            if name not in self._rows and parameter.shape != self._part[name].shape:
                raise UserError(
                    f"head.sample: {type(head).__name__}.{name} must be registered by `_class_parameter`, got a shape "
                    "that depends on the classes. Register it so, or set head.sample to 1."
                )

    def begin(self, label, step: int, states) -> None:
        """Bring the classes of a step with these labels into the window.

        `states` is a function from a parameter's name and the number of a device to pairs of arrays: what the optimizer
        remembers of all rows, and of those in the window (`Optimizers.halves`).
        """
        self.classes = drawn(self._head.num_classes, self._window.num_classes, label, self._seed, step)
        for whole, part, rows in self._pairs(states):
            if rows is None:
                whole.copyto(part)
            else:
                mx.nd.take(whole, rows, out=part)

    def positions(self, label) -> np.ndarray:
        """Where the labels' classes are in the window."""
        return np.searchsorted(self.classes, label).astype(label.dtype)

    def end(self, states) -> None:
        """Bring what the step made of them back."""
        for whole, part, rows in self._pairs(states):
            if rows is None:
                part.copyto(whole)
            else:
                mx.nd.contrib.index_copy(whole, rows, part, out=whole)

    def _pairs(self, states):
        """Yield arrays of the whole head and of the window on one device, and the rows of the first, None for all."""
        numbers = {}
        for name, whole in self._whole.items():
            for k, (one, other) in enumerate(zip(whole.list_data(), self._part[name].list_data())):
                place = (k, self._rows.get(name))
                if place not in numbers:
                    numbers[place] = self._numbers(self._rows.get(name), one.context)
                for pair in [(one, other), *states(f"head.{name}", k)]:
                    yield (*pair, numbers[place])

    def _numbers(self, each, context):
        if each is None:
            return None
        rows = self.classes[:, None] * each + np.arange(each)
        return mx.nd.array(rows.ravel(), ctx=context, dtype="int64")
