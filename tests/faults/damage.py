"""Seeded damage to files: what a torn disk, an editor or a stranger may leave in a file's place."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib

import numpy as np

from lossbench import params

NASTY = [
    *(None, True, -1, 0, 1.5, 2**31, 2**63, 10**400, -(10**30), 1e308, -1e308, float("nan"), float("inf")),
    *("", "a" * 100_000, "\x1b[31mred\u202e\n\r", "../../etc/passwd", "=1+1", "\ud800", "$\\frac{", "nan", "1e999"),
    *([], {}, [[]], [1] * 1000, {"": {}}, {"a": [None, {"b": "c"}]}),
]


def entry(path, rng):
    """Put something that is no regular file in the place of one, or nothing."""
    path.unlink()
    kind = rng.choice(["absent", "folder", "fifo", "dangling", "loop", "device", "parent"])
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind != "absent":
        path.symlink_to({"dangling": "nowhere", "loop": path.name, "device": "/dev/zero", "parent": ".."}[kind])


def changed(content: bytes, rng) -> bytes:
    """Bytes torn, turned, exchanged, doubled or made longer."""
    size = len(content)
    start, end = sorted(int(place) for place in rng.integers(size + 1, size=2))
    noise = rng.integers(256, size=int(rng.integers(1, 40)), dtype=np.uint8).tobytes()
    place = min(start, max(0, size - 1))
    flipped = bytes([content[place] ^ (1 << int(rng.integers(8)))])
    return [
        b"",
        content[:start],
        content[:place] + flipped + content[place + 1 :],
        content[:place] + flipped + content[place + 1 :],
        content[:start] + noise + content[start + len(noise) :],
        content[:start] + content[end:],
        content[end:] + content[:end],
        content[:end] + content[start:],
        content + noise,
        content[:start] + b"\0" * int(rng.integers(1, 4000)) + content[end:],
        content + b"\n" + content,
        noise,
    ][int(rng.integers(12))]


def structure(value, rng):
    """One place of nested values replaced, removed, renamed or exchanged for another one."""
    places = list(_places(value))
    holder, key = places[int(rng.integers(len(places)))]
    way = int(rng.integers(6))
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[f"{key}{rng.choice(['x', ' ', chr(0x202E), '.y'])}"] = holder.pop(key)
    elif way == 2:
        other, place = places[int(rng.integers(len(places)))]
        holder[key] = json.loads(json.dumps(other[place]))
    else:
        holder[key] = NASTY[int(rng.integers(len(NASTY)))]
    return value


def _places(value):
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)) and value[key]:
            yield from _places(value[key])


def text(content: bytes, rng) -> bytes:
    """A file of JSON or YAML, or of rows of JSON, with other bytes or other values."""
    way = int(rng.integers(10))
    if way < 3:
        return changed(content, rng)
    if way == 3:
        deep = int(rng.choice([50, 1000, 100_000]))
        return [b"[" * deep, b'{"a":' * deep + b"1" + b"}" * deep, b"- " * deep, b"1" * deep, b'"' + b"\\" * deep][
            int(rng.integers(5))
        ]
    lines = content.splitlines()
    try:
        json.loads(lines[0])
        number = int(rng.integers(len(lines)))
        lines[number] = json.dumps(structure(json.loads(lines[number]), rng)).encode()
        return b"\n".join(lines) + b"\n"
    except (ValueError, TypeError):
        from lossbench.config import yaml_file

        value = structure(yaml_file.parse(content.decode()), rng)
        return json.dumps(value, indent=2).encode()


def _named(arrays, rng):
    """Arrays of which one has another name, shape, type or content, or is missing."""
    name = str(rng.choice(sorted(arrays)))
    array = arrays.pop(name)
    if rng.integers(6) == 0:
        return arrays
    if rng.integers(6) == 0:
        return {**arrays, str(rng.choice(["x", "test_embeddings", "a/b", "epoch", "\u202e"])): array}
    flat = array.ravel()
    others = [
        flat, array[None], flat[:0], flat[:1].reshape(()) if flat.size else flat, flat[: flat.size // 2],
        np.full(array.shape, np.nan), np.full(array.shape, -(2**31)), np.zeros(array.shape, np.int8),
        np.full(array.shape, "text"), np.full((3, 4), 1e300), np.zeros((0, 2)), array.astype(str),
        np.full(array.shape, np.inf, np.float32), np.arange(max(1, flat.size), dtype=np.uint64),
    ]  # fmt: skip
    return {**arrays, name: others[int(rng.integers(len(others)))]}


def archive(content: bytes, rng) -> bytes:
    """A NumPy archive with other bytes, other arrays, or headers that say what is not so."""
    way = int(rng.integers(10))
    if way < 3:
        return changed(content, rng)
    with np.load(io.BytesIO(content)) as found:
        arrays = dict(found)
    made = io.BytesIO()
    if way < 8:
        np.savez_compressed(made, **_named(arrays, rng))
        return made.getvalue()
    name = str(rng.choice(sorted(arrays)))
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for other, array in arrays.items():
            if other != name:
                with file.open(f"{other}.npy", "w") as member:
                    np.save(member, array)
        with file.open(f"{name}.npy", "w", force_zip64=True) as member:
            if way == 8:
                shape = str(rng.choice(["(1000000000000,)", "(-5,)", "(2, 3", "(3,), (4,)", "()"]))
                kind = str(rng.choice(["<f8", "|O", "<U99999", "<f8', 'x': '", "V3"]))
                header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
                member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + b"\0" * 80)
            else:  # a few kilobytes that become gigabytes
                header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }".ljust(117) + "\n"
                member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
                for _ in range(250):
                    member.write(b"\0" * (1 << 24))
    return made.getvalue()


def parameters(path, rng) -> None:
    """A `.params` file with other bytes or other arrays."""
    if rng.integers(3):
        content = changed(path.read_bytes(), rng)
        path.unlink()
        path.write_bytes(content)
        return
    arrays = _named(params.read(path), rng)
    good = {n: a for n, a in arrays.items() if a.ndim and a.size and a.dtype.name in ("float32", "float64", "int8")}
    path.unlink()
    params.write(path, good)


def picture(content: bytes, rng) -> bytes:
    """A PNG with other bytes, a header of other sizes, or a file of another kind."""
    way = int(rng.integers(8))
    if way < 5:
        return changed(content, rng)
    if way == 5:
        return [
            b"%!PS-Adobe-3.0\n1 0 div\n",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"GIF89a",
            b"BM" + b"\0" * 60,
        ][int(rng.integers(4))]
    wide, high = [(10_000_000, 1), (50_000, 50_000), (0, 0), (2**31 - 1, 2**31 - 1)][int(rng.integers(4))]
    head = struct.pack(">IIBBBBB", wide, high, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * min((wide + 1) * high, 20_000_000))
    parts = [(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
