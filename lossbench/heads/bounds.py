"""What heads on cosines can reach at best: class directions can only be so far apart."""

from __future__ import annotations

import math

# A lowest loss above this share of log(C), the loss of guessing, is worth a warning.
POOR = 0.5


def separation(num_classes: int, embedding_size: int):
    """Return the largest smallest angle between C directions in D dimensions, in radians.

    Known for two dimensions, where they are spread evenly, and for D >= C - 1, where they form a simplex. None
    otherwise, and for a single class.

    Examples
    --------
    >>> separation(10, 2)
    0.6283
    >>> separation(10, 100)
    1.6821
    """
    if num_classes == 1:
        return None
    if embedding_size >= num_classes - 1:
        return math.acos(-1 / (num_classes - 1))
    return 2 * math.pi / num_classes if embedding_size == 2 else None


def lowest_loss(num_classes: int, embedding_size: int, scale: float, margin: float = 0.0) -> float:
    r"""Return a loss below which no head on scaled cosines can fall.

    .. math:: \log\left(1 + (C - 1) e^{-s (C / (C - 1) - m)}\right)

    It is reached where D >= C - 1. In two dimensions the bound is that of evenly spread directions, which is tighter,
    as long as these meet the margin: beyond it, directions that leave some classes alone together do better than even
    ones, and the simplex, which no directions in the plane reach, bounds them.

    Parameters
    ----------
    num_classes, embedding_size : int
        C and D.
    scale : float
        s.
    margin : float, default 0
        m, in units of the true class's cosine; an angle of a radians takes 1 - cos(a).

    Examples
    --------
    >>> lowest_loss(10, 2, scale=10)
    0.261
    >>> lowest_loss(10, 100, scale=1)
    1.377
    """
    if num_classes == 1:
        return 0.0
    evenly_spread = embedding_size == 2 and num_classes > 3 and margin <= 1 - math.cos(2 * math.pi / num_classes)
    if evenly_spread:
        cosines = [math.cos(2 * math.pi * j / num_classes) for j in range(1, num_classes)]
    else:
        cosines = [-1 / (num_classes - 1)] * (num_classes - 1)
    exponents = [scale * (cosine - 1 + margin) for cosine in cosines]
    largest = max(0.0, *exponents)
    return largest + math.log(math.exp(-largest) + sum(math.exp(e - largest) for e in exponents))


def shortcomings(num_classes, embedding_size, scale, margin, cosine_margin, largest_margin) -> list:
    """Return one sentence for each thing that keeps a head from a loss near 0.

    Parameters
    ----------
    margin, largest_margin : float
        The head's margin, and the one up to which every class can beat all others by it (None where that is unknown).
    cosine_margin : float
        The same margin in units of the true class's cosine.
    """
    where = f"{num_classes} classes in {embedding_size} dimensions"
    found = []
    if largest_margin is not None and margin > largest_margin:
        found.append(f"margin {margin:g} keeps the loss away from 0: {where} allow at most {largest_margin:.3g}.")
    lowest = lowest_loss(num_classes, embedding_size, scale, cosine_margin)
    if not found and num_classes > 1 and lowest > POOR * math.log(num_classes):
        guess = f"guessing costs {math.log(num_classes):.3g}"
        found.append(
            f"scale {scale:g} keeps the cross-entropy above {lowest:.3g} ({guess}) for {where}: a larger one helps."
        )
    return found
