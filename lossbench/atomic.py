"""Small files written whole or not at all; any stage may import it."""

from __future__ import annotations

import json
import os
import pathlib

import numpy as np


def write_atomically(path, content) -> None:
    """Write text or bytes to `path` so that a reader sees the old content or the new one, never a part."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path, value) -> None:
    """`write_atomically` of a JSON document; NumPy scalars and arrays become numbers and lists."""
    write_atomically(path, json.dumps(value, indent=2, default=_plain) + "\n")


def _plain(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def sync_folder(folder) -> None:
    """Make a folder's entries durable: what was renamed into it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
