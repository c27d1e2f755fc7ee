"""MNIST and Fashion-MNIST: IDX files, gzip or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from lossbench.data import files
from lossbench.data.dataset import Dataset, Split, empty_like

_CLASSES = {
    "mnist": [str(digit) for digit in range(10)],
    "fashion-mnist": [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
}
# SHA-1 of the published files as they are downloaded, compressed
_SHA1 = {
    "mnist": {
        "train-images-idx3-ubyte": "6c95f4b05d2bf285e1bfb0e7960c31bd3b3f8a7d",
        "train-labels-idx1-ubyte": "2a80914081dc54586dbdf242f9805a6b8d2a15fc",
        "t10k-images-idx3-ubyte": "c3a25af1f52dad7f726cce8cacb138654b760d48",
        "t10k-labels-idx1-ubyte": "763e7fa3757d93b0cdec073cef058b2004252c17",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": "0cf37b0d40ed5169c6b3aba31069a9770ac9043d",
        "train-labels-idx1-ubyte": "236021d52f1e40852b06a4c3008d8de8aef1e40b",
        "t10k-images-idx3-ubyte": "626ed6a7c06dd17c0eec72fa3be1740f146a2863",
        "t10k-labels-idx1-ubyte": "17f9ab60e7257a1620f4ad76bbbaf857c3920701",
    },
}
_PIXELS = {"mnist": ((0.1307,), (0.3081,)), "fashion-mnist": ((0.2860,), (0.3530,))}
_WAY_OUT = "Delete it to have it downloaded again, or put the right file there."


def mnist(config_data, seed):
    """MNIST, 28 x 28 handwritten digits."""
    return _load("mnist", config_data.root)


def fashion_mnist(config_data, seed):
    """Fashion-MNIST, 28 x 28 pictures of clothing."""
    return _load("fashion-mnist", config_data.root)


def read(path, dimensions):
    """Read one IDX file of unsigned bytes.

    Parameters
    ----------
    path : path
        Gzip is recognised by its first bytes, whatever the name.
    dimensions : int
        3 for images, 1 for labels.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    ValueError
        If the file is damaged, truncated, longer than its header says, or another kind of file.
    """
    return _parse(path, _content(path), dimensions)


def _content(path):
    raw = Path(path).read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise files.invalid(path, "be an intact gzip file", f"{error} in {len(raw):,} bytes", _WAY_OUT) from error


def _parse(path, content, dimensions):
    magic = 0x0800 + dimensions
    header = 4 + 4 * dimensions
    got = int.from_bytes(content[:4], "big")
    if len(content) < header or got != magic:
        kind = "images" if dimensions == 3 else "labels"
        found = f"{content[:4].hex() or 'nothing'} in {len(content):,} bytes"
        raise files.invalid(path, f"be an IDX file of {kind}, whose first bytes are {magic:08x}", found, _WAY_OUT)
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    size = header + math.prod(shape)
    if len(content) != size:
        raise files.invalid(path, f"have {size:,} bytes as its header {shape} says", f"{len(content):,}", _WAY_OUT)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _load(name, root):
    paths = _locate(name, root)
    train, test = (_split(name, paths, part) for part in ("train", "t10k"))
    notes = []
    for stem, path in paths.items():
        notes += files.not_canonical(path, files.digest(path, "sha1"), _SHA1[name][stem])
    mean, std = _PIXELS[name]
    return Dataset(
        train=train,
        validation=empty_like(train),
        test=test,
        num_classes=10,
        class_names=list(_CLASSES[name]),
        mean=mean,
        std=std,
        checksums={path.name: files.digest(path) for path in paths.values()},
        notes=notes,
    )


def _names(stem):
    """File names an IDX file goes by: Gluon's first."""
    dotted = stem.replace("-idx", ".idx")
    return [f"{stem}.gz", stem, f"{dotted}.gz", dotted]


def _locate(name, root):
    stems = list(_SHA1[name])
    places = files.folders(name, root)
    for folder in places:
        paths = {stem: files.first(folder, _names(stem)) for stem in stems}
        if all(paths.values()):
            return paths
    folder = next((place for place in places if any(files.first(place, _names(stem)) for stem in stems)), places[0])
    for stem in stems:
        paths[stem] = files.first(folder, _names(stem)) or files.download(name, f"{stem}.gz", _SHA1[name][stem], folder)
    return paths


def _split(name, paths, part):
    image_path, label_path = (paths[f"{part}-{kind}-ubyte"] for kind in ("images-idx3", "labels-idx1"))
    images, labels = read(image_path, 3), read(label_path, 1)
    if images.shape[1:] != (28, 28) or not len(images):
        raise files.invalid(image_path, "hold images of 28 x 28 pixels", f"shape {images.shape}", _WAY_OUT)
    if len(labels) != len(images):
        rule = f"hold a label for each of the {len(images):,} images of {image_path.name}"
        raise files.invalid(label_path, rule, f"{len(labels):,}", _WAY_OUT)
    if labels.max() > 9:
        raise files.invalid(label_path, "hold labels from 0 to 9", f"{labels.max()}", _WAY_OUT)
    return Split(images[:, None].copy(), labels.astype(np.int32))
