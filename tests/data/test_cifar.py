"""CIFAR-10 and CIFAR-100 binary files."""

import io
import re
import tarfile

import numpy as np
import pytest

from lossbench import data
from lossbench.data import cifar


def _tar(path, rows, inner=""):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in rows.items():
            info = tarfile.TarInfo(inner + name)
            info.size = content.size
            tar.addfile(info, io.BytesIO(content.tobytes()))


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar10(tmp_path, rng, small, inner):
    rows = small.write_cifar(tmp_path / inner, rng)
    dataset = data.load(small.section("cifar10", root=str(tmp_path), validation_fraction=0), seed=0)
    train = np.concatenate([rows[f"data_batch_{number}.bin"] for number in range(1, 6)])
    assert dataset.train.images.shape == (100, 3, 32, 32)
    assert np.array_equal(dataset.train.images.reshape(100, -1), train[:, 1:])
    assert np.array_equal(dataset.train.labels, train[:, 0])
    assert np.array_equal(dataset.test.images.reshape(20, -1), rows["test_batch.bin"][:, 1:])
    assert dataset.num_classes == 10
    assert dataset.class_names[6] == "frog"
    assert "data_batch_1.bin (20 images instead of 10,000)" in dataset.notes[0]
    assert set(dataset.checksums) == set(rows)


def test_cifar100_takes_the_fine_label(tmp_path, rng, small):
    rows = small.write_cifar(tmp_path / "cifar100", rng, "cifar100", count=120)
    dataset = data.load(small.section("cifar100", root=str(tmp_path), validation_fraction=0), seed=0)
    assert np.array_equal(dataset.train.labels, rows["train.bin"][:, 1])
    assert np.array_equal(dataset.train.images.reshape(120, -1), rows["train.bin"][:, 2:])
    assert dataset.train.labels.max() == 99
    assert (dataset.num_classes, dataset.class_names[0], dataset.class_names[99]) == (100, "apple", "worm")


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin/"])
def test_unpacks_an_archive_that_is_there(tmp_path, rng, small, inner):
    rows = small.write_cifar(tmp_path / "aside", rng)
    folder = tmp_path / "there"
    folder.mkdir()
    _tar(folder / "cifar-10-binary.tar.gz", {**rows, "../evil.bin": rows["test_batch.bin"]}, inner)
    dataset = data.load(small.section("cifar10", root=str(folder)), seed=0)
    assert np.array_equal(dataset.test.images.reshape(20, -1), rows["test_batch.bin"][:, 1:])
    assert sorted(path.name for path in folder.iterdir()) == sorted([*rows, "cifar-10-binary.tar.gz"])
    assert not (tmp_path / "evil.bin").exists()


def test_damaged_archive(tmp_path, rng, small):
    rows = small.write_cifar(tmp_path / "aside", rng)
    archive = tmp_path / "there" / "cifar-10-binary.tar.gz"
    archive.parent.mkdir()
    _tar(archive, rows)
    archive.write_bytes(archive.read_bytes()[:100_000])
    with pytest.raises(ValueError, match=re.escape(f"data: {archive} must be an intact archive")):
        data.load(small.section("cifar10", root=str(archive.parent)), seed=0)


def test_archive_without_a_file(tmp_path, rng, small):
    rows = small.write_cifar(tmp_path / "aside", rng)
    del rows["test_batch.bin"]
    (tmp_path / "there").mkdir()
    _tar(tmp_path / "there" / "cifar-10-binary.tar.gz", rows)
    with pytest.raises(ValueError, match=r"must hold .*, got no test_batch.bin"):
        data.load(small.section("cifar10", root=str(tmp_path / "there")), seed=0)


@pytest.mark.parametrize("source", ["cifar10", "cifar100"])
def test_without_network_says_which_files_go_where(tmp_path, small, source):
    number = source[5:]
    expected = (
        rf"got ConnectionError.*put cifar-{number}-binary.tar.gz \(or .*\.bin\) into {tmp_path}/mxnet-home/datasets"
    )
    with pytest.raises(ValueError, match=expected) as raised:
        data.load(small.section(source), seed=0)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "got"),
    [(b"", "0 bytes"), (bytes(3073 * 2 - 1), "6,145 bytes, 3072 left over"), (b"<html>", "6 bytes, 6 left over")],
)
def test_no_whole_records(tmp_path, rng, small, content, got):
    small.write_cifar(tmp_path, rng)
    path = tmp_path / "data_batch_3.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"data: {path} must consist of whole records") + f".*{got}"):
        data.load(small.section("cifar10", root=str(tmp_path)), seed=0)


def test_cut_off_between_two_records(tmp_path, rng, small):
    rows = small.write_cifar(tmp_path, rng)
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(rows[path.name][:-1].tobytes())
    with pytest.raises(ValueError, match=r"data_batch_1.bin must hold 20 images like the other training files, got 19"):
        data.load(small.section("cifar10", root=str(tmp_path)), seed=0)


def test_a_cifar100_file_in_the_place_of_a_cifar10_file(tmp_path, rng, small):
    small.write_cifar(tmp_path, rng)
    (tmp_path / "test_batch.bin").write_bytes(small.cifar_rows(rng, 3073, (20, 100)).tobytes())  # 3074 * 3073 bytes
    with pytest.raises(ValueError, match="test_batch.bin must have labels from 0 to 9 in byte 0 of each record"):
        data.load(small.section("cifar10", root=str(tmp_path)), seed=0)


@pytest.mark.parametrize(("labels", "column", "value"), [((10,), 0, 10), ((20, 100), 0, 20), ((20, 100), 1, 100)])
def test_label_out_of_range(tmp_path, rng, small, labels, column, value):
    rows = small.cifar_rows(rng, 9, labels)
    rows[4, column] = value
    path = tmp_path / "x.bin"
    path.write_bytes(rows.tobytes())
    expected = f"labels from 0 to {labels[column] - 1} in byte {column} of each record, got {value} in record 4"
    with pytest.raises(ValueError, match=expected):
        cifar.read(path, labels)
