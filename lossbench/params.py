"""MXNet's `.params` files without MXNet: every length is held against the file before memory is taken for it.

MXNet's own writer does not notice a full disk, and its reader believes what a file says of itself: a number of
dimensions of -1 ends the process, a large one takes all memory. Here such a file is one line. The form is what
`mx.nd.save` of MXNet 1.5 and later writes (little-endian)::

    list    uint64 0x112, uint64 0, uint64 count, the arrays, uint64 count, the names
    array   uint32 0xF993FAC9, int32 storage (0: dense), int32 ndim, int64 per dimension,
            int32 device, int32 its number, int32 type, the values
    name    uint64 length, UTF-8

Under `npx.set_np()` an array starts with 0xF993FACA.
"""

from __future__ import annotations

import math
import os
import struct

import numpy as np

from lossbench import atomic, paths
from lossbench.errors import UserError

_LIST, _ARRAY, _NUMPY_ARRAY = 0x112, 0xF993FAC9, 0xF993FACA
_TYPES = {0: "float32", 1: "float64", 2: "float16", 3: "uint8", 4: "int32", 5: "int8", 6: "int64"}
_SMALLEST_ARRAY = 33  # bytes: one dimension and one value of one byte
MOST_DIMENSIONS = 32  # of a NumPy array
MOST_ELEMENTS = 2**31 - 1  # of an MXNet array


_NUMBERS = {name: number for number, name in _TYPES.items()}


class Malformed(UserError):
    """A file that is no `.params` file, or not all of one."""


def write(path, arrays) -> None:
    """Write what `mx.nd.save` would, byte for byte, and sync it to the disk; an `OSError` names the file.

    Parameters
    ----------
    path : path
    arrays : dict of str to ndarray
    """
    with paths.naming(path), open(path, "wb") as file:
        file.write(struct.pack("<QQQ", _LIST, 0, len(arrays)))
        for array in arrays.values():
            head = (_ARRAY, 0, array.ndim, *array.shape, 1, 0, _NUMBERS[array.dtype.name])  # 1, 0: the first CPU
            file.write(struct.pack(f"<Iii{array.ndim}qiii", *head))
            file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
        file.write(struct.pack("<Q", len(arrays)))
        for name in arrays:
            file.write(struct.pack("<Q", len(name.encode())) + name.encode())
        atomic.sync(file)


def read(path) -> dict:
    """Read a file that `mx.nd.save` wrote of a dict, or `save_parameters` of a Gluon block.

    Takes no more memory than the file is long.

    Returns
    -------
    dict of str to ndarray
        Name -> array.

    Raises
    ------
    Malformed
        The file is cut off, changed, longer than it says, or of another form; the message names the byte.
    OSError
        It is no regular file or cannot be read.
    """
    with paths.open_regular(path) as file, paths.naming(path):
        return _Reader(file, path).arrays()


class _Reader:
    def __init__(self, file, path):
        self._file, self._path = file, path
        self._left = os.fstat(file.fileno()).st_size

    def arrays(self) -> dict:
        self._expect("Q", (_LIST,), "the mark of a list of arrays")
        self._expect("Q", (0,), "the reserved number")
        arrays = [self._array() for _ in range(self._count("arrays", _SMALLEST_ARRAY))]
        names = [self._name() for _ in range(self._count("names", 8))]
        if self._left:
            raise self._malformed("the file", "end after the names", f"{self._left:,} more bytes")
        if len(names) != len(arrays):
            raise self._malformed("the number of names", f"be that of the arrays, {len(arrays)}", len(names))
        if len(set(names)) < len(names):
            raise self._malformed("the names", "differ", "one twice")
        return dict(zip(names, arrays))

    def _array(self):
        self._expect("I", (_ARRAY, _NUMPY_ARRAY), "the mark of an array")
        self._expect("i", (0,), "the storage (0: dense)")
        ndim = self._number("i")
        if not 1 <= ndim <= MOST_DIMENSIONS:
            raise self._malformed("the number of dimensions", f"be in [1, {MOST_DIMENSIONS}]", ndim)
        shape = [self._number("q") for _ in range(ndim)]
        if min(shape) < 1 or math.prod(shape) > MOST_ELEMENTS:
            raise self._malformed("the shape", f"be of 1 to {MOST_ELEMENTS:,} values", shape)
        self._take(8)  # the device that the array was on
        type_number = self._number("i")
        if type_number not in _TYPES:
            raise self._malformed("the type", f"be one of {', '.join(map(str, _TYPES))}", type_number)
        dtype = np.dtype(_TYPES[type_number]).newbyteorder("<")
        self._claim(math.prod(shape) * dtype.itemsize)
        array = np.empty(shape, dtype)
        if self._file.readinto(memoryview(array).cast("B")) != array.nbytes:
            raise self._cut_off()
        return array

    def _name(self) -> str:
        raw = self._take(self._number("Q"))
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self._malformed("a name", "be UTF-8", raw[:40]) from error

    def _count(self, what, smallest) -> int:
        count = self._number("Q")
        if count * smallest > self._left:
            raise self._malformed(f"the number of {what}", f"fit into the {self._left:,} bytes that follow", count)
        return count

    def _expect(self, form, values, what):
        got = self._number(form)
        if got not in values:
            raise self._malformed(what, f"be {values[0]:#x}", f"{got:#x}")

    def _number(self, form) -> int:
        return struct.unpack("<" + form, self._take(struct.calcsize("<" + form)))[0]

    def _take(self, size) -> bytes:
        self._claim(size)
        raw = self._file.read(size)
        if len(raw) != size:
            raise self._cut_off()
        return raw

    def _claim(self, size):
        if size > self._left:
            raise self._malformed("the file", f"go on for {size:,} bytes", f"{self._left:,}")
        self._left -= size

    def _cut_off(self):
        return self._malformed("the file", "stay as it is while it is read", "a shorter one")

    def _malformed(self, what, rule, got):
        return Malformed(
            f"{self._path}: byte {self._file.tell()}: {what} must {rule}, got {got}. Take an undamaged copy."
        )
