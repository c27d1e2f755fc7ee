"""Errors as classes: the class, not the wording, says whose mistake it is and with which status a command ends."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(ValueError):
    """The user's mistake: a bad argument, config, file or command. One line, ``<where>: <name> must <rule>, got …``."""

    exit_status = 2


class NotNow(UserError):
    """What can be done later as it is: another process has it, or what it starts from is not finished."""


class RunFailed(RuntimeError):
    """What was asked for cannot be done to its end, and not by the user's mistake: a non-finite loss, a full disk."""

    exit_status = 1


class MXNetUnavailable(ImportError):
    """MXNet cannot be loaded; the message says in one line what to install."""

    exit_status = 1


def exit_status(error: BaseException):
    """Return the exit status of a command that ends with this error, None where the error is a bug of lossbench.

    Examples
    --------
    >>> exit_status(UserError("head: `margin` must be at least 0, got -1."))
    2
    >>> exit_status(ValueError("could not convert string to float: 'abc'")) is None
    True
    """
    return 1 if isinstance(error, OSError) else getattr(error, "exit_status", None)


def nearest(word: Any, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known word that looks most like `word`, or that it abbreviates, or None when none does.

    Examples
    --------
    >>> nearest("margn", ["scale", "margin"])
    'margin'
    >>> nearest("lr", ["name", "learning_rate"])
    'learning_rate'
    """
    known = list(known)
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=likeness)
    short_for = [name for name in known if "_" in name and word == "".join(part[:1] for part in name.split("_"))]
    return next(iter(close + short_for), None)


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """`; did you mean `x`?`, or nothing."""
    found = nearest(word, known)
    return f"; did you mean `{found}`?" if found else ""
