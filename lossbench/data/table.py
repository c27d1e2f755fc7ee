"""Tables of pixels: CSV with a label and the pixels in each row, and NumPy archives such as Keras's mnist.npz."""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from pathlib import Path

import numpy as np

from lossbench.data import files
from lossbench.data.dataset import PARTS, Split, made_of, of_parts

_LABEL = ("label", "class", "target", "y")
_ROW_NUMBER = ("", "unnamed: 0", "index", "id")
_KEYS = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels")),
    "validation": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
_WAY_OUT = "Rows are a label and pixels from 0 to 255; archives hold x_train, y_train, x_test and y_test."


def load(config_data, seed, parts=PARTS, class_names=None):
    """Two tables, or one archive that holds both parts (and perhaps a validation split)."""
    root = Path(config_data.root or ".").expanduser()
    splits, checksums = {}, {}
    for part in made_of(parts):
        name = getattr(config_data, part)
        content = files.contents(root / name)
        checksums[name] = hashlib.sha256(content).hexdigest()
        if zipfile.is_zipfile(io.BytesIO(content)):
            found = archive(root / name, content)
            if part == "train" and "validation" in found:
                splits["validation"] = found["validation"]
            if part not in found:
                rule = "hold " + " or ".join(" and ".join(keys) for keys in _KEYS[part])
                raise files.invalid(root / name, rule, "none", _WAY_OUT)
            splits[part] = found[part]
        else:
            splits[part] = rows(root / name, content, config_data.height_and_width, config_data.channels)
    num_classes = max(2, 1 + max(int(split.labels.max()) for split in splits.values()))
    names = class_names or [str(label) for label in range(num_classes)]
    return of_parts(splits, num_classes=len(names), class_names=names, checksums=checksums)


def archive(path, content):
    """The splits of a NumPy archive, by the names that Keras or MedMNIST give their arrays.

    Raises
    ------
    ValueError
        If it is damaged, larger unpacked than `files.MOST_UNPACKED`, or holds arrays of another kind.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as zipped:
            size = sum(member.file_size for member in zipped.infolist())
        if size > files.MOST_UNPACKED:
            raise files.too_large(path, _WAY_OUT)
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except files.UserError:
        raise
    except Exception as error:  # of damaged bytes, zipfile and NumPy raise whatever they stumble over
        raise files.invalid(path, "be an intact NumPy archive", " ".join(str(error).split())[:200], _WAY_OUT) from error
    splits = {}
    for part, pairs in _KEYS.items():
        for names in pairs:
            if all(name in arrays for name in names):
                splits[part] = _split(path, names, *(arrays[name] for name in names))
    return splits


def _split(path, names, images, labels):
    labels = labels.reshape(len(labels)) if labels.size == len(labels) else labels
    is_gray = images.ndim == 3
    if images.dtype != np.uint8 or not (is_gray or (images.ndim == 4 and images.shape[3] in (1, 3))):
        rule = f"hold {names[0]} as uint8 (N, height, width) or (N, height, width, 1 or 3)"
        raise files.invalid(path, rule, f"{images.dtype} {images.shape}", _WAY_OUT)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0:
        rule = f"hold {names[1]} as a class >= 0 for each of {len(images):,} images"
        raise files.invalid(path, rule, f"{labels.dtype} {labels.shape}", _WAY_OUT)
    planes = images[:, None] if is_gray else images.transpose(0, 3, 1, 2)
    return Split(np.ascontiguousarray(planes), labels.astype(np.int32))


def rows(path, content, size, channels):
    """The split of a CSV, gzip or not, UTF-8 or UTF-16, with commas, semicolons or tabs.

    The label is the column of that name, the first where columns have no names. A column of row numbers, as pandas
    writes it, is passed over.
    """
    text = files.unpacked(path, content, _WAY_OUT)
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = text.decode("utf-16", "replace").encode()
    first = text[: text.find(b"\n") + 1 or None].decode("utf-8-sig", "replace").rstrip("\r\n")
    separator = max(",;\t", key=first.count)
    heading = [cell.strip().strip('"').lower() for cell in first.split(separator)]
    has_heading = not all(cell.lstrip("-").isdigit() for cell in heading)
    at = next((heading.index(name) for name in _LABEL if name in heading), 0) if has_heading else 0
    if not text[text.find(b"\n") + 1 if has_heading else 0 :].strip():
        raise files.invalid(path, "hold rows", "none", _WAY_OUT)
    try:
        found = np.loadtxt(
            io.BytesIO(text), np.int32, delimiter=separator, skiprows=int(has_heading), ndmin=2, encoding="utf-8-sig"
        )
    except ValueError as error:
        raise files.invalid(path, "hold whole numbers between commas", str(error)[:200], _WAY_OUT) from error
    numbers = [column for column, name in enumerate(heading) if has_heading and name in _ROW_NUMBER]
    labels, pixels = found[:, at], np.delete(found, [at, *numbers], axis=1)
    height, width = size or _square(path, pixels.shape[1], channels)
    if pixels.shape[1] != channels * height * width:
        rule = f"hold {channels} x {height} x {width} pixels beside the label in each row"
        raise files.invalid(path, rule, f"{pixels.shape[1]:,}", "Set data.image_size and data.channels.")
    if pixels.min() < 0 or pixels.max() > 255:
        raise files.invalid(path, "hold pixels from 0 to 255", f"{pixels.min()} to {pixels.max()}", _WAY_OUT)
    if labels.min() < 0 or labels.max() >= 1 << 24:
        raise files.invalid(path, "hold labels from 0 on", f"{labels.min()} to {labels.max()}", _WAY_OUT)
    pixels = np.ascontiguousarray(pixels, np.uint8)
    return Split(pixels.reshape(-1, channels, height, width), labels.astype(np.int32))


def _square(path, count, channels):
    side = math.isqrt(count // channels)
    if side * side * channels != count:
        rule = f"hold the pixels of a square of {files.count(channels, 'channel')}"
        raise files.invalid(path, rule, f"{count:,} pixels", "Set data.image_size to [height, width].")
    return side, side
