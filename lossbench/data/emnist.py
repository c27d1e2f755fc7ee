"""EMNIST: IDX files like MNIST's, with letters, and images that lie on their side."""

from __future__ import annotations

import hashlib
import string

import numpy as np

from lossbench.data import files, idx
from lossbench.data.dataset import PARTS, Split, made_of, of_parts

_MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"  # letters that look alike in both cases are one class
CLASSES = {
    "balanced": _MERGED,
    "bymerge": _MERGED,
    "byclass": string.digits + string.ascii_uppercase + string.ascii_lowercase,
    "letters": string.ascii_uppercase,
    "digits": string.digits,
    "mnist": string.digits,
}
_WAY_OUT = "Unpack https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip there, or name its folder in data.root."


def load(config_data, seed, parts=PARTS, class_names=None):
    """The chosen part of EMNIST, its images upright and its labels from 0 on."""
    part, classes = config_data.part, CLASSES[config_data.part]
    splits, checksums = {}, {}
    for name in made_of(parts):
        arrays = {}
        for kind, dimensions in (("images-idx3", 3), ("labels-idx1", 1)):
            path = _locate(f"emnist-{part}-{name}-{kind}-ubyte", config_data.root)
            content = files.contents(path)
            content = files.unpacked(path, content, _WAY_OUT)
            checksums[path.name.removesuffix(".gz")] = hashlib.sha256(content).hexdigest()
            arrays[kind] = idx.parsed(path, content, dimensions)
        splits[name] = _split(path, *arrays.values(), first=int(part == "letters"), count=len(classes))
    return of_parts(splits, num_classes=len(classes), class_names=list(classes), checksums=checksums)


def _split(path, images, labels, first, count):
    if images.shape[1:] != (28, 28) or len(labels) != len(images) or not len(labels):
        rule = "hold a label for each of the images of 28 x 28 pixels"
        raise files.invalid(path, rule, f"{len(labels):,} for {images.shape}", _WAY_OUT)
    if labels.min() < first or labels.max() >= first + count:
        rule = f"hold labels from {first} to {first + count - 1}"
        raise files.invalid(path, rule, f"{labels.min()} to {labels.max()}", _WAY_OUT)
    upright = np.ascontiguousarray(images.transpose(0, 2, 1))[:, None]
    return Split(upright, labels.astype(np.int32) - np.int32(first))


def _locate(stem, root):
    places = [place for folder in files.folders("emnist", root) for place in (folder, folder / "gzip")]
    for place in places:
        path = files.first(place, (f"{stem}.gz", stem))
        if path:
            return path
    raise files.invalid(places[0] / f"{stem}.gz", "be there", "none", _WAY_OUT)
