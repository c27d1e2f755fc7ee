"""Pickles of plain values, read without running anything: CIFAR's Python version and lists of encoded images.

A pickle is a program. This reader knows a few of its instructions, those that put lists, dictionaries, tuples, bytes,
text, whole numbers, truth values and uint8 arrays together; it calls nothing that the file names.
"""

from __future__ import annotations

import pickletools

import numpy as np

from lossbench.data import files

_MARK = object()
_RECONSTRUCT, _ARRAY, _DTYPE, _ENCODE, _BUFFER = "reconstruct", "ndarray", "dtype", "encode", "frombuffer"
_NAMES = {
    **{f"numpy{core}.multiarray _reconstruct": _RECONSTRUCT for core in (".core", "._core")},
    **{f"numpy{core}.numeric _frombuffer": _BUFFER for core in (".core", "._core")},  # of protocol 5
    "numpy ndarray": _ARRAY,
    "numpy dtype": _DTYPE,
    "_codecs encode": _ENCODE,
}
_VALUES = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_OLD_TEXT = {"BINSTRING", "SHORT_BINSTRING"}  # bytes of Python 2, which pickletools decodes as Latin-1
_MAKE = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "NONE": lambda: None}
_MAKE.update({"NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "MARK": lambda: _MARK})
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Unfit(Exception):
    """The file is no pickle of plain values."""


class _Array:
    """An array on its way: numpy's pickles make an empty one first and fill it then."""

    value = None

    def fill(self, state):
        if not (isinstance(state, tuple) and len(state) == 5):
            raise _Unfit("an array of unknown form")
        _, shape, kind, by_columns, content = state
        is_shape = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
        if not is_shape or kind != _Kind() or not isinstance(content, bytes):
            raise _Unfit("an array that is not of unsigned bytes")
        size = 1
        for side in shape:
            size *= side
        if size != len(content):
            raise _Unfit(f"an array {shape} of {len(content):,} bytes")
        self.value = np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Kind:
    """numpy's type of unsigned bytes."""

    def __eq__(self, other):
        return isinstance(other, _Kind)

    __hash__ = None

    def fill(self, state):
        """Its state holds a byte order, which single bytes have none of."""


def read(path):
    """The value that a pickle holds.

    Raises
    ------
    ValueError
        If the file cannot be read, is damaged, or asks for anything else than plain values; names the file.
    """
    content = files.contents(path)
    try:
        return _finished(_run(content))
    except _Unfit as error:
        raise _invalid(path, str(error)) from error
    except Exception as error:  # pickletools raises whatever damaged bytes lead it to
        raise _invalid(path, f"a damaged one ({' '.join(str(error).split())[:100]})") from error


def _invalid(path, got):
    return files.invalid(path, "be a pickle of plain values and arrays", got, "Put the published file there.")


def _run(content):
    stack, memo = [], {}
    for instruction, argument, _ in pickletools.genops(content):
        name = instruction.name
        if name == "STOP":
            return stack.pop()
        if name in _VALUES:
            stack.append(argument)
        elif name in _OLD_TEXT:
            stack.append(argument.encode("latin-1"))
        elif name == "BYTEARRAY8":
            stack.append(bytes(argument))
        elif name in _MAKE:
            stack.append(_MAKE[name]())
        elif name in _TUPLES:
            stack[len(stack) - _TUPLES[name] :] = [tuple(stack[len(stack) - _TUPLES[name] :])]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            wanted = argument if name == "GLOBAL" else " ".join(reversed([stack.pop(), stack.pop()]))
            if wanted not in _NAMES:
                raise _Unfit(f"one that asks for {str(wanted)[:60]}")
            stack.append(_Name(_NAMES[wanted]))
        elif name in _STEPS:
            _STEPS[name](stack)
        elif name not in ("PROTO", "FRAME"):
            raise _Unfit(f"one with the instruction {name}")
    raise _Unfit("one without an end")


class _Name(str):
    """Stands for what a pickle names; text of the same letters is no such name."""

    __slots__ = ()


def _since_mark(stack):
    items = []
    while stack[-1] is not _MARK:
        items.append(stack.pop())
    stack.pop()
    return items[::-1]


def _call(stack):
    """REDUCE: only the five names that numpy's arrays need, each by its meaning."""
    arguments, name = stack.pop(), stack.pop()
    if not isinstance(name, _Name):
        raise _Unfit("one that calls what is no name")
    if name == _RECONSTRUCT:
        stack.append(_Array())
    elif name == _BUFFER and isinstance(arguments, tuple) and len(arguments) == 4:
        content, kind, shape, order = arguments
        stack.append(_Array())
        stack[-1].fill((1, shape, kind, order in ("F", b"F"), content))
    elif name == _DTYPE and arguments and arguments[0] in ("u1", b"u1"):
        stack.append(_Kind())
    elif name == _ENCODE and len(arguments) == 2 and arguments[1] in ("latin1", b"latin1"):
        stack.append(arguments[0].encode("latin-1"))
    else:
        raise _Unfit(f"one that makes a {name} of {str(arguments)[:60]}")


def _build(stack):
    state = stack.pop()
    if not isinstance(stack[-1], (_Array, _Kind)):
        raise _Unfit("one that fills what is no array")
    stack[-1].fill(state)


def _append(stack, items):
    if not isinstance(stack[-1], list):
        raise _Unfit("one that appends to what is no list")
    stack[-1].extend(items)


def _set_items(stack, items):
    if not isinstance(stack[-1], dict):
        raise _Unfit("one that fills what is no dictionary")
    stack[-1].update(zip(items[::2], items[1::2]))


_STEPS = {
    "REDUCE": _call,
    "BUILD": _build,
    "APPEND": lambda stack: _append(stack, [stack.pop()]),
    "APPENDS": lambda stack: _append(stack, _since_mark(stack)),
    "SETITEM": lambda stack: _set_items(stack, [stack.pop(), stack.pop()][::-1]),
    "SETITEMS": lambda stack: _set_items(stack, _since_mark(stack)),
    "LIST": lambda stack: stack.append(_since_mark(stack)),
    "TUPLE": lambda stack: stack.append(tuple(_since_mark(stack))),
    "DICT": lambda stack: stack.append(dict(zip(*[iter(_since_mark(stack))] * 2))),
}


def _finished(value, depth=0):
    """The value with finished arrays in place of those on their way."""
    if depth > 3:
        raise _Unfit("one nested deeper than data are")
    if isinstance(value, dict):
        return {key: _finished(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finished(inner, depth + 1) for inner in value]
    if isinstance(value, _Array):
        if value.value is None:
            raise _Unfit("an array without content")
        return value.value
    if isinstance(value, (bytes, int)) or type(value) is str or value is None:
        return value
    raise _Unfit("one that holds more than plain values")
