"""MXNet RecordIO files of images, as tools/im2rec.py writes them, decoded once by MXNet's C++ reader."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import numpy as np

from lossbench.data import files
from lossbench.data.dataset import Dataset, Split

_MAGIC = 0xCED7230A
_HEADER = struct.Struct("<IfQQ")  # flag (number of labels that follow, 0: the one here), label, two ids
_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND\xaeB`\x82"}  # JPEG and PNG: a reader may fill in what is cut off
_WAY_OUT = "Write it again with MXNet's tools/im2rec.py."


def load(config_data, seed):
    """Images of two RecordIO files: the shorter side is brought to ``image_size``, the middle square is kept."""
    root = Path(config_data.root or ".").expanduser()
    paths = {name: root / name for name in (config_data.train, config_data.test)}
    train, test = (
        read(paths[name], config_data.image_size, config_data.channels, config_data.num_classes)
        for name in (config_data.train, config_data.test)
    )
    return Dataset(
        train=train,
        test=test,
        num_classes=config_data.num_classes,
        class_names=[str(label) for label in range(config_data.num_classes)],
        checksums={name: files.sha256(path) for name, path in paths.items()},
    )


def read(path, image_size, channels, num_classes):
    """Read one file, in the order of its records.

    Parameters
    ----------
    path : path
    image_size : int
        Pixels of the square that comes out.
    channels : int
        1 (grey) or 3 (red, green, blue).
    num_classes : int

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If the file is absent, truncated or of another kind, or a record has no whole label in range or no whole image.
    """
    labels = [_label(path, *numbered, num_classes) for numbered in enumerate(_records(path))]
    if not labels:
        raise files.invalid(path, "hold at least one record", "none", _WAY_OUT)
    return Split(_decode(path, len(labels), image_size, channels), np.array(labels, np.int32))


def _records(path):
    """Each record's bytes. A record that contains the magic word is stored in parts without it."""
    try:
        with open(path, "rb") as file:
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


def _label(path, number, content, num_classes):
    """The class of a record, whose image is seen to have its end."""
    if len(content) < _HEADER.size:
        rule = f"have records of a header of {_HEADER.size} bytes and an image"
        raise files.invalid(path, rule, f"{len(content)} bytes in record {number}", _WAY_OUT)
    flag, label = _HEADER.unpack_from(content)[:2]
    image = _image(content)
    if flag == 1:
        label = struct.unpack_from("<f", content, _HEADER.size)[0]
    if flag > 1 or not (label.is_integer() and 0 <= label < num_classes):
        rule = f"have one label from 0 to {num_classes - 1} in each record (data.num_classes)"
        got = f"{flag} labels" if flag > 1 else f"{label:g}"
        raise files.invalid(path, rule, f"{got} in record {number}", _WAY_OUT)
    end = _ENDS.get(image[:2], b"")
    if end not in image[-64:]:
        raise files.invalid(path, "have whole images", f"one that is cut off in record {number}", _WAY_OUT)
    return int(label)


def _image(content):
    return content[_HEADER.size + 4 * _HEADER.unpack_from(content)[0] :]


def _decode(path, count, image_size, channels):
    """All images of a file, in order."""
    from lossbench._mxnet import mx

    images = np.empty((count, channels, image_size, image_size), np.uint8)
    try:
        # MXNet divides by zero, and the process ends, where it is to resize an image that it cannot decode.
        # Cutting one pixel out of each image decodes them all without a resize and reports such an image as an error.
        _fill(path, np.empty((count, 1, 1, 1), np.uint8))
        _fill(path, images, resize=image_size, inter_method=9)  # by area where an image shrinks, cubic where it grows
    except mx.MXNetError as error:
        number = _first_broken(path)
        got = str(error).strip().splitlines()[-1] if number is None else f"one that it does not in record {number}"
        raise files.invalid(path, "have images that OpenCV decodes", got, _WAY_OUT) from error
    return images


def _fill(path, images, **options):
    """Decode as many images as the array has room for, in its shape."""
    from lossbench._mxnet import mx

    reader = mx.io.ImageRecordUInt8Iter(
        path_imgrec=str(path),
        data_shape=images.shape[1:],
        batch_size=min(len(images), 256),
        shuffle=False,
        round_batch=True,
        verbose=False,
        **options,
    )
    done = 0
    for batch in reader:
        part = batch.data[0].asnumpy()[: len(images) - done]
        images[done : done + len(part)] = part
        done += len(part)
    if done != len(images):
        raise files.invalid(path, f"give MXNet's reader {len(images):,} images", f"{done:,}", _WAY_OUT)


def _first_broken(path):
    """The number of the first record whose image MXNet cannot decode, or None."""
    from lossbench._mxnet import mx

    for number, content in enumerate(_records(path)):
        try:
            mx.image.imdecode(_image(content)).wait_to_read()
        except (mx.MXNetError, ValueError):  # ValueError: no bytes at all
            return number
    return None
