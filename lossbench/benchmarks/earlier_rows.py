"""Rows that an earlier measurement left in a JSON file."""

from __future__ import annotations

import json
from pathlib import Path

from lossbench.errors import UserError


def rows(path) -> list:
    """Read the rows of a file; none where there is no file yet. To be asked for before measuring, not after.

    Raises
    ------
    ValueError
        If the file holds something else.
    """
    if path is None or not Path(path).exists():
        return []
    try:
        return json.loads(Path(path).read_text())["rows"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"benchmark: {path} must hold `rows` of an earlier run. Name another file.") from None
