"""One line for every mistake in a config: file, key, rule, value, way out."""

from __future__ import annotations

from lossbench.errors import UserError
from lossbench.terminal import shown


class ConfigError(UserError):
    """The user's mistake in a config file or on the command line: one line, whatever it cites."""

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


def one_line(problems: list[tuple[str, str, str]]) -> ConfigError:
    """Join (source, key, text) triples, naming a source once for the problems that follow each other in it."""
    parts, last = [], None
    for source, key, text in problems:
        where = "" if source == last else (source if source == "command line" else f"config {source}") + ": "
        parts.append(f"{where}{key}: {text}" if key else f"{where}{text}")
        last = source
    return ConfigError("; ".join(" ".join(part.split()) for part in parts))
