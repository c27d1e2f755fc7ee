"""Streamed images against the same ones in memory; what is kept of a scan; files that change while they are read."""

import hashlib
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lossbench import data
from lossbench._mxnet import mx
from lossbench.data import kept_scan, recordio, streamed
from lossbench.data.streamed import Streamed
from lossbench.errors import RunFailed

SPLITS = ("train", "validation", "test", "holdout")


@pytest.fixture
def made(tmp_path, rng, small):
    """root with train and test, as class folders and as records; (source, options) of each."""
    for part, count in (("train", 40), ("test", 9)):
        writer = mx.recordio.MXRecordIO(str(tmp_path / f"{part}.rec"), "w")
        for number in range(count):
            content = small.encode(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), "JPEG")
            path = tmp_path / part / str(number % 4) / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, number % 4, number, 0), content))
        writer.close()
    return {
        "record": {"root": str(tmp_path), "image_size": 8, "train": "train.rec", "test": "test.rec", "num_classes": 4},
        "folder": {"root": str(tmp_path), "image_size": 8},
    }


def load(small, made, source, **options):
    return data.load(small.section(source, **made[source], **options), 3)


def test_behaves_like_the_array(rng):
    pixels = rng.integers(0, 256, (9, 3, 4, 5), dtype=np.uint8)
    images, order = Streamed(pixels.__getitem__, (3, 4, 5), np.arange(9)), np.array([7, 2, 2, 5])
    assert (images.shape, images.dtype, images.ndim, images.nbytes) == (pixels.shape, pixels.dtype, 4, pixels.nbytes)
    for key in (3, -1, slice(2, 8, 3), order, [1, 0], np.arange(0), (slice(None), 1), (order, 0, slice(1, 3)), (4, 2)):
        np.testing.assert_array_equal(images[key], pixels[key])
    np.testing.assert_array_equal(images.take(order)[1:], pixels[order][1:])
    np.testing.assert_array_equal(list(images.take(order)), pixels[order])
    both = streamed.joined([images.take(order), pixels[:3], images])
    np.testing.assert_array_equal(both[:], np.concatenate([pixels[order], pixels[:3], pixels]))
    with pytest.raises(IndexError):
        images[9]


@pytest.mark.parametrize("source", ["record", "folder"])
@pytest.mark.parametrize(
    "options",
    [{}, {"holdout_classes": [1]}, {"limit": 12}, {"class_imbalance": 4, "label_noise": 0.2}, {"channels": 1}],
    ids=str,
)
def test_streaming_changes_no_pixel_and_no_split(made, small, source, options):
    held, streaming = (load(small, made, source, streaming=choice, **options) for choice in (False, True))
    assert streaming.notes == [*held.notes, "images are streamed: decoded, all would take 0.0 GB"]
    for name in SPLITS:
        one, other = getattr(held, name), getattr(streaming, name)
        assert (one.is_streamed, other.is_streamed) == (False, True)
        np.testing.assert_array_equal(other.images[:], one.images)
        np.testing.assert_array_equal(other.labels, one.labels)
        np.testing.assert_array_equal(other.names, one.names)
    assert (streaming.mean, streaming.std, streaming.checksums) == (held.mean, held.std, held.checksums)
    one, other = (
        data.Batches(one.train, 4, seed=1, mean=one.mean, std=one.std, pad=2, flip=True, cutout=3, workers=workers)
        for one, workers in ((held, 0), (streaming, 3))
    )
    for (images, labels), (others, other_labels) in zip(one.epoch(5, 1), other.epoch(5, 1)):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(labels, other_labels)
    np.testing.assert_array_equal(data.mean_image(streaming.train), data.mean_image(held.train))


@pytest.mark.parametrize("source", ["record", "folder"])
def test_auto_goes_by_the_memory(made, small, source, monkeypatch):
    size = 49 * 3 * 8 * 8
    for memory, expected in ((4 * size - 1, True), (4 * size, False)):
        monkeypatch.setattr(streamed, "memory", lambda memory=memory: memory)
        assert load(small, made, source, validation_fraction=0).train.is_streamed == expected
        assert not load(small, made, source, streaming=False).train.is_streamed


