"""MXNet RecordIO files of images, as tools/im2rec.py and insightface's tools write them, decoded by MXNet."""

from __future__ import annotations

import numpy as np

from lossbench.data import files, images, recordio
from lossbench.data.dataset import PARTS, Split, made_of, of_parts
from lossbench.data.recordio import WAY_OUT
from lossbench.data.split import with_test
from lossbench.data.streamed import Streamed
from lossbench.errors import UserError
from lossbench.paths import expanded

_NAMED = 10


def load(config_data, seed, parts=PARTS, class_names=None):
    """Images of two RecordIO files, streamed: scaled until they cover ``image_size``, the middle is kept.

    With ``test_fraction`` in place of a second file, a stratified part of the first is the test split.

    A list `train.lst` beside `train.rec`, as im2rec.py makes it, names the images, and the classes where each has a
    folder of its own.
    """
    root = expanded(config_data.root or ".")
    num_classes, splits, listed, notes = config_data.num_classes, {}, [], []
    checksums = {}
    for part in made_of(parts) if config_data.test else ["train"]:
        name = getattr(config_data, part)
        path, scan = root / name, recordio.scan(root / name)
        labels = classes_of(path, scan, num_classes)
        names = _names(path.with_suffix(".lst"), scan.id.tolist())
        if names is not None:
            listed += zip(labels.tolist(), names)
            names = np.array(names)
        pixels = _streamed(path, scan, config_data.height_and_width, config_data.channels)
        splits[part], checksums[name] = Split(pixels, labels, names), scan.sha256
        if part == "train":
            notes = _absent_classes(path, labels, num_classes)
    if config_data.test is None:
        splits = with_test(splits["train"], config_data.test_fraction)
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
    scan = recordio.scan(path)
    labels = classes_of(path, scan, num_classes)
    return Split(_streamed(path, scan, size, channels)[:], labels)


def _streamed(path, scan, size, channels):
    reader = recordio.Reader(path, scan)
    return Streamed(
        lambda row: _decode(path, int(scan.number[row]), reader.image(row), size, channels),
        (channels, *size),
        np.arange(len(scan.begin)),
    )


def classes_of(path, scan, num_classes):
    """The class of each record: its one label, or the first of several in a file of insightface's."""
    is_single = (scan.labels <= 1) | scan.has_ranges
    wrong = ~(is_single & (scan.label == np.floor(scan.label)) & (scan.label >= 0) & (scan.label < num_classes))
    if wrong.any():
        row = int(wrong.argmax())
        got = f"{scan.label[row]:g}" if is_single[row] else f"{scan.labels[row]} labels"
        rule = f"have one label from 0 to {num_classes - 1} in each record (data.num_classes)"
        raise files.invalid(path, rule, f"{got} in record {scan.number[row]}", WAY_OUT)
    return scan.label.astype(np.int32)


def _decode(path, number, content, size, channels):
    """One image (channels, height, width), scaled by area where it shrinks and by cubics where it grows."""
    from lossbench._mxnet import mx

    try:
        (wide, high), is_whole = images.size_of(content)
        images.refuse_huge(wide, high)
    except UserError as error:
        raise _unreadable(path, number, str(error)) from error
    if not is_whole:
        raise files.invalid(path, "have whole images", f"one that is cut off in record {number}", WAY_OUT)
    try:
        image = mx.image.imdecode(_array(content), flag=0 if channels == 1 else 1)
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


def _array(content):
    """Bytes as MXNet takes them: one copy, where its own way from bytes makes several."""
    from lossbench._mxnet import mx

    return mx.nd.from_numpy(np.frombuffer(bytearray(content), np.uint8))


def _unreadable(path, number, got):
    return files.invalid(path, "have images that OpenCV decodes", f"{got} in record {number}", WAY_OUT)


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
