"""The NumPy that MXNet sees, and that nobody else sees it."""

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from lossbench import _builtins, _numpy

ROOT = Path(__file__).resolve().parent.parent
RECENT = {name: getattr(np, name) for name in ("prod", "any", "all", "round", "isin", "ravel", "sort", "inf", "nan")}
RECENT["trapezoid"] = vars(np).get("trapezoid") or vars(np)["trapz"]
REMOVED = _numpy.removed_names(types.SimpleNamespace(**RECENT))


def python(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_mxnet_runs_where_numpy_has_none_of_the_names_and_numpy_stays_as_it_is():
    names = [name for name in REMOVED if name not in ("bool", "trapz")]
    code = f"""
import numpy
for name in {names}:
    vars(numpy).pop(name, None)
numpy.__all__ = [name for name in numpy.__all__ if name not in {names}]
before = set(vars(numpy))
import lossbench
from lossbench._mxnet import mx
import mxnet.gluon.contrib.estimator
print(mx.nd.ones(3).sum().asscalar(), mx.np.ones(2).sum().item())
print(mx.numpy.multiarray._np is numpy, mx.numpy.multiarray._np.float32 is numpy.float32)
print({{*vars(numpy)}} - before & {{*{names}}}, __import__("numpy") is numpy)
"""
    assert python(code) == ["3.0", "2.0", "False", "True", "set()", "True"]


def test_what_others_import_while_mxnet_does_is_numpy_itself():
    code = """
import lossbench, sys
from lossbench._mxnet import mx
import numpy
seen = {id(value) for name, module in sys.modules.items() if name.split(".")[0] in ("scipy", "sklearn", "requests")
        for value in vars(module).values() if isinstance(value, type(sys)) and value.__name__ == "numpy"}
print(seen <= {id(numpy)})
"""
    assert python(code) == ["True"]


def test_the_removed_functions_do_what_they_did():
    a = np.array([[3.0, 1.0], [2.0, 4.0]])
    assert REMOVED["in1d"](a, [1, 2]).tolist() == [False, True, True, False]
    assert REMOVED["msort"](a).tolist() == [[2.0, 1.0], [3.0, 4.0]]
    assert REMOVED["trapz"]([1, 3, 5]) == 6
    assert (REMOVED["product"](a), REMOVED["sometrue"](a > 3), REMOVED["alltrue"](a > 3)) == (24, True, False)
    assert REMOVED["round_"](1.26, 1) == 1.3
    assert (REMOVED["NINF"], REMOVED["PINF"], 1 / np.float64(2) * REMOVED["Inf"]) == (-np.inf, np.inf, np.inf)
    assert np.signbit(REMOVED["NZERO"])
    assert not np.signbit(REMOVED["PZERO"])
    assert isinstance("a", REMOVED["compat"].basestring)


def test_a_financial_function_says_where_it_is():
    with pytest.raises(NotImplementedError, match="NumPy has no pmt; the package numpy-financial has it."):
        REMOVED["pmt"](0.1, 12, 1000)


def test_a_name_that_no_numpy_had_is_an_attribute_error_and_preparing_twice_adds_nothing():
    with pytest.raises(AttributeError, match="'numpy' has no attribute 'nonsense'"):
        _numpy.view().nonsense  # noqa: B018
    finders = list(sys.meta_path)
    _builtins.install()
    assert sys.meta_path == finders
