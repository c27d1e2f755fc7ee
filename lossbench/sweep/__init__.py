"""Many runs: variants x data sets x seeds, paired by seed, with equal budgets, statistics and tables.

Nothing is trained here: the runs train in processes of their own.

>>> from lossbench import sweep
>>> planned = sweep.load("digits")
>>> work = sweep.Work(planned, "sweeps/digits")  # doctest: +SKIP
>>> sweep.train(work)  # doctest: +SKIP
>>> sweep.write(work.results(), work.out)  # doctest: +SKIP
"""

from __future__ import annotations

from lossbench.sweep.overview import overview, summary
from lossbench.sweep.plan import load
from lossbench.sweep.runner import Interrupted
from lossbench.sweep.training import Work, pace, train
from lossbench.sweep.writing import publish, require_own, require_target, write

__all__ = [
    "Interrupted",
    "Work",
    "load",
    "overview",
    "pace",
    "publish",
    "require_own",
    "require_target",
    "summary",
    "train",
    "write",
]
