"""Files of datasets: where they are, and read without waiting for ever or filling the memory."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import stat
import struct
import zlib
from pathlib import Path

from lossbench.errors import UserError
from lossbench.paths import expanded

MOST_UNPACKED = 1 << 30
"""Bytes that a compressed file may hold; a few kilobytes can claim to be terabytes."""


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


def too_large(path, way_out):
    """The error for a file that would fill the memory."""
    rule = f"hold at most {MOST_UNPACKED:,} bytes when it is unpacked"
    return invalid(path, rule, "more", way_out)


def unpacked(path, content, way_out):
    """A file's content, decompressed where its first bytes are those of gzip.

    Raises
    ------
    ValueError
        If it is damaged, or holds more than `MOST_UNPACKED` bytes.
    """
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as zipped:
            whole = zipped.read(MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise invalid(path, "be an intact gzip file", f"{error} in {len(content):,} bytes", way_out) from error
    if len(whole) > MOST_UNPACKED:
        raise too_large(path, way_out)
    return whole


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
    Gluon's own, ``name`` in $MXNET_HOME/datasets (~/.mxnet/datasets). Below a root or $LOSSBENCH_DATA also where
    torchvision puts its downloads.
    """
    base, found = stated(root), []
    if base is not None:
        own = [base, base / name] if root is not None else [base / name, base]
        found = [*own, *_torchvisions(base, name)]
    if root is not None:
        return found
    home = os.environ.get("MXNET_HOME") or os.path.join("~", ".mxnet")
    return [*found, expanded(home) / "datasets" / name]


def stated(root=None):
    """The folder that the user names, by ``root`` or $LOSSBENCH_DATA, or None."""
    named = root if root is not None else os.environ.get("LOSSBENCH_DATA")
    return expanded(named) if named else None


def _torchvisions(root, name):
    own = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "emnist": "EMNIST"}
    return [root / own[name] / "raw"] if name in own else []


def first(folder, names):
    """The first of ``names`` that is a file in ``folder``, or None."""
    return next((Path(folder) / name for name in names if (Path(folder) / name).is_file()), None)


def first_of(name, places):
    """The first file of that name in some folders, or None; of no effect where a folder is absent."""
    return next((place / name for place in places if (place / name).is_file()), None)


def not_canonical(dataset, differing):
    """The note on files that differ from the published ones, as a list: empty if none does."""
    if not differing:
        return []
    return [f"{dataset}: other files than the published ones: " + ", ".join(differing)]
