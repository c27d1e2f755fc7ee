"""A seed per test: a stable hash of the test's name, or LOSSBENCH_TEST_SEED; printed where a test fails."""

import collections
import os
import random
import sys
import zlib

import numpy as np
import pytest

import lossbench  # noqa: F401  (before MXNet, whichever test imports it first)
from lossbench._mxnet import share_threads

# Processes side by side, and the commands that their tests start, take their share of the cores.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
share_threads(lambda cores: max(1, cores // WORKERS))


def pytest_collection_modifyitems(items):
    """Begin with the files that have most slow tests, so that none of them is left to one process in the end."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def seed_of(nodeid):
    chosen = os.environ.get("LOSSBENCH_TEST_SEED")
    return int(chosen) if chosen else zlib.crc32(nodeid.encode()) & 0x7FFFFFFF


@pytest.fixture
def seed(request):
    return seed_of(request.node.nodeid)


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def _seed_globals(request):
    """Seed the generators that code draws from without being handed one (Gluon's initializers, MXNet's operators)."""
    number = seed_of(request.node.nodeid)
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    if "mxnet" in sys.modules:
        sys.modules["mxnet"].random.seed(number)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        report.sections.append(("seed", f"rerun with LOSSBENCH_TEST_SEED={seed_of(item.nodeid)}"))
    return report
