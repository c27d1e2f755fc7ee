"""Where the files of a known dataset are: found, downloaded through Gluon, and held against their checksums."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

from lossbench.errors import UserError


def invalid(path, rule, got, way_out):
    """The error for a file that is not what it should be."""
    return UserError(f"data: {path} must {rule}, got {got}. {way_out}")


def contents(path, most=-1):
    """The first ``most`` bytes of a file, by default all.

    Raises
    ------
    ValueError
        If it is no regular file (a FIFO could be read for ever), or cannot be read.
    """
    try:
        with opened(path) as file:
            return file.read(most)
    except OSError as error:
        raise invalid(path, "be a readable file", error.strerror, "Check its place and its permissions.") from error


def opened(path):
    """Open a regular file for reading bytes; `OSError` for what is none, without waiting for a FIFO's writer."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Is a directory" if stat.S_ISDIR(mode) else f"Is {irregular(mode)}")
    return open(descriptor, "rb")


def irregular(mode):
    """The name of what a file mode describes, where that is no regular file."""
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "no regular file")


def count(number, word):
    """A number with its noun.

    Examples
    --------
    >>> count(1, "image"), count(2000, "image")
    ('1 image', '2,000 images')
    """
    return f"{number:,} {word}" + "s" * (number != 1)


def sha256(path):
    """Checksum of a file."""
    state = hashlib.sha256()
    with opened(path) as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()


def folders(name, root=None):
    """Folders to look into for dataset ``name``, best first.

    ``root`` and ``root/name`` if a root is given; else ``name`` in $LOSSBENCH_DATA and $LOSSBENCH_DATA itself, then
    Gluon's own, ``name`` in $MXNET_HOME/datasets (~/.mxnet/datasets).
    """
    if root is not None:
        root = Path(root).expanduser()
        return [root, root / name]
    found = []
    if os.environ.get("LOSSBENCH_DATA"):
        shared = Path(os.environ["LOSSBENCH_DATA"]).expanduser()
        found = [shared / name, shared]
    home = os.environ.get("MXNET_HOME") or os.path.join("~", ".mxnet")
    return [*found, Path(home).expanduser() / "datasets" / name]


def first(folder, names):
    """The first of ``names`` that is a file in ``folder``, or None."""
    return next((Path(folder) / name for name in names if (Path(folder) / name).is_file()), None)


def not_canonical(dataset, differing):
    """The note on files that differ from the published ones, as a list: empty if none does."""
    if not differing:
        return []
    return [f"{dataset}: other files than the published ones: " + ", ".join(differing)]


def download(dataset, file, sha1, folder, wanted):
    """Fetch one file of a dataset from Gluon's repository: all of it, with the right checksum, or nothing.

    Parameters
    ----------
    dataset : str
        Gluon's name of the dataset, a folder of its repository.
    file : str
    sha1 : str
    folder : path
    wanted : str
        Which files to put into the folder by hand, for the error message.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If there is no network, the file is not there, its checksum differs, or the folder cannot be written.
    """
    from lossbench import _gluon
    from lossbench._mxnet import mx

    folder = Path(folder)
    target = folder / file
    url = _gluon.dataset_url(dataset, file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as aside:
            part = os.path.join(aside, file)
            with contextlib.redirect_stdout(sys.stderr):
                mx.gluon.utils.download(url, path=part, sha1_hash=sha1, retries=2)
            os.replace(part, target)
    except Exception as error:  # whatever requests raises; UserWarning for a wrong checksum
        reason = " ".join(str(error).split())[:200]
        raise invalid(
            target,
            f"be there or come from {url}",
            f"{type(error).__name__}: {reason}",
            f"Without a network, put {wanted} into {folder}, or name the folder that has them in data.root or "
            "the environment variable LOSSBENCH_DATA.",
        ) from error
    return target
