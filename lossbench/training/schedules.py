"""Pure functions of the step: the learning rate's factor, and every scheduled value of a head or regularizer.

A step is one update of the parameters, counted from 0. Nothing here holds state, so a resumed run continues exactly
where it stopped, and a block that runs once per device or during validation cannot advance a schedule.
"""

from __future__ import annotations

import bisect
import math
from typing import Callable


def learning_rate_factor(section, base: float, steps_per_epoch: int, epochs: int) -> Callable[[int], float]:
    r"""Factor on the learning rate as a function of the step.

    Parameters
    ----------
    section : config.Schedule
        The `schedule` section of a config.
    base : float
        The learning rate that the factor multiplies; only an absolute `warmup_learning_rate` needs it.
    steps_per_epoch, epochs : int
        Length of the training, in updates and passes over the training images.

    Returns
    -------
    callable
        step -> factor. A linear warm-up rises from `warmup_learning_rate` to the value after it, a constant one stays
        at it. After it, with :math:`p` the share of the remaining steps that is done:

        - constant: 1
        - step: `factor` to the number of `epochs` passed (counted from the start of the training)
        - cosine: :math:`f + (1 - f) (1 + \cos \pi p) / 2` with :math:`f` the `final_fraction`
        - one_cycle: linearly from `start_fraction` to 1 at `peak_fraction`, then by a cosine to `final_fraction`

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> section = SimpleNamespace(name="step", epochs=[2, 3], factor=0.1, warmup_epochs=1, warmup="constant",
    ...                           warmup_learning_rate=0.01)
    >>> factor = learning_rate_factor(section, base=0.1, steps_per_epoch=10, epochs=4)
    >>> [round(factor(step), 4) for step in (0, 9, 10, 19, 20, 30)]
    [0.1, 0.1, 1.0, 1.0, 0.1, 0.01]
    """
    main = _MAIN[section.name](section, steps_per_epoch, epochs)
    warmup_steps = round(section.warmup_epochs * steps_per_epoch)
    if not warmup_steps:
        return main
    start = (section.warmup_learning_rate or 0.0) / base
    rises = section.warmup == "linear"

    def factor(step: int) -> float:
        if step >= warmup_steps:
            return main(step)
        if not rises:
            return start
        return start + (main(warmup_steps) - start) * step / warmup_steps

    return factor


def _constant(section, steps_per_epoch, epochs):
    return lambda step: 1.0


def _step(section, steps_per_epoch, epochs):
    return lambda step: section.factor ** bisect.bisect_right(section.epochs, step / steps_per_epoch)


def _remaining(section, steps_per_epoch, epochs):
    """step -> share of the steps after the warm-up that is done, at most 1."""
    first = round(section.warmup_epochs * steps_per_epoch)
    total = max(1, epochs * steps_per_epoch - first)
    return lambda step: min(1.0, max(0.0, (step - first) / total))


def _falling(final: float, progress: float) -> float:
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def _cosine(section, steps_per_epoch, epochs):
    progress = _remaining(section, steps_per_epoch, epochs)
    return lambda step: _falling(section.final_fraction, progress(step))


def _one_cycle(section, steps_per_epoch, epochs):
    progress = _remaining(section, steps_per_epoch, epochs)
    start, peak, final = section.start_fraction, section.peak_fraction, section.final_fraction

    def factor(step: int) -> float:
        done = progress(step)
        if done < peak:
            return start + (1 - start) * done / peak
        return _falling(final, (done - peak) / (1 - peak) if peak < 1 else 1.0)

    return factor


_MAIN = {"constant": _constant, "step": _step, "cosine": _cosine, "one_cycle": _one_cycle}


def annealed(section, steps_per_epoch: int) -> Callable[[int], float]:
    r"""A scheduled value (margin, scale, beta, a weight) as a function of the step :math:`t`.

    Parameters
    ----------
    section : config.Anneal
        One entry of the `anneal` section; lengths are given in epochs or steps.
    steps_per_epoch : int
        Updates in one pass over the training images.

    Returns
    -------
    callable
        step -> value:

        - linear: from `start` to `end` over `epochs` or `steps`, then `end`
        - doubling: `start` doubled every `every_epochs` or `every_steps`, at most `cap`
        - exponential: :math:`\max(floor, start \cdot factor^t)`
        - inverse_power: :math:`\max(floor, base (1 + gamma\, t)^{-power})`, as Caffe's large-margin layers do it

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> value = annealed(SimpleNamespace(kind="doubling", start=0.1, cap=0.3, every_steps=5000, every_epochs=None), 400)
    >>> [value(step) for step in (0, 4999, 5000, 10000)]
    [0.1, 0.1, 0.2, 0.3]
    """
    return _VALUE[section.kind](section, steps_per_epoch)


def _steps(steps, epochs, steps_per_epoch) -> int:
    return max(1, steps if steps is not None else round(epochs * steps_per_epoch))


def _linear(section, steps_per_epoch):
    length = _steps(section.steps, section.epochs, steps_per_epoch)
    return lambda step: section.start + (section.end - section.start) * min(1.0, step / length)


def _doubling(section, steps_per_epoch):
    every = _steps(section.every_steps, section.every_epochs, steps_per_epoch)
    most = math.ceil(math.log2(max(1.0, section.cap / section.start)))
    return lambda step: min(section.cap, section.start * 2 ** min(most, step // every))


def _exponential(section, steps_per_epoch):
    return lambda step: max(section.floor, section.start * section.factor**step)


def _inverse_power(section, steps_per_epoch):
    return lambda step: max(section.floor, section.base * (1 + section.gamma * step) ** -section.power)


_VALUE = {"linear": _linear, "doubling": _doubling, "exponential": _exponential, "inverse_power": _inverse_power}
