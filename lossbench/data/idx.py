"""MNIST and Fashion-MNIST: IDX files, gzip or not."""

from __future__ import annotations

import hashlib
import math
import struct

import numpy as np

from lossbench.data import download, files, table
from lossbench.data.dataset import PARTS, Split, made_of, of_parts

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
# Gluon's SHA-1 of the published file, compressed, and the SHA-256 of what is in it: copies differ in their compression.
_FILES = {
    "mnist": {
        "train-images-idx3-ubyte": (
            "6c95f4b05d2bf285e1bfb0e7960c31bd3b3f8a7d",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        "train-labels-idx1-ubyte": (
            "2a80914081dc54586dbdf242f9805a6b8d2a15fc",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        "t10k-images-idx3-ubyte": (
            "c3a25af1f52dad7f726cce8cacb138654b760d48",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        "t10k-labels-idx1-ubyte": (
            "763e7fa3757d93b0cdec073cef058b2004252c17",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": (
            "0cf37b0d40ed5169c6b3aba31069a9770ac9043d",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        "train-labels-idx1-ubyte": (
            "236021d52f1e40852b06a4c3008d8de8aef1e40b",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        "t10k-images-idx3-ubyte": (
            "626ed6a7c06dd17c0eec72fa3be1740f146a2863",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        "t10k-labels-idx1-ubyte": (
            "17f9ab60e7257a1620f4ad76bbbaf857c3920701",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    },
}
_BEGINNING = {"train": "train", "test": "t10k"}  # of the file names
_PIXELS = {"mnist": ((0.1307,), (0.3081,)), "fashion-mnist": ((0.2860,), (0.3530,))}
_WAY_OUT = "Delete it to have it downloaded again, or put the right file there."


def mnist(config_data, seed, parts=PARTS, class_names=None):
    """MNIST, 28 x 28 handwritten digits."""
    return _load("mnist", config_data.root, made_of(parts))


def fashion_mnist(config_data, seed, parts=PARTS, class_names=None):
    """Fashion-MNIST, 28 x 28 pictures of clothing."""
    return _load("fashion-mnist", config_data.root, made_of(parts))


def read(path, dimensions):
    """Read one IDX file of unsigned bytes.

    Parameters
    ----------
    path : path
        Gzip is recognized by its first bytes, whatever the name.
    dimensions : int
        3 for images, 1 for labels.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    ValueError
        If the file is damaged, truncated, longer than its header says, or of another kind.
    """
    return parsed(path, files.unpacked(path, files.contents(path), _WAY_OUT), dimensions)


def parsed(path, content, dimensions):
    """The array in an IDX file's content."""
    magic = 0x0800 + dimensions
    header = 4 + 4 * dimensions
    if len(content) < header or int.from_bytes(content[:4], "big") != magic:
        kind = "images" if dimensions == 3 else "labels"
        found = f"{content[:4].hex() or 'nothing'} in {len(content):,} bytes"
        raise files.invalid(path, f"be an IDX file of {kind}, whose first bytes are {magic:08x}", found, _WAY_OUT)
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    size = header + math.prod(shape)
    if len(content) != size:
        raise files.invalid(path, f"have {size:,} bytes as its header {shape} says", f"{len(content):,}", _WAY_OUT)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _load(name, root, parts):
    places = files.folders(name, root)
    has_idx = any(files.first(place, _names(stem)) for place in places for stem in _stems(name, parts))
    kept = None if has_idx else files.first_of(f"{name}.npz", places)
    tables = None if has_idx else files.first_of(f"{name}_{parts[0]}.csv", places)
    if kept is not None:
        return _of_archive(name, kept, parts)
    if tables is not None:
        return _of_tables(name, {part: tables.with_name(f"{name}_{part}.csv") for part in parts})
    return _idx(name, root, parts)


def _stems(name, parts):
    """The published files of some parts, with their checksums."""
    begin = tuple(_BEGINNING[part] for part in parts)
    return {stem: sums for stem, sums in _FILES[name].items() if stem.startswith(begin)}


def _of_archive(name, path, parts):
    """The archive that Keras makes of the published files: their arrays, held against the same checksums."""
    content = files.contents(path)
    splits = table.archive(path, content)
    if set(splits) != {"train", "test"}:
        raise files.invalid(path, "hold x_train, y_train, x_test and y_test", "others", _WAY_OUT)
    return _same_as_idx(name, splits, dict.fromkeys(parts, path))


def _of_tables(name, paths):
    """The two tables that Kaggle's copies of the published files are."""
    splits = {part: table.rows(path, files.contents(path), (28, 28), 1) for part, path in paths.items()}
    return _same_as_idx(name, splits, paths)


def _same_as_idx(name, splits, paths):
    """The dataset, its arrays held against the checksums of the IDX files that would hold them."""
    arrays, differing, path_of = {}, [], {}
    for part_name, path in paths.items():
        split, part = splits[part_name], _BEGINNING[part_name]
        for stem, array in (
            (f"{part}-images-idx3-ubyte", split.images[:, 0]),
            (f"{part}-labels-idx1-ubyte", split.labels),
        ):
            arrays[stem], path_of[stem] = array, path
            header = struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape)
            if hashlib.sha256(header + array.astype(np.uint8).tobytes()).hexdigest() != _FILES[name][stem][1]:
                differing.append(f"{stem} in {path.name}")
    checksums = {path.name: files.sha256(path) for path in paths.values()}
    return _dataset(name, path_of, arrays, checksums, differing)


def _idx(name, root, parts):
    arrays, checksums, differing = {}, {}, []
    paths = _locate(name, root, _stems(name, parts))
    for stem, path in paths.items():
        raw = files.contents(path)
        content = files.unpacked(path, raw, _WAY_OUT)
        arrays[stem] = parsed(path, content, 3 if "images" in stem else 1)
        checksums[stem] = hashlib.sha256(content).hexdigest()  # however it is compressed
        if checksums[stem] != _FILES[name][stem][1]:
            differing.append(path.name)
    return _dataset(name, paths, arrays, checksums, differing)


def _dataset(name, paths, arrays, checksums, differing):
    mean, std = _PIXELS[name]
    return of_parts(
        {
            part: _split(paths, arrays, stem)
            for part, stem in _BEGINNING.items()
            if f"{stem}-labels-idx1-ubyte" in paths
        },
        num_classes=10,
        class_names=list(_CLASSES[name]),
        mean=mean,
        std=std,
        checksums=checksums,
        notes=files.not_canonical(name, differing),
    )


def _split(paths, arrays, part):
    stems = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    (images, labels), (image_path, label_path) = ([table[stem] for stem in stems] for table in (arrays, paths))
    if images.shape[1:] != (28, 28) or not len(images):
        raise files.invalid(image_path, "hold images of 28 x 28 pixels", f"shape {images.shape}", _WAY_OUT)
    if len(labels) != len(images):
        rule = f"hold a label for each of the {len(images):,} images of {image_path.name}"
        raise files.invalid(label_path, rule, f"{len(labels):,}", _WAY_OUT)
    if labels.max() > 9:
        got = f"{labels.max()} at {labels.argmax():,}"
        raise files.invalid(label_path, "hold labels from 0 to 9", got, _WAY_OUT)
    return Split(images[:, None].copy(), labels.astype(np.int32))


def _names(stem):
    """File names an IDX file goes by: Gluon's first."""
    dotted = stem.replace("-idx", ".idx")
    return [f"{stem}.gz", stem, f"{dotted}.gz", dotted]


def _locate(name, root, stems):
    """A path for each of these files, all in one folder: the one with the most of them, downloading what it lacks."""
    tables = [
        (folder, {stem: files.first(folder, _names(stem)) for stem in stems}) for folder in files.folders(name, root)
    ]
    folder, paths = max(tables, key=lambda table: sum(path is not None for path in table[1].values()))
    missing = [stem for stem, path in paths.items() if path is None]
    wanted = ", ".join(f"{stem}.gz" for stem in missing)
    for stem in missing:
        sha1, sha256 = _FILES[name][stem]

        def is_right(path, sha256=sha256):
            content = files.unpacked(path, files.contents(path), _WAY_OUT)
            return hashlib.sha256(content).hexdigest() == sha256

        paths[stem] = download.fetch(name, f"{stem}.gz", sha1, folder, wanted, root=root, is_right=is_right)
    return paths
