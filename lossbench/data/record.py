"""MXNet RecordIO files of images, as tools/im2rec.py and insightface's tools write them, decoded once by MXNet."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import numpy as np

from lossbench.data import files, images
from lossbench.data.dataset import PARTS, Split, made_of, of_parts
from lossbench.errors import UserError

_MAGIC = 0xCED7230A
_HEADER = struct.Struct("<IfQQ")  # flag (number of labels that follow, 0: the one here), label, two ids
_WAY_OUT = "Write it again with MXNet's tools/im2rec.py."
_NAMED = 10


def load(config_data, seed, parts=PARTS, class_names=None):
    """Images of two RecordIO files: scaled until they cover ``image_size``, the middle is kept.

    A list `train.lst` beside `train.rec`, as im2rec.py makes it, names the images, and the classes where each has a
    folder of its own.
    """
    root = Path(config_data.root or ".").expanduser()
    num_classes, splits, listed, notes = config_data.num_classes, {}, [], []
    checksums = {}
    for part in made_of(parts):
        name = getattr(config_data, part)
        path = root / name
        split, ids = _read(path, config_data.height_and_width, config_data.channels, num_classes)
        names = _names(path.with_suffix(".lst"), ids)
        if names is not None:
            split = Split(split.images, split.labels, np.array(names))
            listed += zip(split.labels.tolist(), names)
        splits[part], checksums[name] = split, files.sha256(path)
        if part == "train":
            notes = _absent_classes(path, split.labels, num_classes)
    return of_parts(
        splits,
        num_classes=num_classes,
        class_names=class_names or _class_names(listed, num_classes),
        checksums=checksums,
        notes=notes,
    )


def read(path, image_size, channels, num_classes):
    """Read one file, in the order of its records.

    Parameters
    ----------
    path : path
    image_size : int or (int, int)
        Side of the square that comes out, or height and width, in pixels.
    channels : int
        1 (gray) or 3 (red, green, blue).
    num_classes : int

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If the file is absent, truncated or of another kind, or a record has no whole label in range or no whole image.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    return _read(path, size, channels, num_classes)[0]


def _read(path, size, channels, num_classes):
    """The split and the id of each record."""
    labels, ids, pixels, has_ranges = [], [], bytearray(), False
    for number, content in enumerate(_records(path)):
        flag, label, own_id, _ = _header(path, number, content)
        image = content[_HEADER.size + 4 * flag :]
        if flag == 2 and not image and (has_ranges or number == 0):
            has_ranges = True  # insightface: a range of ids, of all images and then of each person
            continue
        labels.append(_label(path, number, content, flag, label, num_classes, has_ranges))
        pixels += _decode(path, number, image, size, channels).tobytes()
        ids.append(own_id)
    if not labels:
        raise files.invalid(path, "hold at least one record", "none", _WAY_OUT)
    pixels = np.frombuffer(pixels, np.uint8).reshape(len(labels), channels, *size)
    return Split(pixels, np.array(labels, np.int32)), ids


def _records(path):
    """Each record's bytes. A record that contains the magic word is stored in parts without it."""
    try:
        with files.opened(path) as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if Path(path).stat().st_size else b""
    except OSError as error:
        rule, way_out = "be a readable RecordIO file", "Check data.root, data.train and data.test."
        raise files.invalid(path, rule, error.strerror, way_out) from error
    position, number, parts = 0, 0, []
    while position < len(content):
        magic, length = struct.unpack_from("<II", content, position) if position + 8 <= len(content) else (None, 0)
        if magic != _MAGIC:
            rule = f"have the word {_MAGIC:08x} before each record"
            raise files.invalid(path, rule, f"something else at byte {position:,}, record {number}", _WAY_OUT)
        part, length = length >> 29, length & (1 << 29) - 1
        start = position + 8
        position = start + (length + 3) // 4 * 4
        if position > len(content) or (part in (0, 1)) != (not parts):
            rule = "consist of whole records"
            raise files.invalid(path, rule, f"{len(content):,} bytes that end in record {number}", _WAY_OUT)
        parts.append(content[start : start + length])
        if part in (0, 3):
            yield struct.pack("<I", _MAGIC).join(parts)
            number, parts = number + 1, []
    if parts:
        raise files.invalid(path, "consist of whole records", f"only a part of record {number}", _WAY_OUT)


def _header(path, number, content):
    if len(content) < _HEADER.size:
        rule = f"have records of a header of {_HEADER.size} bytes and an image"
        raise files.invalid(path, rule, f"{len(content)} bytes in record {number}", _WAY_OUT)
    return _HEADER.unpack_from(content)


