"""Locks between processes, on file systems that have them; any stage may import it."""

from __future__ import annotations

import errno
import fcntl

from lossbench import paths, terminal

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN)
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF)


def lock(file, path, *, wait: bool) -> bool:
    """Take the lock of an open file; it ends when the file is closed, at the latest with the process.

    Parameters
    ----------
    file : file or descriptor
    path : path
        What an error names.
    wait : bool
        Whether to wait for another process that holds it.

    Returns
    -------
    bool
        False where another process holds it. A file system without locks is named once, and it is as if it were had.
    """
    try:
        with paths.naming(path):
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno not in _UNSUPPORTED:
            raise
        terminal.say_once(
            "lock",
            f"The file system of {path} has no locks ({error.strerror}): nothing keeps a second training out of this "
            "folder. Start one at a time.",
        )
    return True
