"""Classes shared out among ranks: the training is that of the whole head, but for rounding."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.training import ranges
from tests.training.test_parts import ROOT, mpiexec

RANKS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranges")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [mpiexec(), "-n", str(RANKS), sys.executable, "-m", "mpi4py", "-m", "tests.training.ranges", str(folder)]
    subprocess.run(command, check=True, timeout=240, cwd=ROOT, env=environment)
    return folder


@pytest.mark.parametrize("name", ranges.VARIANTS)
def test_classes_shared_out_train_as_the_whole_head(folder, name):
    """11 classes on 3 ranks; the last batch has no image for the third."""
    found, expected = dict(np.load(folder / f"{name}.npz")), ranges.trained(name)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=2e-5, atol=2e-5, err_msg=key)
    each = 2 if name == "arcface" else 1  # rows of a class
    assert json.loads((folder / f"{name}.json").read_text()) == [4 * each, 3 * each]
