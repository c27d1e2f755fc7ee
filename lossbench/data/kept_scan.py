"""Scans of large record files, kept in the user's cache, so that the next start need not read the file for them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zipfile

import numpy as np

from lossbench import atomic
from lossbench.errors import UserError
from lossbench.paths import expanded

FEWEST = 10_000
"""Records of the smallest file whose scan is kept."""

_FORMAT = 1


def read(path, facts):
    """The columns that were kept of a file with these `os.stat` facts; None where there are none, or damaged ones."""
    try:
        content = _place(path).read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            columns = {name: stored[name] for name in stored.files}
        if columns.pop("checksum").item() != _checksum(columns) or columns.pop("facts").tolist() != _key(facts):
            return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return {name: column.item() if not column.ndim else column for name, column in columns.items()}


def write(path, facts, columns):
    """Keep the columns of a scan; where they cannot be written, the next start scans again."""
    if len(columns["begin"]) < FEWEST:
        return
    stored = {**{name: np.asarray(column) for name, column in columns.items()}, "facts": np.array(_key(facts))}
    with contextlib.suppress(OSError, UserError):
        place = _place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic.writing(place) as file:
            np.savez(file, **stored, checksum=np.array(_checksum(stored)))


def _place(path):
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    return expanded(base) / "lossbench" / "records" / f"{name}.npz"


def _key(facts):
    """What changes when a file is written to, or another takes its place."""
    return [_FORMAT, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]


def _checksum(columns):
    state = hashlib.sha256()
    for name in sorted(columns):
        array = np.ascontiguousarray(columns[name])
        state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(array.tobytes())
    return state.hexdigest()
