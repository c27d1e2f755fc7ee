"""Files of a run, read whatever became of them: what is whole is used, what is not is named in a sentence.

A file may be torn, edited or made by a stranger. So only regular files of a bounded size are read, nesting is bounded,
and numbers are what a float holds; whoever uses the values need not ask again.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from lossbench import paths
from lossbench.errors import UserError

MOST_BYTES = 1 << 27
MOST_BYTES_OF_ARRAYS, MOST_TIMES = 1 << 30, 20  # the larger one, of the size of their file
DEEPEST = 40
LARGEST = 2**63
LARGEST_FLOAT = 1e38
MOST_NAMED = 3
MOST_VALUES, MOST_LETTERS = 60, 100


class Findings:
    """What is wrong with one file; more than a few sentences are counted."""

    def __init__(self, name: str):
        self.name = name
        self._sentences: list[str] = []

    def add(self, where: str, text: str) -> None:
        self._sentences.append(f"{self.name}{where}: {text}; it is left out.")

    def sentences(self) -> list[str]:
        more = len(self._sentences) - MOST_NAMED
        return self._sentences[:MOST_NAMED] + ([f"{self.name}: {more} more like these."] if more > 0 else [])


def text(path: Path) -> str:
    """Return the text of a regular file of a bounded size."""
    with paths.open_regular(path) as file, paths.naming(path):
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UserError(f"it must have at most {MOST_BYTES:,} bytes.")
    return content.decode("utf-8")


def mapping(path: Path, findings: Findings) -> dict[str, Any]:
    """Return the JSON object in a file, without the values that nobody can use."""
    value = json.loads(text(path))
    if not isinstance(value, dict):
        raise UserError(f"it must hold a mapping, got {type(value).__name__}.")
    return usable(value, findings)


def rows(path: Path, findings: Findings) -> list[dict]:
    """Return the rows of a history: numbers by name, the epochs rising."""
    found: list[dict] = []
    last: int = 0
    for number, line in enumerate(text(path).splitlines(), 1):
        where = f", line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            findings.add(where, f"it must be JSON ({_brief(error)})")
            continue
        epoch: Any = row.get("epoch") if isinstance(row, dict) else None
        if not is_count(epoch) or epoch <= last:
            findings.add(where, f"it must name an epoch above {last}")
            continue
        if len(row) > MOST_VALUES or max(map(len, row)) > MOST_LETTERS:
            findings.add(
                where, f"it must have at most {MOST_VALUES} values, with names of at most {MOST_LETTERS} letters"
            )
            continue
        last = epoch
        for name, value in row.items():
            if not is_number(value) or (name == "step" and not is_count(value)):
                findings.add(where, f"{name[:40]} must be a number, got {_brief(value)}")
                row[name] = None
        found.append({name: value for name, value in row.items() if value is not None})
    return found


def metrics(path: Path, findings: Findings) -> dict[str, dict]:
    """Return what was measured, checkpoint by checkpoint."""
    found = {}
    for name, entry in mapping(path, findings).items():
        if isinstance(entry, dict) and is_count(entry.get("epoch")) and is_count(entry.get("step")):
            found[name] = entry
        else:
            findings.add("", f"{name[:40]} must be a mapping with epoch and step, got {_brief(entry)}")
    return found


def arrays(path: Path) -> dict:
    """Return the arrays of a NumPy archive; a `UserError` names a file that is none, or a damaged one."""
    import struct
    import tokenize
    import zipfile
    import zlib

    import numpy as np

    damage = (zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, SyntaxError)
    try:
        with paths.open_regular(path) as file:
            size = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
            if size > max(MOST_BYTES_OF_ARRAYS, MOST_TIMES * os.fstat(file.fileno()).st_size):
                raise ValueError(f"arrays of {size:,} bytes")
            file.seek(0)
            with np.load(file) as archive:
                found = dict(archive)
            foreign = {name: array.dtype for name, array in found.items() if array.dtype.kind not in "biufU"}
            if foreign:
                raise ValueError(f"arrays that are neither numbers nor text: {foreign}")
            return found
    except (OSError, ValueError, EOFError, LookupError, NotImplementedError, MemoryError, *damage) as error:
        raise UserError(f"{path} must be a NumPy archive, got: {_brief(error)}. Make it anew.") from error


def usable(value: Any, findings: Findings, place: tuple = ()) -> Any:
    """Return a JSON value without numbers that are too large and without what is nested too deeply."""
    if isinstance(value, (dict, list)) and len(place) >= DEEPEST:
        findings.add("", f"{'.'.join(place[:3])} must not be nested so deeply")
        return None
    if isinstance(value, dict):
        return {name: usable(inner, findings, (*place, name[:40])) for name, inner in value.items()}
    if isinstance(value, list):
        return [usable(inner, findings, (*place, str(number))) for number, inner in enumerate(value)]
    if isinstance(value, int) and abs(value) > LARGEST:
        findings.add("", f"{'.'.join(place)} must be a number below 2^63, got one of {value.bit_length()} bits")
        return None
    return value


def is_count(value: Any) -> bool:
    """Whether a value is a whole number from 0 on that a file may name."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST


def is_number(value: Any) -> bool:
    """Whether a value is a finite number of a usual size."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and abs(value) < LARGEST_FLOAT if isinstance(value, float) else abs(value) < LARGEST


def _brief(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"one of {value.bit_length()} bits"
    written = " ".join((str(value) if isinstance(value, Exception) else json.dumps(value)).split())
    return written if len(written) <= 60 else written[:60] + "..."
