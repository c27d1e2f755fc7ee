"""Training of the same network by lossbench and by others, side by side: each in a process of its own, in turn."""

from lossbench.benchmarks.contest.run import measure
from lossbench.benchmarks.contest.table import merged, table

__all__ = ["measure", "merged", "table"]
