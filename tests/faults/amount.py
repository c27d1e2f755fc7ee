"""How much these tests try: a share of it in the suite, all of it by `make faults`."""

import collections
import os

import numpy as np

ALL = os.environ.get("LOSSBENCH_FAULTS") == "all"
OUTCOMES: collections.Counter = collections.Counter()
"""What came of what was tried, counted."""


def seeded(name, *more):
    """A generator for one case, whatever else is tried."""
    return np.random.default_rng([int.from_bytes(name.encode(), "big") % 2**63, *more])
