"""The reader of pickles builds plain values and calls nothing; CIFAR's Python version through it."""

import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from lossbench import data
from lossbench.data import plain_pickle


def python_2(values):
    """A dictionary as Python 2's cPickle writes it in protocol 2, texts and arrays as old strings."""

    def old(text):
        return b"T" + struct.pack("<i", len(text)) + text

    def one(value):
        if isinstance(value, bytes):
            return old(value)
        if isinstance(value, list):
            return b"](" + b"".join(map(one, value)) + b"e"
        if isinstance(value, int):
            return b"K" + bytes([value])
        shape = b"".join(b"M" + struct.pack("<H", n) for n in value.shape)
        kind = (
            b"cnumpy\ndtype\n("
            + old(b"u1")
            + b"K\x00K\x01tR(K\x03"
            + old(b"|")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + old(b"b") + b"tR"
        return made + b"(K\x01(" + shape + b"t" + kind + b"\x89" + old(value.tobytes()) + b"tb"

    return b"\x80\x02}(" + b"".join(old(key) + one(value) for key, value in values.items()) + b"u."


@pytest.fixture
def batch(rng):
    return {b"data": rng.integers(0, 256, (20, 3072), dtype=np.uint8), b"labels": [k % 10 for k in range(20)]}


@pytest.mark.parametrize("protocol", ["python 2", 1, 2, 3, 4])
def test_every_protocol(tmp_path, batch, protocol):
    content = python_2(batch) if protocol == "python 2" else pickle.dumps(batch, protocol)
    (tmp_path / "x").write_bytes(content)
    found = plain_pickle.read(tmp_path / "x")
    np.testing.assert_array_equal(found[b"data"], batch[b"data"])
    assert found[b"labels"] == batch[b"labels"]


def test_lists_of_bytes_and_truth_values(tmp_path):
    values = ([b"\xff\xd8", b"b"], [True, False])
    (tmp_path / "x").write_bytes(pickle.dumps(values))
    assert plain_pickle.read(tmp_path / "x") == [[b"\xff\xd8", b"b"], [True, False]]


class _Caller:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "value",
    [
        _Caller(os.system, ("touch /tmp/lossbench-was-here",)),
        _Caller(eval, ("1",)),
        _Caller(bytearray, (9,)),
        {1, 2},
        0.5,
    ],
    ids=["mkdir", "eval", "bytearray", "set", "float"],
)
def test_nothing_else_is_built_and_nothing_is_called(tmp_path, value, protocol, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(pickle.dumps([value], protocol))
    with pytest.raises(ValueError, match="x must be a pickle of plain values and arrays, got one (that asks for|with)"):
        plain_pickle.read(tmp_path / "x")
    assert not os.path.exists("was-here")


def outcome(path):
    """The value that a file holds, or the message that refuses it."""
    try:
        return plain_pickle.read(path), ""
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize(
    "content",
    [
        b"", b".", b"\x80\x02]", b"hello", b"\x80\x04]\x94j\xff\xff\xff\x7f.",  # a memory that was never filled
        b"T\xff\xff\xff\x7fab.", b"\x8b\xff\xff\xff\x7f.",
        b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR.", b"cnumpy.core.multiarray\n_reconstruct\n(tR.",
        b"X\x0b\x00\x00\x00reconstruct(tR.",
        b"X\x06\x00\x00\x00encode(X\x01\x00\x00\x00aX\x06\x00\x00\x00latin1tR.",
        b"}]s.", b"I" + b"9" * 6000 + b"\n.", b"]" + b"](e" * 9 + b"a" * 9 + b".",
    ],
)  # fmt: skip
def test_odd_files_are_refused_in_one_line(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    _, message = outcome(tmp_path / "x")
    assert message.startswith(f"data: {tmp_path}/x must be a pickle of plain values and arrays, got ")
    assert "\n" not in message
    assert len(message) < 400


def test_numbers_of_memories_take_no_memory(tmp_path):
    """Python's own reader makes room for 2^31 memories here."""
    (tmp_path / "x").write_bytes(b"]r\xff\xff\xff\x7f.")
    assert plain_pickle.read(tmp_path / "x") == []


def test_mutations_are_refused_or_plain(tmp_path, batch, rng):
    small = {b"data": batch[b"data"][:2, :9], b"labels": [1, 2]}
    more = {**small, b"names": [b"a", "b", None, True, (1, 2)]}
    for content in (pickle.dumps(more, 2), pickle.dumps(more, 4), python_2(small)):
        for _ in range(300):
            changed = bytearray(content)
            for at in rng.integers(0, len(changed), rng.integers(1, 4)):
                changed[at] = rng.integers(0, 256)
            (tmp_path / "x").write_bytes(changed)
            found, message = outcome(tmp_path / "x")
            assert "must be a pickle of plain values" in message or not message
            assert isinstance(found, (dict, list, bytes, str, int, type(None), np.ndarray))


def write_python_version(folder, rows, keys):
    folder.mkdir(parents=True)
    for name, row in rows.items():
        labels = {key: row[:, k].tolist() for k, key in enumerate(keys)}
        content = python_2({b"data": row[:, len(keys) :], **labels})
        (folder / name.rpartition(".")[0]).write_bytes(content)


@pytest.mark.parametrize(
    ("source", "inner", "keys"),
    [
        ("cifar10", "cifar-10-batches-py", [b"labels"]),
        ("cifar100", "cifar-100-python", [b"coarse_labels", b"fine_labels"]),
    ],
)
def test_cifars_python_version_is_the_binary_one(tmp_path, rng, small, source, inner, keys):
    rows = small.write_cifar(tmp_path / "binary", rng, source)
    write_python_version(tmp_path / "python" / inner, rows, keys)
    binary, python = (
        data.load(small.section(source, root=str(tmp_path / name), validation_fraction=0), 0)
        for name in ("binary", "python")
    )
    for part in ("train", "test"):
        assert np.array_equal(getattr(binary, part).images, getattr(python, part).images)
        assert np.array_equal(getattr(binary, part).labels, getattr(python, part).labels)
    assert binary.checksums == python.checksums


def test_labels_of_a_batch_are_checked(tmp_path, rng, small):
    rows = small.write_cifar(tmp_path / "binary", rng)
    write_python_version(tmp_path / "py", rows, [b"labels"])
    (tmp_path / "py" / "test_batch").write_bytes(pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}))
    with pytest.raises(ValueError, match="test_batch must hold a label for each image"):
        data.load(small.section("cifar10", root=str(tmp_path / "py")), 0)
    (tmp_path / "py" / "test_batch").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match="test_batch must hold data and labels"):
        data.load(small.section("cifar10", root=str(tmp_path / "py")), 0)


@pytest.mark.parametrize("kind", ["member", "header"])
def test_an_archive_that_would_fill_the_memory(tmp_path, small, monkeypatch, kind):
    """A member of zeros, or a header of them, which tarfile reads whole."""
    monkeypatch.setattr("lossbench.data.files.MOST_UNPACKED", 1 << 20)
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("test_batch.bin")
        info.size = 1 << 22
        info.type = tarfile.REGTYPE if kind == "member" else tarfile.XHDTYPE
        tar.addfile(info, io.BytesIO(bytes(1 << 22)))
    with pytest.raises(ValueError, match=r"tar.gz must be an intact archive.*, got more than 1,048,576 bytes"):
        data.load(small.section("cifar10", root=str(tmp_path)), 0)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
