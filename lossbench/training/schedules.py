"""Pure functions of the step: the learning rate's factor, and every scheduled value of a head or regularizer.

A step is one update of the parameters, counted from 0. Nothing here holds state, so a resumed run continues exactly
where it stopped, and a block that runs once per device or during validation cannot advance a schedule.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable


def learning_rate_factor(
    base: float,
    steps_per_epoch: int,
    total_epochs: int,
    /,
    *,
    name: str,
    warmup_epochs: float = 0.0,
    warmup: str = "linear",
    warmup_learning_rate: float | None = None,
    **options,
) -> Callable[[int], float]:
    r"""Factor on the learning rate as a function of the step.

    Parameters
    ----------
    base : float
        The learning rate that the factor multiplies; only an absolute `warmup_learning_rate` needs it.
    steps_per_epoch, total_epochs : int
        Length of the training, in updates and passes over the training images.
    name : str
        - constant: 1
        - step: `factor` to the number of `epochs` passed (counted from the start of the training)
        - cosine: :math:`f + (1 - f) (1 + \cos \pi p) / 2` with :math:`f` the `final_fraction` and :math:`p` the share
          of the steps after the warm-up that is done
        - one_cycle: linearly from `start_fraction` to 1 at `peak_fraction`, then by a cosine to `final_fraction`
    warmup_epochs : float
        Length of the warm-up before it.
    warmup : str
        linear: from `warmup_learning_rate` to the value after the warm-up; constant: `warmup_learning_rate`.
    warmup_learning_rate : float, optional
        None counts as 0.
    options
        What the named schedule takes besides.

    Returns
    -------
    callable
        step -> factor.

    Examples
    --------
    >>> factor = learning_rate_factor(0.1, 10, 4, name="step", epochs=[2, 3], factor=0.1, warmup_epochs=1,
    ...                               warmup="constant", warmup_learning_rate=0.01)
    >>> [round(factor(step), 4) for step in (0, 9, 10, 19, 20, 30)]
    [0.1, 0.1, 1.0, 1.0, 0.1, 0.01]
    """
    warmup_steps = round(warmup_epochs * steps_per_epoch)
    main = _MAIN[name](steps_per_epoch, warmup_steps, total_epochs, **options)
    if not warmup_steps:
        return main
    start = (warmup_learning_rate or 0.0) / base
    rises = warmup == "linear"

    def factor(step: int) -> float:
        if step >= warmup_steps:
            return main(step)
        if not rises:
            return start
        return start + (main(warmup_steps) - start) * step / warmup_steps

    return factor


def _constant(steps_per_epoch, warmup_steps, total_epochs):
    return lambda step: 1.0


def _step(steps_per_epoch, warmup_steps, total_epochs, *, epochs, factor):
    return lambda step: factor ** bisect.bisect_right(epochs, step / steps_per_epoch)


def _remaining(steps_per_epoch, warmup_steps, total_epochs):
    """step -> share of the steps after the warm-up that is done, at most 1."""
    total = max(1, total_epochs * steps_per_epoch - warmup_steps)
    return lambda step: min(1.0, max(0.0, (step - warmup_steps) / total))


def _falling(final: float, progress: float) -> float:
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def _cosine(steps_per_epoch, warmup_steps, total_epochs, *, final_fraction):
    progress = _remaining(steps_per_epoch, warmup_steps, total_epochs)
    return lambda step: _falling(final_fraction, progress(step))


def _one_cycle(steps_per_epoch, warmup_steps, total_epochs, *, start_fraction, peak_fraction, final_fraction):
    progress = _remaining(steps_per_epoch, warmup_steps, total_epochs)

    def factor(step: int) -> float:
        done = progress(step)
        if done < peak_fraction:
            return start_fraction + (1 - start_fraction) * done / peak_fraction
        return _falling(final_fraction, (done - peak_fraction) / (1 - peak_fraction) if peak_fraction < 1 else 1.0)

    return factor


_MAIN = {"constant": _constant, "step": _step, "cosine": _cosine, "one_cycle": _one_cycle}


def annealed(steps_per_epoch: int, /, *, kind: str, **options) -> Callable[[int], float]:
    r"""A scheduled value (margin, scale, beta, a weight) as a function of the step :math:`t`.

    Parameters
    ----------
    steps_per_epoch : int
        Updates in one pass over the training images.
    kind : str
        - linear: from `start` to `end` over `epochs` or `steps`, then `end`
        - doubling: `start` doubled every `every_epochs` or `every_steps`, at most `cap`
        - exponential: :math:`\max(floor, start \cdot factor^t)`
        - inverse_power: :math:`\max(floor, base (1 + gamma\, t)^{-power})`, as Caffe's large-margin layers do it
        - piecewise: the values of `points`, pairs of an epoch and a value from epoch 0 on; from one to the next it
          stays (`between` hold) or moves on a straight line (linear), and after the last it stays
    options
        What the kind takes.

    Returns
    -------
    callable
        step -> value.

    Examples
    --------
    >>> value = annealed(400, kind="doubling", start=0.1, cap=0.3, every_steps=5000)
    >>> [value(step) for step in (0, 4999, 5000, 10000)]
    [0.1, 0.1, 0.2, 0.3]
    >>> value = annealed(400, kind="piecewise", points=[[0, 16], [20, 4]], between="hold")
    >>> [value(step) for step in (0, 7999, 8000, 10000)]
    [16, 16, 4, 4]
    """
    return _VALUE[kind](steps_per_epoch, **options)


def _steps(steps, epochs, steps_per_epoch) -> int:
    return max(1, steps if steps is not None else round(epochs * steps_per_epoch))


def _linear(steps_per_epoch, *, start, end, epochs=None, steps=None):
    length = _steps(steps, epochs, steps_per_epoch)
    return lambda step: start + (end - start) * min(1.0, step / length)


def _doubling(steps_per_epoch, *, start, cap, every_steps=None, every_epochs=None):
    every = _steps(every_steps, every_epochs, steps_per_epoch)
    most = math.ceil(math.log2(max(1.0, cap / start)))
    return lambda step: min(cap, start * 2 ** min(most, step // every))


def _exponential(steps_per_epoch, *, start, factor, floor=0.0):
    return lambda step: max(floor, start * factor**step)


def _inverse_power(steps_per_epoch, *, base, gamma, power, floor=0.0):
    return lambda step: max(floor, base * (1 + gamma * step) ** -power)


def _piecewise(steps_per_epoch, *, points, between="hold"):
    first_steps = [round(epoch * steps_per_epoch) for epoch, _ in points]
    values = [value for _, value in points]

    def value(step: int) -> float:
        k = bisect.bisect_right(first_steps, step) - 1
        if between == "hold" or k == len(points) - 1:
            return values[k]
        share = (step - first_steps[k]) / (first_steps[k + 1] - first_steps[k])
        return values[k] + (values[k + 1] - values[k]) * share

    return value


_VALUE = {
    "linear": _linear,
    "doubling": _doubling,
    "exponential": _exponential,
    "inverse_power": _inverse_power,
    "piecewise": _piecewise,
}
"""Kind -> function of the steps in an epoch and that kind's options."""
