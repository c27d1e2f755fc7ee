"""What the modules of MXNet and GluonCV get in place of some of Python's builtins; all others keep those."""

from __future__ import annotations

import builtins
import functools
import importlib.util
import sys
import types
from importlib.machinery import PathFinder

from lossbench import _numpy, _operators

PACKAGES = ("mxnet", "gluoncv")

# MXNet imports them with itself, where they are installed, and few programs use what it does with them.
LATER = ("cv2", "onnx", "requests", "scipy.sparse", "scipy.stats")


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
    module.__builtins__ = {**vars(builtins), "__import__": _import, **_operators.builtins_of(module)}
    execute(module)


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    """`__import__` as these modules call it: NumPy with its removed names, and no more than what they use."""
    if name == "distutils.version":
        return _versions()
    if name == "sklearn.base" and "sklearn" not in sys.modules:
        raise ImportError("only a base of mxnet.model.FeedForward, which Gluon replaced")
    package, _, part = ".".join((name, *(fromlist or ()))).partition(".")
    full = f"{package}.{part}" if part else package
    if level == 0 and _is_for_later(full):
        later = (_LaterSparse if full == "scipy.sparse" else _Later)(full)
        return types.SimpleNamespace(**{part: later}) if part else later
    module = builtins.__import__(name, globals, locals, fromlist, level)
    return _numpy.view() if module is sys.modules.get("numpy") else module


def _versions():
    """Return what Python 3.12 removed with distutils: MXNet and GluonCV compare versions with it."""
    from packaging.version import Version

    return types.SimpleNamespace(LooseVersion=Version, StrictVersion=Version)


def _is_for_later(name) -> bool:
    return name in LATER and name not in sys.modules and importlib.util.find_spec(name) is not None


class _Later(types.ModuleType):
    """A module that is imported when something of it is asked for."""

    def __getattr__(self, name):
        return getattr(importlib.import_module(self.__name__), name)


class _LaterSparse(_Later):
    """scipy.sparse. MXNet asks whether the source of a new array is its ``csr.csr_matrix``: no, before that exists."""

    @property
    def csr(self):
        module = sys.modules.get(self.__name__)
        return types.SimpleNamespace(csr_matrix=module.csr_matrix if module else ())
