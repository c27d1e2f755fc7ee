"""MNIST and Fashion-MNIST files: read, found, and refused when they are not what they should be."""

import gzip
import re

import numpy as np
import pytest

from lossbench import data
from lossbench.data import idx


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dotted", [True, False])
@pytest.mark.parametrize("source", ["mnist", "fashion_mnist"])
def test_reads_every_form(tmp_path, rng, small, source, compressed, dotted):
    arrays = small.write_idx(tmp_path, rng, compressed=compressed, dotted=dotted)
    dataset = data.load(small.section(source, root=str(tmp_path), validation_fraction=0), seed=0)
    assert np.array_equal(dataset.train.images[:, 0], arrays["train-images-idx3-ubyte"])
    assert np.array_equal(dataset.test.images[:, 0], arrays["t10k-images-idx3-ubyte"])
    assert np.array_equal(dataset.train.labels, arrays["train-labels-idx1-ubyte"])
    assert np.array_equal(dataset.test.labels, arrays["t10k-labels-idx1-ubyte"])
    assert dataset.train.images.shape == (40, 1, 28, 28)
    assert len(dataset.validation) == 0
    assert dataset.num_classes == 10
    assert len(dataset.checksums) == 4
    assert "other files than the published ones" in dataset.notes[0]


def test_compression_is_recognized_by_content_not_by_name(tmp_path, rng, small):
    array = rng.integers(0, 256, (3, 28, 28), dtype=np.uint8)
    (tmp_path / "plain.gz").write_bytes(small.idx_bytes(array))
    (tmp_path / "zipped").write_bytes(gzip.compress(small.idx_bytes(array)))
    assert np.array_equal(idx.read(tmp_path / "plain.gz", 3), array)
    assert np.array_equal(idx.read(tmp_path / "zipped", 3), array)


@pytest.mark.parametrize("place", ["root", "root/name", "LOSSBENCH_DATA", "LOSSBENCH_DATA/name", "MXNET_HOME"])
def test_finds_the_files(tmp_path, rng, small, monkeypatch, place):
    root = None
    if place.startswith("root"):
        root = str(tmp_path / "own")
        folder = tmp_path / "own" / ("fashion-mnist" if place.endswith("name") else "")
    elif place == "MXNET_HOME":
        folder = tmp_path / "mxnet-home" / "datasets" / "fashion-mnist"
    else:
        monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path / "shared"))
        folder = tmp_path / "shared" / ("fashion-mnist" if place.endswith("name") else "")
    small.write_idx(folder, rng)
    assert len(data.load(small.section("fashion_mnist", root=root), seed=0).test) == 20


def test_a_given_root_is_the_only_place(tmp_path, rng, small):
    small.write_idx(tmp_path / "mxnet-home" / "datasets" / "mnist", rng)
    with pytest.raises(ValueError, match="must be there or come from"):
        data.load(small.section("mnist", root=str(tmp_path / "own")), seed=0)


def test_without_network_says_which_files_go_where(tmp_path, rng, small):
    folder = tmp_path / "some"
    small.write_idx(folder, rng)
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    expected = (
        f"data: {folder}/train-labels-idx1-ubyte.gz must be there or come from "
        "http://127.0.0.1:9/gluon/dataset/mnist/train-labels-idx1-ubyte.gz, got ConnectionError"
    )
    with pytest.raises(ValueError, match=re.escape(expected)) as raised:
        data.load(small.section("mnist", root=str(folder)), seed=0)
    message = str(raised.value)
    assert f"put train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz into {folder}" in message
    assert "\n" not in message
    assert sorted(path.name for path in folder.iterdir()) == [
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
    ]


def _damage(kind, good):
    raw = gzip.decompress(good)
    return {
        "empty": b"",
        "truncated": raw[:-100],
        "longer": raw + b"\0",
        "truncated gzip": good[: len(good) // 2],
        "gzip of a truncated file": gzip.compress(raw[:-1]),
        "bit flipped in gzip": good[:200] + bytes([good[200] ^ 0x55]) + good[201:],
        "garbage after gzip": good + b"garbage",
        "only a header": raw[:7],
        "foreign": b"<!DOCTYPE html><html>404</html>",
        "huge shape": raw[:4] + b"\xff" * 12 + raw[16:],
    }[kind]


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("empty", "be an IDX file of images"),
        ("truncated", "bytes as its header"),
        ("longer", "bytes as its header"),
        ("truncated gzip", "be an intact gzip file"),
        ("gzip of a truncated file", "bytes as its header"),
        ("bit flipped in gzip", "be an intact gzip file"),
        ("garbage after gzip", "be an intact gzip file"),
        ("only a header", "be an IDX file of images"),
        ("foreign", "be an IDX file of images, whose first bytes are 00000803, got 3c21444f in 31 bytes"),
        ("huge shape", "bytes as its header"),
    ],
)
def test_damaged_files_are_named(tmp_path, rng, small, kind, rule):
    small.write_idx(tmp_path, rng)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(_damage(kind, path.read_bytes()))
    with pytest.raises(ValueError, match=re.escape(f"data: {path} must ") + ".*" + re.escape(rule)) as raised:
        data.load(small.section("mnist", root=str(tmp_path)), seed=0)
    assert str(raised.value).endswith("Delete it to have it downloaded again, or put the right file there.")


def test_labels_in_place_of_images(tmp_path, rng, small):
    small.write_idx(tmp_path, rng)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes((tmp_path / "train-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(ValueError, match="IDX file of images, whose first bytes are 00000803, got 00000801"):
        data.load(small.section("mnist", root=str(tmp_path)), seed=0)


def test_another_number_of_labels(tmp_path, rng, small):
    small.write_idx(tmp_path, rng)
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(small.idx_bytes(np.zeros(19, np.uint8))))
    with pytest.raises(ValueError, match=f"{path.name} must hold a label for each of the 20 images .* got 19"):
        data.load(small.section("mnist", root=str(tmp_path)), seed=0)


def test_label_out_of_range(tmp_path, rng, small):
    small.write_idx(tmp_path, rng)
    labels = np.zeros(40, np.uint8)
    labels[7] = 10
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(small.idx_bytes(labels)))
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte.gz must hold labels from 0 to 9, got 10 at 7"):
        data.load(small.section("mnist", root=str(tmp_path)), seed=0)


def test_images_of_another_size(tmp_path, rng, small):
    small.write_idx(tmp_path, rng)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(small.idx_bytes(np.zeros((40, 32, 32), np.uint8))))
    with pytest.raises(ValueError, match=r"28 x 28 pixels, got shape \(40, 32, 32\)"):
        data.load(small.section("mnist", root=str(tmp_path)), seed=0)


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="must be a readable file, got No such file"):
        idx.read(tmp_path / "nothing", 3)