def test_the_memory_is_the_machines_or_less():
    (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")]
    assert 0 < streamed.memory() <= 1024 * int(line.split()[1])


def test_many_streamed_images_are_measured_by_a_sample(made, small, monkeypatch):
    monkeypatch.setattr(data, "_MEASURED", 5)
    held, streaming = (load(small, made, "record", streaming=choice, validation_fraction=0) for choice in (False, True))
    assert streaming.mean != held.mean
    assert (streaming.mean, streaming.std) == data.pixel_statistics(held.train.images[[0, 9, 19, 29, 39]])


def test_a_damaged_file_of_a_folder_is_left_out_or_named_when_it_is_needed(made, small, monkeypatch):
    monkeypatch.setattr("lossbench.data.folder.MOST_DAMAGED", 0.1)
    path = Path(made["folder"]["root"], "train/2/18.jpg")
    path.write_bytes(path.read_bytes()[:-40])
    held, streaming = (load(small, made, "folder", streaming=choice) for choice in (False, True))
    assert streaming.notes[:1] == held.notes == ["train: 1 image left out (damaged): train/2/18.jpg"]
    assert len(streaming.train) == len(held.train) == 35
    path.with_name("22.jpg").unlink()
    batches = data.Batches(streaming.train, 35, seed=0, mean=[0.5] * 3, std=[0.5] * 3)
    with pytest.raises(
        RunFailed, match=r"train/2/22.jpg must be a readable file.* It was needed in epoch 2, batch 1\."
    ):
        list(batches.epoch(2))


def test_a_record_that_was_damaged_later_is_named(made, small):
    images = load(small, made, "record", streaming=True, validation_fraction=0).train.images
    path = made["record"]["root"] + "/train.rec"
    scan = recordio.scan(path)
    with open(path, "r+b") as file:
        file.seek(int(scan.begin[7]))
        file.write(bytes(8))
        file.truncate(int(scan.end[30]) - 100)
    for row, got in ((7, "something else at byte 0, record 7"), (30, "record 30"), (39, "no record 39 any more")):
        with pytest.raises(ValueError, match=f"train.rec must .* got .*{got}"):
            images[row]
    assert images[6].shape == (3, 8, 8)


def test_threads_read_what_one_reads(made, small):
    images = load(small, made, "record", streaming=True, validation_fraction=0).train.images
    rows = np.random.default_rng(0).integers(0, 40, 400)
    with ThreadPoolExecutor(8) as pool:
        np.testing.assert_array_equal(list(pool.map(images.__getitem__, rows)), images[:][rows])


def test_a_scan_is_kept_and_done_again_where_the_file_or_what_was_kept_changed(made, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = made["record"]["root"] + "/train.rec"
    first = recordio.scan(path)
    assert not (tmp_path / "cache").exists()  # too small
    monkeypatch.setattr(kept_scan, "FEWEST", 1)
    walks = []
    walk = recordio._walk
    monkeypatch.setattr(recordio, "_walk", lambda *arguments: walks.append(1) or walk(*arguments))

    def scanned():
        walks.clear()
        found = recordio.scan(path)
        for name, column in vars(first).items():
            assert np.array_equal(getattr(found, name), column), name
            assert getattr(getattr(found, name), "dtype", None) == getattr(column, "dtype", None)
        return len(walks)

    assert [scanned(), scanned()] == [1, 0]
    os.utime(path, ns=(0, 0))
    assert [scanned(), scanned()] == [1, 0]
    (kept,) = (tmp_path / "cache").rglob("*.npz")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    for damaged in (bytes(content), b"", b"PK\x03\x04", content[:-100]):
        kept.write_bytes(damaged)
        assert [scanned(), scanned()] == [1, 0]
    with np.load(kept) as stored:
        columns = {name: stored[name] for name in stored.files}
    columns["begin"] = columns["begin"] + 4
    np.savez(kept, **columns)
    assert [scanned(), scanned()] == [1, 0]
    kept.unlink()
    kept.parent.chmod(0o500)
    assert scanned() == 1
    kept.parent.chmod(0o700)


def test_a_scan_takes_the_files_own_checksum(made):
    path = Path(made["record"]["root"], "train.rec")
    content = path.read_bytes()
    scan = recordio.scan(path)
    assert scan.sha256 == hashlib.sha256(content).hexdigest()
    assert struct.unpack("<I", content[scan.begin[5] :][:4]) == (recordio.MAGIC,)
    assert scan.end[-1] == len(content)


def test_a_share_of_the_records_is_the_test_set_of_every_seed(made, small):
    options = {**made["record"], "test": None, "test_fraction": 0.2, "streaming": True}
    first, second = (data.load(small.section("record", **options), seed) for seed in (0, 1))
    assert np.bincount(first.test.labels).tolist() == [2, 2, 2, 2]
    np.testing.assert_array_equal(first.test.images[:], second.test.images[:])
    assert list(first.checksums) == ["train.rec"]
    for wrong, got in (({"test_fraction": None}, "neither"), ({"test": "test.rec"}, "both")):
        with pytest.raises(ValueError, match=f"must have either test or test_fraction, got {got}"):
            small.section("record", **{**options, **wrong})
