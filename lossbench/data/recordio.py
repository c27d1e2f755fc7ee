"""The RecordIO format: the records of a file in their order, where each of them lies, and any one of them."""

from __future__ import annotations

import array
import hashlib
import io
import os
import struct
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lossbench.data import files, kept_scan
from lossbench.errors import UserError

MAGIC = 0xCED7230A
HEADER = struct.Struct("<IfQQ")  # flag (number of labels that follow, 0: the one here), label, two ids
_COLUMNS = {"begin": "q", "end": "q", "number": "q", "label": "f", "labels": "I", "id": "Q"}
WAY_OUT = "Write it again with MXNet's tools/im2rec.py."


@dataclass(frozen=True)
class Scan:
    """Where the images of a file lie, in its order. Records of insightface's id ranges are no images."""

    begin: np.ndarray
    end: np.ndarray
    """Bytes of a record in the file, (N,)."""
    number: np.ndarray
    """Of the record in the file, ranges counted, (N,)."""
    label: np.ndarray
    """The label, or the first of several, (N,) float32."""
    labels: np.ndarray
    """How many labels the record has, (N,)."""
    id: np.ndarray
    """The record's id, (N,)."""
    has_ranges: bool
    sha256: str
    """Of the whole file."""


def scan(path) -> Scan:
    """Read a file once, from its beginning to its end; a large one that was scanned before is not read again.

    Raises
    ------
    ValueError
        If the file is absent, truncated or of another kind, or a record has no whole header.
    """
    with _opened(path) as file:
        facts = os.fstat(file.fileno())
        known = kept_scan.read(path, facts)
        if known is not None:
            return Scan(**known)
        state = hashlib.sha256()
        columns, has_ranges = {name: array.array(kind) for name, kind in _COLUMNS.items()}, False
        for number, (begin, end, content) in enumerate(_walk(path, file, state)):
            flag, label, own_id, _ = header(path, number, content)
            if flag == 2 and len(content) == HEADER.size + 8 and (has_ranges or number == 0):
                has_ranges = True  # insightface: a range of ids, of all images and then of each person
                continue
            if flag and len(content) >= HEADER.size + 4 * flag:
                label = struct.unpack_from("<f", content, HEADER.size)[0]
            for column, value in zip(columns.values(), (begin, end, number, label, flag, own_id)):
                column.append(value)
    if not columns["begin"]:
        raise files.invalid(path, "hold at least one record", "none", WAY_OUT)
    found = {name: np.array(column) for name, column in columns.items()}
    found.update(has_ranges=has_ranges, sha256=state.hexdigest())
    kept_scan.write(path, facts, found)
    return Scan(**found)


def records(path):
    """Each record's bytes, in the order of the file."""
    with _opened(path) as file:
        for _, _, content in _walk(path, file):
            yield content


class Reader:
    """Any image of a scanned file; several threads may read at once.

    The file is read, not mapped: where it is cut short meanwhile, a mapping ends the process, and pages of a mapping
    count as the process's memory.
    """

    def __init__(self, path, scan):
        self._path, self._scan = Path(path), scan
        with _opened(path) as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    def image(self, row):
        """The encoded image of a row of the scan.

        Raises
        ------
        ValueError
            If it is no longer there; names it.
        """
        begin, end, number = (int(column[row]) for column in (self._scan.begin, self._scan.end, self._scan.number))
        try:
            span = os.pread(self._descriptor, end - begin, begin)
        except OSError as error:
            raise _unreadable(self._path, f"{error.strerror} in record {number}") from error
        for _, _, content in _walk(self._path, io.BytesIO(span), number=number):
            return content[HEADER.size + 4 * header(self._path, number, content)[0] :]
        raise files.invalid(self._path, "consist of whole records", f"no record {number} any more", WAY_OUT)


def header(path, number, content):
    """Flag, label and two ids of a record's bytes."""
    if len(content) < HEADER.size:
        rule = f"have records of a header of {HEADER.size} bytes and an image"
        raise files.invalid(path, rule, f"{len(content)} bytes in record {number}", WAY_OUT)
    return HEADER.unpack_from(content)


def _opened(path):
    try:
        return files.opened(path)
    except OSError as error:
        raise _unreadable(path, error.strerror) from error


def _unreadable(path, got) -> UserError:
    way_out = "Check data.root, data.train and data.test."
    return files.invalid(path, "be a readable RecordIO file", got, way_out)


def _walk(path, file, state=None, number=0):
    """Begin, end and bytes of each record. One that contains the magic word is stored in parts without it."""
    position, begin, parts = 0, 0, []
    while head := file.read(8):
        magic, length = struct.unpack("<II", head) if len(head) == 8 else (None, 0)
        if magic != MAGIC:
            rule = f"have the word {MAGIC:08x} before each record"
            raise files.invalid(path, rule, f"something else at byte {position:,}, record {number}", WAY_OUT)
        part, length = length >> 29, length & (1 << 29) - 1
        padded = (length + 3) // 4 * 4
        content = file.read(padded)
        position += 8 + len(content)
        if len(content) < padded or (part in (0, 1)) != (not parts):
            rule = "consist of whole records"
            raise files.invalid(path, rule, f"{position:,} bytes that end in record {number}", WAY_OUT)
        if state is not None:
            state.update(head)
            state.update(content)
        parts.append(content[:length])
        if part in (0, 3):
            yield begin, position, struct.pack("<I", MAGIC).join(parts)
            number, begin, parts = number + 1, position, []
    if parts:
        raise files.invalid(path, "consist of whole records", f"only a part of record {number}", WAY_OUT)