def _label(path, number, content, flag, label, num_classes, has_ranges):
    """The class of a record: its one label, or the first of several in a file of insightface's."""
    if flag and len(content) >= _HEADER.size + 4 * flag:
        label = struct.unpack_from("<f", content, _HEADER.size)[0]
    is_single = flag <= 1 or has_ranges
    if not (is_single and float(label).is_integer() and 0 <= label < num_classes):
        rule = f"have one label from 0 to {num_classes - 1} in each record (data.num_classes)"
        got = f"{label:g}" if is_single else f"{flag} labels"
        raise files.invalid(path, rule, f"{got} in record {number}", _WAY_OUT)
    return int(label)


def _decode(path, number, content, size, channels):
    """One image (channels, height, width), scaled by area where it shrinks and by cubics where it grows."""
    from lossbench._mxnet import mx

    try:
        (wide, high), is_whole = images.size_of(content)
        images.refuse_huge(wide, high)
    except UserError as error:
        raise _unreadable(path, number, str(error)) from error
    if not is_whole:
        raise files.invalid(path, "have whole images", f"one that is cut off in record {number}", _WAY_OUT)
    try:
        image = mx.image.imdecode(content, flag=0 if channels == 1 else 1)
        image.wait_to_read()
    except (mx.MXNetError, ValueError) as error:
        raise _unreadable(path, number, "one that it does not") from error
    high, wide = image.shape[:2]  # turned upright where a tag says so
    height, width = size
    cut = images.middle(wide, high, height, width)
    if cut is not None:
        image = image[cut[1] : cut[3], cut[0] : cut[2]]
        high, wide = image.shape[:2]
    if high * width > wide * height:
        new_wide, new_high = width, width * high // wide
    else:
        new_wide, new_high = height * wide // high, height
    if (new_wide, new_high) != (wide, high):
        shrinks, grows = new_wide < wide and new_high < high, new_wide > wide and new_high > high
        image = mx.image.imresize(image, new_wide, new_high, interp=3 if shrinks else 2 if grows else 1)
    top, left = (new_high - height) // 2, (new_wide - width) // 2
    return image.asnumpy()[top : top + height, left : left + width].transpose(2, 0, 1)


def _unreadable(path, number, got):
    return files.invalid(path, "have images that OpenCV decodes", f"{got} in record {number}", _WAY_OUT)


def _names(path, ids):
    """The image files that a list of im2rec's names, by the records' ids; None without a list of just these."""
    if not path.is_file():
        return None
    table = {}
    for number, line in enumerate(files.contents(path).decode("utf-8", "backslashreplace").splitlines(), 1):
        fields = line.split("\t")
        if line.strip() and (len(fields) < 3 or not fields[0].isdecimal()):
            rule = "hold a number, a label and a file's name, between tabs, in each line"
            raise files.invalid(path, rule, f"{line[:80]!r} in line {number}", "Make it again, or take it away.")
        if line.strip():
            table[int(fields[0])] = fields[-1]
    return [table[one] for one in ids] if set(ids) <= table.keys() else None


def _class_names(listed, num_classes):
    """The folders that the images of each class come from, where there is one for each; else numbers."""
    folder_of = {}
    for label, name in listed:
        folder_of.setdefault(label, set()).add(name.replace("\\", "/").rpartition("/")[0].rpartition("/")[2])
    names = [next(iter(folders)) for folders in folder_of.values() if len(folders) == 1]
    if "" in names or len(set(names)) < len(folder_of):
        return [str(label) for label in range(num_classes)]
    return [next(iter(folder_of.get(label, {str(label)}))) for label in range(num_classes)]


def _absent_classes(path, labels, num_classes):
    """A note on classes without a record; `ValueError` where there is nothing to tell apart."""
    absent = np.flatnonzero(np.bincount(labels, minlength=num_classes) == 0)
    if len(absent) >= num_classes - 1:
        got = f"label {labels[0]} in all {files.count(len(labels), 'record')}"
        way_out = "tools/im2rec.py --list numbers the folders only with --recursive."
        raise files.invalid(path, "hold records of at least 2 classes", got, way_out)
    if not len(absent):
        return []
    names = ", ".join(map(str, absent[:_NAMED])) + (", ..." if len(absent) > _NAMED else "")
    return [f"{path.name}: no record of {len(absent)} of {num_classes:,} classes: {names}"]
