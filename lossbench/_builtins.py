"""What the modules of MXNet and GluonCV get in place of some of Python's builtins; all others keep those."""

from __future__ import annotations

import builtins
import functools
import sys
from importlib.machinery import PathFinder

from lossbench import _numpy, _operators

PACKAGES = ("mxnet", "gluoncv")


def install() -> None:
    """Give them to whichever of these modules is imported from now on. Calling it again changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the modules of `PACKAGES` where they are, and gives them their builtins before they run."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in PACKAGES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader.exec_module = functools.partial(_execute, spec.loader.exec_module)
        return spec


def _execute(execute, module) -> None:
    module.__builtins__ = {**vars(builtins), **_numpy.BUILTINS, **_operators.builtins_of(module)}
    execute(module)
