"""`.params` files: those of MXNet are read as MXNet reads them, and no other one does any harm."""

import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lossbench import params
from lossbench._mxnet import mx

COUNT = struct.pack("<Q", 1)
HEAD = struct.pack("<QQ", 0x112, 0) + COUNT
NAME = COUNT + struct.pack("<Q", 1) + b"a"


def array(magic=0xF993FAC9, storage=0, ndim=1, shape=(1,), kind=0, values=b"\0\0\0\0"):
    return struct.pack(f"<Iii{len(shape)}qiii", magic, storage, ndim, *shape, 1, 0, kind) + values


@pytest.fixture
def file(tmp_path):
    """A network's parameters as Gluon writes them."""
    network = mx.gluon.nn.HybridSequential()
    network.add(mx.gluon.nn.Conv2D(3, 2, in_channels=1), mx.gluon.nn.BatchNorm(in_channels=3), mx.gluon.nn.Dense(4))
    network.initialize()
    network(mx.nd.ones((1, 1, 4, 4)))
    path = tmp_path / "network.params"
    network.save_parameters(str(path))
    return path


def test_what_mxnet_writes_is_read_as_mxnet_reads_it(file):
    expected = mx.nd.load(str(file))
    found = params.read(file)
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value.asnumpy())


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int32", "int8", "int64"])
def test_every_type_is_read(tmp_path, dtype):
    values = mx.nd.arange(6, dtype=dtype).reshape((1, 2, 3))
    mx.nd.save(str(tmp_path / "a"), {"ü": values})
    found = params.read(tmp_path / "a")["ü"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values.asnumpy())


def test_what_is_written_are_the_bytes_that_mxnet_writes(file, tmp_path):
    params.write(tmp_path / "again.params", params.read(file))
    assert (tmp_path / "again.params").read_bytes() == file.read_bytes()
    params.write(tmp_path / "none", {})
    mx.nd.save(str(tmp_path / "none by mxnet"), {})
    assert (tmp_path / "none").read_bytes() == (tmp_path / "none by mxnet").read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
def test_a_full_disk_is_named():
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        params.write("/dev/full", {"a": np.zeros(3, np.float32)})


def test_a_file_without_arrays_is_read(tmp_path):
    mx.nd.save(str(tmp_path / "a"), {})
    assert params.read(tmp_path / "a") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "byte 0: the file must go on for 8 bytes, got 0"),
        (b"\x1f\x8b" + HEAD, "the mark of a list of arrays must be 0x112, got 0x"),
        (struct.pack("<QQQ", 0x112, 0, 2**63), "the number of arrays must fit into the 0 bytes that follow, got 92"),
        (HEAD + array(ndim=-1, shape=()) + bytes(40), "the number of dimensions must be in [1, 32], got -1"),
        (HEAD + array(ndim=2**31 - 1) + bytes(40), "the number of dimensions must be in [1, 32], got 2147483647"),
        (HEAD + array(ndim=0, shape=()) + bytes(40), "the number of dimensions must be in [1, 32], got 0"),
        (HEAD + array(shape=(2**62,)), "the shape must be of 1 to 2,147,483,647 values, got [46116"),
        (HEAD + array(ndim=2, shape=(2**40, -1)), "the shape must be of 1 to"),
        (HEAD + array(shape=(2**30,)), "the file must go on for 4,294,967,296 bytes, got 4"),
        (HEAD + array(kind=99), "the type must be one of 0, 1, 2, 3, 4, 5, 6, got 99"),
        (HEAD + array(storage=1), "the storage (0: dense) must be 0x0, got 0x1"),
        (HEAD + array(magic=0xF993FAC8), "the mark of an array must be 0xf993fac9, got 0xf993fac8"),
        (HEAD + array() + struct.pack("<Q", 2**60), "the number of names must fit"),
        (HEAD + array() + struct.pack("<QQ", 1, 2**63), "the file must go on for 9,223,372,036,854,775,808 bytes"),
        (HEAD + array() + COUNT + struct.pack("<Q", 1) + b"\xff", "a name must be UTF-8"),
        (HEAD + array() + struct.pack("<Q", 0), "the number of names must be that of the arrays, 1, got 0"),
        (HEAD + array() + NAME + b"more", "the file must end after the names, got 4 more bytes"),
        (
            struct.pack("<QQQ", 0x112, 0, 2) + 2 * array() + struct.pack("<Q", 2) + 2 * NAME[8:],
            "the names must differ",
        ),
    ],
)
def test_a_crafted_file_is_one_line(tmp_path, content, message):
    path = tmp_path / "crafted.params"
    path.write_bytes(content)
    with pytest.raises(params.Malformed) as caught:
        params.read(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_crafted_files_differ_from_a_good_one_in_what_is_said(tmp_path):
    (tmp_path / "good").write_bytes(HEAD + array() + NAME)
    assert params.read(tmp_path / "good") == {"a": np.zeros(1)}


def test_hundreds_of_mutations_are_one_line_or_the_same_names_and_shapes_in_bounded_memory(file, rng):
    """Read in this very process: one that ended it, hung it or took its memory would end the test."""
    content, good = file.read_bytes(), params.read(file)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), limits[1]))
    refused = []
    try:
        for _ in range(600):
            mutated = bytearray(content)
            kind, place = rng.integers(4), rng.integers(len(content))
            if kind == 0:
                mutated[place] = rng.integers(256)
            elif kind == 1:
                mutated[place : place + 8] = rng.choice([-1, 2**31 - 1, 2**40, 2**62]).tobytes()
            elif kind == 2:
                del mutated[place : place + rng.integers(1, 20)]
            else:
                mutated[place:place] = rng.bytes(rng.integers(1, 20))
            file.write_bytes(mutated)
            try:
                found = params.read(file)
            except params.Malformed as error:
                refused.append(str(error))
            else:
                assert [a.size for a in found.values()] == [a.size for a in good.values()]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert 300 < len(refused) < 600
    assert not [message for message in refused if "\n" in message]


@pytest.mark.parametrize("kind", ["folder", "fifo", "absent"])
def test_what_is_no_file_is_refused_at_once_and_named(tmp_path, kind):
    path = tmp_path / "a.params"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(OSError, match=r"a\.params"):
        params.read(path)


def test_it_needs_no_mxnet():
    code = "import lossbench.params, sys; assert 'mxnet' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
