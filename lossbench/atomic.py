"""Small files written whole or not at all; any stage may import it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import stat
import sys

import numpy as np

from lossbench import paths, terminal

_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def writing(path):
    """Open a binary file whose content takes the place of `path` when the block ends well; a reader sees old or new.

    Links are followed. What is neither absent nor a regular file (a device, a FIFO, the file that is the standard
    output) is written in place. An `OSError` names `path`.
    """
    with paths.naming(path):
        in_place = _stream_of(path)
        if in_place is not None:
            with in_place as file:
                yield file
            return
        target = pathlib.Path(os.path.realpath(path))
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        try:
            with open(temporary, "xb") as file:
                if target.exists():
                    os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
                yield file
                sync(file)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(target.parent)


def _stream_of(path):
    """The file to write into where `path` cannot be replaced by another file, else None."""
    try:
        standing = os.stat(path)
    except FileNotFoundError:
        return None
    for number in (1, 2):  # /dev/stdout, or the file that the output goes to: what is printed there must stay
        with contextlib.suppress(OSError):
            if os.path.samestat(standing, os.fstat(number)):
                for stream in filter(None, (sys.stdout, sys.stderr)):
                    stream.flush()
                return os.fdopen(os.dup(number), "wb")
    return None if stat.S_ISREG(standing.st_mode) else open(path, "wb")


def write_atomically(path, content) -> None:
    """Write text or bytes to `path` so that a reader sees the old content or the new one, never a part."""
    with writing(path) as file:
        file.write(content.encode(errors="surrogateescape") if isinstance(content, str) else content)


def write_json(path, value) -> None:
    """`write_atomically` of a JSON document; NumPy scalars and arrays become numbers and lists."""
    write_atomically(path, json.dumps(value, indent=2, default=_plain) + "\n")


def _plain(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def sync(file) -> None:
    """Make what was written to an open file durable."""
    file.flush()
    _sync(file.fileno(), file.name)


def sync_folder(folder) -> None:
    """Make a folder's entries durable: what was renamed into it survives a power cut."""
    with paths.naming(folder):
        try:
            handle = os.open(folder, os.O_RDONLY)
        except PermissionError as error:  # of a folder that may be written and not listed
            _say_unsynced(folder, error)
            return
        try:
            _sync(handle, folder)
        finally:
            os.close(handle)


def _sync(handle, path):
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _say_unsynced(path, error)


def _say_unsynced(path, error):
    terminal.say_once(
        "sync",
        f"The file system of {pathlib.Path(path).parent} cannot sync ({error.strerror}): what was written "
        "just before a power cut may be lost. A killed process loses nothing.",
    )
