"""Regular expressions of configs, which may come from anybody; any stage may import it."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterable

from lossbench.errors import UserError

MOST_LETTERS = 1000
SECONDS = 0.5


class TooSlow(UserError):
    """A pattern that tries ways without end before it is found, or not."""


def found(pattern: str, names: Iterable[str], where: str) -> list[str]:
    """Return the names in which a regular expression is found.

    A pattern such as `(a*)*b` may try ways for ever. The matcher looks for signals, so an alarm ends it; but only in a
    process's main thread, where Python runs what a signal asks for.

    Parameters
    ----------
    pattern : str
    names : iterable of str
    where : str
        Begins the message of an error.

    Raises
    ------
    TooSlow
        It takes longer than half a second in all.

    Examples
    --------
    >>> found("^head", ["backbone.head", "head.weight"], "freeze")
    ['head.weight']
    """
    if threading.current_thread() is not threading.main_thread():
        return _search(pattern, names)

    def late(number, frame):
        raise TooSlow(
            f"{where}: pattern must be found, or not, within {SECONDS:g} seconds, got {pattern!r}. "
            "Write it without a repetition of repetitions."
        )

    handler = signal.signal(signal.SIGALRM, late)
    left, interval = signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return _search(pattern, names)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:  # whose alarm it was has waited for us
            signal.setitimer(signal.ITIMER_REAL, left, interval)


def _search(pattern, names):
    return [name for name in names if re.search(pattern, name)]
