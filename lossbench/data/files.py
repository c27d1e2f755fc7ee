"""Where the files of a known dataset are: found, downloaded through Gluon, and held against their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from pathlib import Path


def invalid(path, rule, got, way_out):
    """The error for a file that is not what it should be."""
    return ValueError(f"data: {path} must {rule}, got {got}. {way_out}")


def folders(name, root=None):
    """Folders to look into for dataset ``name``, best first.

    ``root`` and ``root/name`` if a root is given; else ``name`` in $LOSSBENCH_DATA and $LOSSBENCH_DATA itself, then
    Gluon's own, ``name`` in $MXNET_HOME/datasets (~/.mxnet/datasets). What none has is downloaded into the first.
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


def digest(path, algorithm="sha256"):
    """Checksum of a file."""
    state = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()


def not_canonical(path, sha1, expected):
    """The note that a file differs from the published one, as a list: empty if it does not."""
    if sha1 == expected:
        return []
    return [f"{Path(path).name} is not the canonical file: SHA-1 {sha1} instead of {expected}"]


def download(dataset, file, sha1, folder):
    """Fetch one file of a dataset from Gluon's repository: all of it, with the right checksum, or nothing.

    Parameters
    ----------
    dataset : str
        Gluon's name of the dataset, a folder of its repository.
    file : str
    sha1 : str
    folder : path

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If there is no network, the file is not there, its checksum differs, or the folder cannot be written.
    """
    from lossbench._mxnet import mx

    folder = Path(folder)
    target = folder / file
    url = mx.gluon.utils._get_repo_file_url(f"gluon/dataset/{dataset}", file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as aside:
            part = os.path.join(aside, file)
            with contextlib.redirect_stdout(sys.stderr):
                mx.gluon.utils.download(url, path=part, sha1_hash=sha1, retries=2)
            os.replace(part, target)
    except (
        Exception
    ) as error:  # Gluon lets through whatever requests raises, and reports a wrong checksum as a UserWarning
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"data: {target} must be downloadable from {url}, got {type(error).__name__}: {reason}. "
            f"Without a network, put {file} there, or name the folder that has it in data.root or LOSSBENCH_DATA."
        ) from error
    return target
