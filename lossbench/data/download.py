"""Files of a known dataset from Gluon's repository or its mirrors: all of one, with the right content, or nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from lossbench.data import files

_TORONTO = "https://www.cs.toronto.edu/~kriz/"
MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    "cifar10": (_TORONTO,),
    "cifar100": (_TORONTO,),
}
"""Where the same files lie, asked in this order after Gluon's repository."""


def fetch(dataset, file, sha1, folder, wanted, *, root=None, is_right=lambda path: False):
    """Fetch one file of a dataset.

    Parameters
    ----------
    dataset : str
        Gluon's name of the dataset, a folder of its repository.
    file : str
    sha1 : str
        Of the published file.
    folder : path
    wanted : str
        Which files to put into the folder by hand, for the error message.
    root : path, optional
        The folder that the user named; it is not made, so that a mistyped one stays absent.
    is_right : callable
        path -> whether a file with another checksum holds the published content, packed anew.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If there is no network, the file is nowhere, its content differs, or the folder cannot be written.
    """
    folder = Path(folder)
    urls, base, errors = _urls(dataset, file), files.stated(root), []
    if base is not None and not base.exists():
        raise _absent(folder / file, urls, f"no folder {base}", f"Correct data.root or LOSSBENCH_DATA, or make {base}.")
    for url in urls:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as aside:
                part = Path(aside) / file
                _download(url, part)
                if _sha1(part) != sha1 and not is_right(part):
                    raise ValueError("content with another hash than the published file's")
                os.replace(part, folder / file)
            return folder / file
        except Exception as error:  # whatever requests raises
            errors.append(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    way_out = (
        f"Without a network, put {wanted} into {folder}, or name the folder that has them in data.root or "
        "the environment variable LOSSBENCH_DATA."
    )
    raise _absent(folder / file, urls, "; ".join(errors), way_out)


def _absent(target, urls, got, way_out):
    mirrors = f" or {files.count(len(urls) - 1, 'mirror')}" if len(urls) > 1 else ""
    return files.invalid(target, f"be there or come from {urls[0]}{mirrors}", got, way_out)


def _urls(dataset, file):
    """Addresses of a file: Gluon's or MXNET_GLUON_REPO's, else the known mirrors, then those of LOSSBENCH_MIRRORS."""
    from lossbench import _gluon

    known = () if os.environ.get("MXNET_GLUON_REPO") else MIRRORS.get(dataset, ())
    own = [f"{one.rstrip('/')}/{dataset}/" for one in os.environ.get("LOSSBENCH_MIRRORS", "").split()]
    return [_gluon.dataset_url(dataset, file), *(folder + file for folder in (*known, *own))]


def _download(url, path):
    """Write what an address gives into a file; twice where the line breaks."""
    import requests

    for attempt in range(2):
        try:
            with requests.get(url, stream=True, timeout=30) as response:
                if response.status_code != 200:
                    raise RuntimeError(f"Failed downloading url {url}: {response.status_code} {response.reason}")
                _write(response, path)
            return
        except requests.RequestException:
            if attempt:
                raise


def _write(response, path):
    from tqdm import tqdm

    size = int(response.headers.get("content-length", 0)) or None
    bar = tqdm(total=size, desc=path.name, unit="B", unit_scale=True, disable=None)
    with bar, open(path, "wb") as file:
        for block in response.iter_content(1 << 20):
            bar.update(len(block))
            file.write(block)
            if file.tell() > files.MOST_UNPACKED:
                raise RuntimeError(f"more than {files.MOST_UNPACKED:,} bytes from {response.url}")


def _sha1(path):
    state = hashlib.sha1()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()
