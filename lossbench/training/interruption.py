"""SIGINT and SIGTERM while training: the step is finished and saved; an evaluation ends at once."""

from __future__ import annotations

import contextlib
import signal
import threading


class _Stopped(KeyboardInterrupt):
    """A signal ended what needs no orderly end."""


class Interruption:
    """The first SIGINT or SIGTERM: noted, so that the step is finished and saved, or obeyed at once."""

    def __init__(self):
        self.signal = None
        self._obeys = False

    def note(self, number) -> None:
        self.signal = number
        if self._obeys:
            raise _Stopped

    @contextlib.contextmanager
    def at_once(self):
        """End the block where a signal comes: whatever it writes is whole at every moment."""
        self._obeys = True
        with contextlib.suppress(_Stopped):
            yield
        self._obeys = False


@contextlib.contextmanager
def noticed():
    """Notice the first SIGINT or SIGTERM; a second one acts as usual."""
    noted = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number, frame):
        for which, handler in previous.items():
            signal.signal(which, handler)
        noted.note(number)

    previous = {which: signal.signal(which, note) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for which, handler in previous.items():
            signal.signal(which, handler)
