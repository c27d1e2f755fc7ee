"""MXNet's operators, each compiled when it is first called.

While it is imported, MXNet writes a Python function for each of its 2,500 operators and has Python compile it, which is
half of the import's time; a program calls some dozens. So `define` stands in for `exec` in the modules that do it.
Nobody sees a difference: the functions are functions, have their names and docstrings at once, and their signatures
when they are asked for them.
"""

from __future__ import annotations

import functools
import inspect
import re
import types

WRITERS = ("mxnet.ndarray.register", "mxnet.symbol.register")


def builtins_of(module) -> dict:
    """Return what the module gets in place of builtins."""
    return {"exec": functools.partial(define, module)} if module.__name__ in WRITERS else {}


def define(module, source, _globals, namespace) -> None:
    """Define the one function of ``source`` in ``namespace``, as ``exec`` does; its first call compiles it."""
    name = re.match(r"\s*def (\w+)\(", source)[1]
    function = types.FunctionType(_first_call.__code__, vars(module), name)
    function.__qualname__ = name
    function.__wrapped__ = _Pending(function, source)  # where `inspect` looks for a signature
    function.__kwdefaults__ = {"_pending": function.__wrapped__}
    namespace[name] = function


def _first_call(*arguments, _pending, **options):
    return _pending.compiled()(*arguments, **options)


class _Pending:
    """The text of a function that is not compiled yet."""

    def __init__(self, function, source):
        self.function, self.source = function, source

    @property
    def __signature__(self):
        return inspect.signature(self.compiled())

    def compiled(self):
        """Give the function the code that MXNet wrote; another thread may do the same meanwhile."""
        namespace = {}
        exec(self.source, self.function.__globals__, namespace)
        (written,) = namespace.values()
        self.function.__defaults__ = written.__defaults__
        self.function.__code__ = written.__code__
        self.function.__kwdefaults__ = None
        vars(self.function).pop("__wrapped__", None)
        return self.function
