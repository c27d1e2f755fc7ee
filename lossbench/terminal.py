"""Text for people's screens: nothing in it that a terminal obeys, and no message that can end a command.

Any stage may import it.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import unicodedata

from lossbench import paths

OUTPUT = "the standard output"
MOST_LETTERS = 4000
_JOINERS = "\u200c\u200d"  # of Persian, Indic scripts and emoji
_said: set = set()


def shown(text, most: int = MOST_LETTERS) -> str:
    r"""Text as a terminal may have it: one line, control characters spelled out, the middle of a long one left out.

    Spelled out are also the characters that turn the direction of what follows, those that nobody sees, and the bytes
    of a file name that are not UTF-8.

    Examples
    --------
    >>> print(shown("a\x1b[31mb\u202ec\nd"))
    a\x1b[31mb\u202ec\nd
    >>> print(shown("letters" * 1000, most=40))
    letterslettersletterslette [...] letters
    """
    text = str(text)
    if len(text) > most:
        text = f"{text[: most * 2 // 3]} [...] {text[len(text) - most // 5 + 1 :]}"
    return _spelled(text)


def _spelled(text) -> str:
    return re.sub(r"[^ -~]", _spelled_letter, text)


def _spelled_letter(match) -> str:
    letter = match[0]
    hidden = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in _JOINERS
    return letter.encode("unicode_escape").decode() if hidden else letter


class _Stream:
    """A text stream whose control characters are spelled out, but for those in `passed`, a regular expression."""

    passed = r"\n|\t"

    def __init__(self, stream):
        self._stream = stream

    def write(self, text) -> int:
        parts = re.split(f"({self.passed})", text)
        parts[::2] = map(_spelled, parts[::2])
        self._stream.write("".join(parts))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name):
        return getattr(self._stream, name)


class Output(_Stream):
    """A standard output whose `OSError` says that it is the standard output."""

    def write(self, text) -> int:
        with paths.naming(OUTPUT):
            return super().write(text)

    def flush(self) -> None:
        with paths.naming(OUTPUT):
            super().flush()


class Lasting(_Stream):
    """A stream for messages that never raises: what cannot be written is dropped.

    Training goes on where its messages find no reader, a full disk, or, started with `2>&-`, no stream at all.
    """

    passed = r"\n|\t|\A\r|\r\Z|\A(?:\x1b\[A)+\Z"  # of progress bars, which write them first, last or alone

    def write(self, text) -> int:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # ValueError: closed; AttributeError: None
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            super().flush()

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()


@contextlib.contextmanager
def streams():
    """Give the block standard streams that take every text, whatever the process was started with."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file to be opened would take its place, and what C++ prints
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    before = sys.stdout, sys.stderr
    output, messages = before
    if output is None:
        output = open(1, "w", closefd=False)
    for stream in (output, messages):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # in a locale that has no such letter
    sys.stdout, sys.stderr = Output(output), Lasting(messages)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def drop_output() -> None:
    """Let what was not written to the standard output go: Python would try again at its end, and complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def say_once(kind: str, sentence: str) -> None:
    """Print a sentence on the standard error, unless this process has said one of this kind before."""
    if kind not in _said:
        _said.add(kind)
        print(shown(sentence), file=Lasting(sys.stderr), flush=True)
