"""Text for people's screens: nothing in it that a terminal obeys, and no output that can end a command."""

from __future__ import annotations

import os
import re
import sys
import unicodedata

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
    return re.sub(r"[^ -~]", _spelled, text)


def lines(text, most: int = MOST_LETTERS) -> str:
    """`shown` of each line of a text."""
    return "\n".join(shown(line, most) for line in str(text).split("\n"))


def _spelled(match) -> str:
    letter = match[0]
    hidden = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in _JOINERS
    return letter.encode("unicode_escape").decode() if hidden else letter


class Lasting:
    """A text stream that never raises: what cannot be written is dropped.

    Training goes on where its messages find no reader, a full disk, or, started with `2>&-`, no stream at all.
    """

    def __init__(self, stream):
        self._stream = open(os.devnull, "w") if stream is None else stream

    def write(self, text) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: closed
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return

    def __getattr__(self, name):
        return getattr(self._stream, name)


def say_once(kind: str, sentence: str) -> None:
    """Print a sentence on the standard error, unless this process has said one of this kind before."""
    if kind not in _said:
        _said.add(kind)
        print(shown(sentence), file=Lasting(sys.stderr), flush=True)
