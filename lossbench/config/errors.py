"""One line for every mistake in a config: file, key, rule, value, way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Optional

from lossbench.errors import UserError


class ConfigError(UserError):
    """The user's mistake in a config file or on the command line, in one line."""


def nearest(word: Any, known: Iterable[str]) -> Optional[str]:
    """The known word that looks most like `word`, or None when none does.

    Examples
    --------
    >>> nearest("margn", ["scale", "margin"])
    'margin'
    """
    found = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """`; did you mean `x`?`, or nothing."""
    found = nearest(word, known)
    return f"; did you mean `{found}`?" if found else ""


def one_line(problems: list[tuple[str, str, str]]) -> ConfigError:
    """Join (source, key, text) triples, naming a source once for the problems that follow each other in it."""
    parts, last = [], None
    for source, key, text in problems:
        where = "" if source == last else (source if source == "command line" else f"config {source}") + ": "
        parts.append(f"{where}{key}: {text}" if key else f"{where}{text}")
        last = source
    return ConfigError("; ".join(" ".join(part.split()) for part in parts))
