"""What stands at a path: read only where it is a file, and named by every error; any stage may import it."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import stat

from lossbench.errors import UserError


def open_regular(path):
    """Open a regular file for reading in binary.

    Anything else that stands there (a folder, a FIFO, a device) is an `OSError` at once: a FIFO would be waited for.
    """
    _refuse_irregular(os.stat(path).st_mode, path)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_irregular(os.fstat(handle).st_mode, path)  # what was looked at may have been exchanged
        return open(handle, "rb")
    except OSError:
        os.close(handle)
        raise


def require_file(path) -> None:
    """`OSError` where something other than a regular file stands, or a link to one; nothing may stand there."""
    with contextlib.suppress(FileNotFoundError):
        _refuse_irregular(os.stat(path).st_mode, path)


def _refuse_irregular(mode, path):
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))


def expanded(path) -> pathlib.Path:
    """Return a path with the user's folder where it begins with `~`; `UserError` where there is no such user."""
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"path: `~` must stand for the folder of a user, got {path}. Write the whole path.") from None


@contextlib.contextmanager
def naming(path):
    """Have an `OSError` of the block name `path`: those of reading, writing and syncing name no file by themselves."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
