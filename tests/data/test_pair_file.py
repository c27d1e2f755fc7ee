"""Files of pairs in every form that insightface's tools and others write, and in forms that are refused."""

import io
import os
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from lossbench.data import pair_file


def python_2(encoded, same):
    """What Python 2's cPickle writes in protocol 2: bytes are old strings, truth values whole numbers' relatives."""
    images = b"".join(b"T" + struct.pack("<i", len(one)) + one for one in encoded)
    return b"\x80\x02](" + images + b"e](" + b"".join(b"\x88" if one else b"\x89" for one in same) + b"e\x86."


@pytest.fixture
def encoded(rng, small):
    return [small.encode(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8), "JPEG") for _ in range(6)]


SAME = [True, False, True]


@pytest.mark.parametrize("form", ["python 2", "tuple", "list", "array", "column"])
@pytest.mark.parametrize("protocol", [1, 2, 4, 5])
def test_every_form(tmp_path, encoded, form, protocol):
    as_written = {
        "array": [np.frombuffer(one, np.uint8).copy() for one in encoded],
        "column": [np.frombuffer(one, np.uint8).copy()[:, None] for one in encoded],
    }.get(form, encoded)
    content = pickle.dumps([as_written, SAME] if form == "list" else (as_written, SAME), protocol)
    (tmp_path / "a.bin").write_bytes(python_2(encoded, SAME) if form == "python 2" else content)
    split, same = pair_file.read(tmp_path / "a.bin", (3, 12, 12))
    assert same.tolist() == SAME
    want = [np.asarray(Image.open(io.BytesIO(one))).transpose(2, 0, 1) for one in encoded]
    np.testing.assert_array_equal(split.images[:], want)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile",)

    def __repr__(self):
        return "hostile"  # names the test in every process alike


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (([b"", b""], [Hostile()]), "one that asks for posix system"),
        (([b"", b""], [np.float64(1)]), r"one that asks for numpy\..*core.multiarray scalar"),
        (([b"", b""], [2]), "truth values from 2 to 2"),
        (([b"", b""], [None]), "NoneType as truth value 0"),
        (([b"", "text"], [True]), "str as image 1"),
        (([b"", [b""]], [True]), "list as image 1"),
        (([b"", b"", b""], [True]), "3 images and 1 truth values"),
        (([], []), "0 images and 0 truth values"),
        ({"images": []}, "something else"),
        (([b""], [True], [1]), "something else"),
    ],
    ids=str,
)
def test_what_is_refused(tmp_path, monkeypatch, value, got):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(pickle.dumps(value, 4))
    with pytest.raises(ValueError, match=f"data: {tmp_path}/a.bin must .*, got {got}"):
        pair_file.read(tmp_path / "a.bin", (3, 12, 12))
    assert os.listdir() == ["a.bin"]


def test_an_image_that_is_none_is_named(tmp_path, encoded):
    (tmp_path / "a.bin").write_bytes(pickle.dumps(([*encoded[:3], encoded[3][:-20]], [True, False])))
    split, _ = pair_file.read(tmp_path / "a.bin", (1, 6, 6))
    assert split.images[:3].shape == (3, 1, 6, 6)
    with pytest.raises(ValueError, match=r"a.bin must have images that Pillow decodes, got .*truncated.* as image 3"):
        split.images[3]
