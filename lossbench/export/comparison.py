"""What exported files compute, held against the run's own numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossbench.export import TOLERANCE


@dataclass(frozen=True)
class Difference:
    """How far two arrays are apart.

    Parameters
    ----------
    largest : float
        Absolute difference; infinite where the shapes differ or a number is none.
    scale : float
        Largest absolute value of what was expected.
    """

    largest: float
    scale: float

    @property
    def share(self) -> float:
        """The difference as a share of the scale."""
        return self.largest / self.scale if self.scale else self.largest

    @property
    def is_small(self) -> bool:
        """Whether it is what rounding makes."""
        return self.share <= TOLERANCE


def difference(found, expected, among=None) -> Difference:
    """Return how far what was found is from what was expected.

    Parameters
    ----------
    found, expected : ndarray
    among : list of ndarray, optional
        Whose largest absolute value is the scale; by default that of what was expected.

    Examples
    --------
    >>> between = difference(np.array([1.0, -4.0]), np.array([1.0, -5.0]))
    >>> between.largest, between.scale, between.share, between.is_small
    (1.0, 5.0, 0.2, False)
    """
    scale = max(float(np.abs(one.astype(np.float64)).max()) for one in among or [expected])
    if found.shape != expected.shape or not np.isfinite(found).all():
        return Difference(float("inf"), scale)
    return Difference(float(np.abs(found.astype(np.float64) - expected).max()), scale)


def compared(run, images, expected) -> Difference:
    """Return the worst difference of an exported network, fed all images at once, and one alone.

    Parameters
    ----------
    run : callable
        Images -> output.
    images : ndarray
    expected : ndarray
        The output of the run for the same images.
    """
    every = [difference(run(images), expected), difference(run(images[:1]), expected[:1])]
    return Difference(max(one.largest for one in every), every[0].scale)
