"""The NumPy that MXNet sees: the installed one, with the names that MXNet 1.9.1 reads and later releases removed.

Only the modules of MXNet and GluonCV get it, through the ``__import__`` of their own builtins (see `_builtins`).
Everybody else's ``import numpy`` stays what it is: a program that asks whether NumPy has a name is told the truth.
"""

from __future__ import annotations

import functools
import types

FINANCIAL = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")


def removed_names(numpy) -> dict:
    """Return what MXNet and GluonCV read from NumPy and this release no longer has."""
    old = {
        "bool": bool,
        "int": int,
        "float": float,
        "Inf": numpy.inf,
        "PINF": numpy.inf,
        "NINF": -numpy.inf,
        "NAN": numpy.nan,
        "NaN": numpy.nan,
        "PZERO": 0.0,
        "NZERO": -0.0,
        "alltrue": functools.partial(numpy.all),
        "in1d": lambda ar1, ar2, **options: numpy.isin(numpy.ravel(ar1), ar2, **options),
        "msort": lambda a: numpy.sort(a, axis=0),
        # each an object of its own: MXNet keeps one implementation for each
        "product": functools.partial(numpy.prod),
        "sometrue": functools.partial(numpy.any),
        "round_": functools.partial(numpy.round),
        "trapz": vars(numpy).get("trapezoid"),
        "compat": types.SimpleNamespace(basestring=str),
        **{name: functools.partial(_refuse, name) for name in FINANCIAL},  # MXNet lists them, nobody calls them
    }
    return {name: value for name, value in old.items() if name not in vars(numpy)}


def _refuse(name, *arguments, **options):
    raise NotImplementedError(f"NumPy has no {name}; the package numpy-financial has it.")


@functools.cache
def view() -> types.ModuleType:
    """Return a module that has NumPy's names and the removed ones."""
    import numpy

    module = types.ModuleType("numpy", numpy.__doc__)
    vars(module).update(
        removed_names(numpy), __getattr__=functools.partial(getattr, numpy), __version__=numpy.__version__
    )
    return module
