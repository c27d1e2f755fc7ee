"""Training throughput of a config: the whole (data path, augmentation, step, sums) beside the bare step."""

from __future__ import annotations

from lossbench.benchmarks.contest.child import turn
from lossbench.benchmarks.contest.own import Contestant
from lossbench.benchmarks.timing import spread


def measure(settings, *, seconds: float = 2.0, repetitions: int = 5, device: str = "auto", progress=None) -> dict:
    """Images per second of whole training steps and of the same steps on one batch that is in memory already.

    Parameters
    ----------
    settings : config.Config
    seconds : float
        Least length of a repetition.
    repetitions : int
        Of each, in turn; one more before them is not counted.
    device : str
    progress : callable, optional
        Called once per repetition of either.

    Returns
    -------
    dict
        `whole` and `bare`: median, min, max and n of images/s; `share`: the same of whole / bare, pair by pair.
    """
    contestant = Contestant.of(settings, device)
    rates = {"whole": [], "bare": []}
    for round_ in range(repetitions + 1):
        for kind, values in rates.items():
            done = turn(contestant, kind, seconds)
            if round_:
                values.append(done["images"] / done["seconds"])
            if progress is not None:
                progress()
    share = [whole / bare for whole, bare in zip(rates["whole"], rates["bare"])]
    return {**{name: spread(values) for name, values in rates.items()}, "share": spread(share)}
