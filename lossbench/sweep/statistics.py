"""What repeated runs allow to say: mean and spread, paired differences with intervals, exact p values, Holm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
ALPHA = 0.05
EXACT_UP_TO = 20  # pairs of which every assignment of signs is tried; of more, as many random ones
ROUNDING = 1e-9  # of the largest difference: 0.93 - 0.92 and 0.94 - 0.93 are the same, and differ as floats
RESAMPLES = 4000
SEED = 0  # of resampling: tables rebuilt from the same runs are the same


@dataclass(frozen=True)
class Summary:
    """Of one variant: how many runs, their mean, their sample standard deviation (None for one run)."""

    n: int
    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def summarize(values) -> Summary:
    """Return n, mean and sample standard deviation of one value a run.

    Examples
    --------
    >>> summarize([0.90, 0.92])
    Summary(n=2, mean=0.91, deviation=0.01414)
    """
    values = np.asarray(values, np.float64)
    return Summary(len(values), float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None)


def difference(a: float, b: float) -> float:
    """Return ``a - b``; 0 where the two are the same but for their last bits, which would tell six seeds apart.

    Examples
    --------
    >>> difference(0.75, 0.5), difference(0.1 + 0.2, 0.3)
    (0.25, 0.0)
    """
    return 0.0 if math.isclose(a, b, rel_tol=ROUNDING) else a - b


def t_interval(differences) -> Interval | None:
    r"""Return the 95 % interval of the mean of paired differences by Student's t; None where nothing is spread.

    .. math:: \bar d \pm t_{0.975, n - 1} \, s_d / \sqrt n

    It holds where the differences are about normal, which two or three of them cannot show.
    """
    found = summarize(differences)
    if found.n == 1 or np.ptp(differences) <= ROUNDING * np.abs(differences).max():  # all alike, as on few test images
        return None
    half = stats.t.ppf((1 + LEVEL) / 2, found.n - 1) * found.deviation / math.sqrt(found.n)
    return Interval(found.mean - half, found.mean + half)


def bootstrap_interval(differences, *, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """Return the 95 % percentile interval of the mean difference over resampled seeds and resampled test images.

    A resample draws as many seeds as there are, with replacement, and as many images, the same ones for every seed:
    the seeds share their test set, so an image that is hard for one is hard for all.

    Parameters
    ----------
    differences : array (seeds, images)
        Of each seed and test image: whether the variant was right less whether the baseline was, -1, 0 or 1.
    resamples : int
    seed : int

    Notes
    -----
    Few seeds drawn from few are less spread than seeds are, so it is too narrow where a variant does much better with
    some seeds than with others; and what is of a seed and an image together counts three times, so it is too wide where
    seeds differ in no more than that. Student's interval has neither fault, but holds for these test images alone.

    References
    ----------
    A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007.
    """
    differences = np.asarray(differences, np.float64)
    seeds, images = differences.shape
    rng = np.random.default_rng([seed])
    # Images with the same differences are one category: drawing counts of categories is drawing images.
    patterns, counts = np.unique(differences, axis=1, return_counts=True)
    drawn_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    drawn_images = rng.multinomial(images, counts / images, size=resamples)
    # Divided last: whole numbers add up to the same bits in every order, which differs between processors.
    sums = np.einsum("rs,sp,rp->r", drawn_seeds, patterns, drawn_images, optimize=True)
    low, high = np.quantile(sums, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) / (seeds * images)
    return Interval(float(low), float(high))


def sign_flip_p(differences) -> float:
    """Return the two-sided p value of the mean paired difference when each difference may have either sign.

    Exact up to 20 pairs: the share of all 2^n assignments of signs whose mean is at least as far from 0. Beyond, the
    same over 2^20 random ones and the observed one.

    Examples
    --------
    >>> sign_flip_p([1, 2, 3])
    0.25
    """
    differences = np.asarray(differences, np.float64)
    if not np.isfinite(differences).all():
        raise ValueError(f"sign_flip_p: `differences` must be finite, got {differences}.")
    n = len(differences)
    if n <= EXACT_UP_TO:
        sums = np.zeros(1)
        for difference in differences:
            sums = np.concatenate([sums + difference, sums - difference])
    else:
        rng = np.random.default_rng([SEED])
        sums = np.full(2**EXACT_UP_TO, differences.sum())
        for difference in differences:
            sums[1:] -= 2 * difference * rng.integers(2, size=len(sums) - 1)
    far = abs(differences.sum()) - ROUNDING * np.abs(differences).max()
    return float(np.mean(np.abs(sums) >= far))


def smallest_p(n: int) -> float:
    """Return the smallest p that `sign_flip_p` can give n pairs: two assignments of signs out of 2^n.

    Examples
    --------
    >>> [smallest_p(n) for n in (1, 5, 6)]
    [1.0, 0.0625, 0.03125]
    """
    return 2.0 ** (1 - n)


def best_holm(pairs) -> list[float]:
    """Return the smallest Holm-adjusted p that each of several comparisons with so many pairs can have.

    One that cannot have a p below 0.05 by itself gets none, and counts as 1.

    Examples
    --------
    >>> best_holm([6, 6]), best_holm([8, 8, 6])
    ([0.0625, 0.0625], [0.0234375, 0.0234375, 0.03125])
    """
    smallest = [smallest_p(n) for n in pairs]
    return holm([p if p < ALPHA else 1.0 for p in smallest])


def pairs_needed(comparisons: int) -> int:
    """Return how many pairs it takes until one of so many comparisons can have a Holm-adjusted p below 0.05.

    Examples
    --------
    >>> [pairs_needed(m) for m in (1, 2, 9)]
    [6, 7, 9]
    """
    n = 1
    while comparisons * smallest_p(n) >= ALPHA:
        n += 1
    return n


def holm(p_values) -> list[float]:
    """Return the p values adjusted for their number by Holm's method: any below 0.05 may be called a difference.

    References
    ----------
    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = reached
    return adjusted
