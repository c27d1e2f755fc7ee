"""Tables of pixels: CSV with a label and the pixels in each row, and NumPy archives such as Keras's mnist.npz."""

from __future__ import annotations

import hashlib
import io
import math
import zipfile

import numpy as np

from lossbench.data import files
from lossbench.data.dataset import PARTS, Split, made_of, of_parts
from lossbench.paths import expanded

_LABEL = ("label", "class", "target", "y")
_ROW_NUMBER = ("", "unnamed: 0", "index", "id")
_KEYS = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels")),
    "validation": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
_WAY_OUT = "Rows are a label and pixels from 0 to 255; archives hold x_train, y_train, x_test and y_test."
_SCALE = "Rows are a label and pixels from 0 to 255: multiply pixels in [0, 1] by 255 and round them."
_WHOLE = b"0123456789-,;\t\r\n "  # what whole numbers are written with
_NAMED = 3  # columns
_HEAD = 1 << 22  # bytes that are looked at for the first rows


def load(config_data, seed, parts=PARTS, class_names=None):
    """Two tables, or one archive that holds both parts (and perhaps a validation split)."""
    root = expanded(config_data.root or ".")
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


def first_rows(path, channels, most=20):
    """The split of a CSV's first rows, which tell whether it is a table of square images.

    Raises
    ------
    ValueError
        As `rows`.
    """
    content = files.contents(path, _HEAD)
    if content[:2] == b"\x1f\x8b":
        content = files.unpacked(path, files.contents(path), _WAY_OUT)[:_HEAD]
    lines = _text(path, content).splitlines(keepends=True)
    if len(content) == _HEAD:
        lines.pop()  # may be cut off
    return rows(path, b"".join(lines[:most]), None, channels)


def rows(path, content, size, channels):
    """The split of a CSV, gzip or not, UTF-8 or UTF-16, with commas, semicolons or tabs.

    The label is the column of that name, the first where columns have no names. A column of row numbers, as pandas
    writes it, is passed over. Whole numbers may be written as decimals.

    Raises
    ------
    ValueError
        If columns have names and none is the label's, if a value is no whole number or out of range, or if a row is not
        as long as ``size`` and ``channels`` say.
    """
    text = _text(path, content)
    end = text.find(b"\n") + 1 or len(text)
    separator, heading = _heading(text[:end].decode("utf-8", "replace"))
    body = text[end:] if heading else text
    if not body.strip():
        raise files.invalid(path, "hold rows", "none", _WAY_OUT)
    label, numbers = _columns(path, heading) if heading else (0, [])
    found = _numbers(path, body, separator)
    if heading and found.shape[1] != len(heading):
        rule = f"hold {files.count(len(heading), 'number')} in each row, as many as its heading has names"
        raise files.invalid(path, rule, f"{found.shape[1]:,}", _WAY_OUT)
    labels, pixels = found[:, label], np.delete(found, [label, *numbers], axis=1)
    height, width = size or _square(path, pixels.shape[1], channels)
    if pixels.shape[1] != channels * height * width:
        rule = f"hold {channels} x {height} x {width} pixels beside the label in each row"
        raise files.invalid(path, rule, f"{pixels.shape[1]:,}", "Set data.image_size and data.channels.")
    if pixels.min() < 0 or pixels.max() > 255:
        raise files.invalid(path, "hold pixels from 0 to 255", f"{pixels.min():.0f} to {pixels.max():.0f}", _SCALE)
    if labels.min() < 0 or labels.max() >= 1 << 24:
        raise files.invalid(path, "hold labels from 0 on", f"{labels.min():.0f} to {labels.max():.0f}", _WAY_OUT)
    pixels = np.ascontiguousarray(pixels, np.uint8)
    return Split(pixels.reshape(-1, channels, height, width), labels.astype(np.int32))


def _text(path, content):
    """Unpacked, and UTF-8 without a mark at its beginning."""
    text = files.unpacked(path, content, _WAY_OUT)
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = text.decode("utf-16", "replace").encode()
    return text.removeprefix(b"\xef\xbb\xbf")


def _heading(first):
    """What separates cells, and the names of the columns; none where the first row is a row of numbers."""
    separator = max(",;\t", key=first.count)
    names = [cell.strip().strip('"') for cell in first.lstrip("# ").split(separator)]  # NumPy comments a heading out
    is_heading = _is_renamed(names) or not all(map(_is_number, names))
    return separator, names if is_heading else []


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_renamed(names):
    """Whether these are whole numbers whose repeats pandas has counted, as in files whose first row it took for names.

    Examples
    --------
    >>> _is_renamed(["5", "0", "0.1", "12", "0.2"]), _is_renamed(["5", "0", "0.1", "12", "0.5"])
    (True, False)
    """
    counts = {}
    for name in names:
        repeated, _, number = name.rpartition(".")
        if repeated in counts and number == str(counts[repeated]):
            counts[repeated] += 1
        elif name not in counts and _is_number(name) and float(name).is_integer():
            counts[name] = 1
        else:
            return False
    return max(counts.values(), default=1) > 1


def _columns(path, names):
    """The label's column, and those of row numbers."""
    lower = [name.lower() for name in names]
    numbers = [column for column, name in enumerate(lower) if name in _ROW_NUMBER]
    own = [column for column in range(len(names)) if column not in numbers]
    known = [lower.index(name) for name in _LABEL if name in lower]
    if known:
        return known[0], numbers
    if _is_renamed([names[column] for column in own]):
        return own[0], numbers
    listed = names if len(names) <= _NAMED + 2 else [*names[:_NAMED], "...", names[-1]]
    rule = f"have a column named {', '.join(_LABEL[:-1])} or {_LABEL[-1]}"
    way_out = "Rename the column of labels to label; if it is the first, the heading may go instead."
    raise files.invalid(path, rule, " ".join(", ".join(listed).split())[:200], way_out)


def _numbers(path, body, separator):
    """The cells of all rows: int32, or float32 where they are written as decimals, but whole in any case."""
    kind = np.float32 if body.translate(None, _WHOLE) else np.int32  # reading int32, NumPy may cut decimals off
    try:
        found = np.loadtxt(io.BytesIO(body), kind, delimiter=separator, ndmin=2, encoding="utf-8")
    except ValueError as error:
        raise files.invalid(path, "hold whole numbers between commas", str(error)[:200], _WAY_OUT) from error
    if kind is np.float32 and (broken := np.argwhere(found != np.floor(found))).size:
        row, column = broken[0]
        got = f"{found[row, column]:g} in row {row + 1:,}, column {column + 1:,}"
        raise files.invalid(path, "hold whole numbers", got, _SCALE)
    return found


def _square(path, count, channels):
    side = math.isqrt(count // channels)
    if not count or side * side * channels != count:
        rule = f"hold the pixels of a square of {files.count(channels, 'channel')}"
        raise files.invalid(path, rule, f"{count:,} pixels", "Set data.image_size to [height, width].")
    return side, side
