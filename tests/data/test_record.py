"""RecordIO files written by MXNet itself, or broken on purpose."""

import io
import os
import struct

import numpy as np
import pytest
from PIL import Image

from lossbench import data
from lossbench._mxnet import mx
from lossbench.data import record, recordio


def write(path, items):
    """Records of (label or list of labels, image bytes); MXNet's own packing of a list uses what NumPy deprecates."""
    writer = mx.recordio.MXRecordIO(str(path), "w")
    for number, (label, content) in enumerate(items):
        if isinstance(label, list):
            header = struct.pack("<IfQQ", len(label), 0, number, 0) + np.array(label, np.float32).tobytes()
            writer.write(header + content)
        else:
            writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, label, number, 0), content))
    writer.close()
    return path


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (300, 6, 6, 3), dtype=np.uint8)


@pytest.fixture
def items(pictures, small):
    return [(number % 4, small.encode(picture)) for number, picture in enumerate(pictures)]


def test_reads_back_in_file_order(tmp_path, pictures, items, small):
    write(tmp_path / "a.rec", items)
    write(tmp_path / "b.rec", items[:7])
    section = small.section(
        "record", root=str(tmp_path), train="a.rec", test="b.rec", image_size=6, num_classes=4, validation_fraction=0
    )
    dataset = data.load(section, 0)
    assert np.array_equal(dataset.train.images, pictures.transpose(0, 3, 1, 2))
    assert np.array_equal(dataset.train.labels, np.arange(300) % 4)
    assert np.array_equal(dataset.test.images, dataset.train.images[:7])
    assert set(dataset.checksums) == {"a.rec", "b.rec"}
    assert dataset.num_classes == 4


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 300])
def test_every_record_once_whatever_the_last_batch(tmp_path, pictures, items, count):
    split = record.read(write(tmp_path / "a.rec", items[:count]), 6, 3, 4)
    assert np.array_equal(split.images, pictures[:count].transpose(0, 3, 1, 2))


def test_gray(tmp_path, pictures, items):
    split = record.read(write(tmp_path / "a.rec", items[:9]), 6, 1, 4)
    assert split.images.shape == (9, 1, 6, 6)
    assert abs(split.images[:, 0] - pictures[:9] @ [0.299, 0.587, 0.114]).max() <= 1


@pytest.mark.parametrize("transposed", [False, True])
def test_keeps_the_middle_square(tmp_path, small, transposed):
    wide = np.zeros((12, 36, 3), np.uint8)
    wide[:, 12:24] = 200
    if transposed:
        wide = np.ascontiguousarray(wide.transpose(1, 0, 2))
    split = record.read(write(tmp_path / "a.rec", [(0, small.encode(wide))]), 6, 3, 4)
    assert np.all(split.images == 200)


def test_a_record_with_the_magic_word_inside(tmp_path, pictures, items, small):
    """MXNet stores it in parts; the word is where only an image's comment has it."""
    word = struct.pack("<I", recordio.MAGIC)
    jpeg = small.encode(np.full((6, 6, 3), 90, np.uint8), "JPEG")
    content = jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 14) + word * 3 + jpeg[2:]
    for pad in range(4):
        content = content[:4] + struct.pack(">H", 14 + pad) + b"x" * pad + content[6:]
        path = write(tmp_path / "a.rec", [items[0], (1, content), items[2]])
        split = record.read(path, 6, 3, 4)
        assert list(split.labels) == [0, 1, 2]
        assert np.all(abs(split.images[1].astype(int) - 90) <= 2)
        assert np.array_equal(split.images[2], pictures[2].transpose(2, 0, 1))


def test_records_are_those_that_mxnet_reads(tmp_path, rng):
    word = struct.pack("<I", recordio.MAGIC)
    path = tmp_path / "a.rec"
    writer = mx.recordio.MXRecordIO(str(path), "w")
    for count in range(40):  # the word at every place and alignment, also twice and at the ends
        parts = [rng.bytes(size) for size in rng.integers(0, 9, size=count % 4 + 1)]
        writer.write(word.join(parts))
    writer.close()
    reader = mx.recordio.MXRecordIO(str(path), "r")
    want = list(iter(reader.read, None))
    assert len(want) == 40
    assert list(recordio.records(path)) == want


@pytest.mark.parametrize("parts", [[3], [2], [1, 1, 3], [1, 0], [0, 3], [1], [1, 2]], ids=str)
def test_parts_out_of_order(tmp_path, parts):
    """0 is a whole record; 1 begins one, 2 goes on, 3 ends it."""
    path = tmp_path / "a.rec"
    path.write_bytes(b"".join(struct.pack("<II", recordio.MAGIC, part << 29 | 4) + b"abcd" for part in parts))
    with pytest.raises(ValueError, match=f"data: {path} must consist of whole records, got .* record [01]"):
        list(recordio.records(path))


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, 100, 1000])
def test_truncated(tmp_path, items, cut):
    path = write(tmp_path / "a.rec", items[:20])
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ValueError, match=rf"data: {path} must .* got .*record \d+"):
        record.read(path, 6, 3, 4)


@pytest.mark.parametrize("content", [b"<!DOCTYPE html>", bytes(4096), b"\x0a"])
def test_foreign(tmp_path, content):
    path = tmp_path / "a.rec"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"data: {path} must have the word ced7230a before each record, got something"):
        record.read(path, 6, 3, 4)


def test_empty_and_absent(tmp_path):
    path = tmp_path / "a.rec"
    with pytest.raises(ValueError, match=f"data: {path} must be a readable RecordIO file, got No such file"):
        record.read(path, 6, 3, 4)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"data: {path} must hold at least one record, got none"):
        record.read(path, 6, 3, 4)


@pytest.mark.parametrize("label", [4, -1, 0.5, float("nan"), float("inf")])
def test_label_out_of_range(tmp_path, items, label):
    path = write(tmp_path / "a.rec", [*items[:5], (label, items[5][1])])
    with pytest.raises(ValueError, match=rf"one label from 0 to 3 in each record .*, got {label:g} in record 5"):
        record.read(path, 6, 3, 4)


def test_labels_as_an_array(tmp_path, items):
    path = write(tmp_path / "a.rec", [([3.0], items[0][1])])
    assert list(record.read(path, 6, 3, 4).labels) == [3]
    path = write(tmp_path / "a.rec", [([1.0, 2.0], items[0][1])])
    with pytest.raises(ValueError, match="got 2 labels in record 0"):
        record.read(path, 6, 3, 4)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\nIEND\xaeB`\x82"])
def test_what_is_no_image_is_named(tmp_path, items, content):
    path = write(tmp_path / "a.rec", [*items[:5], (1, content), *items[5:9]])
    with pytest.raises(ValueError, match=f"data: {path} must have images that OpenCV decodes, got .* in record 5"):
        record.read(path, 6, 3, 4)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_image_that_is_cut_off_is_named(tmp_path, items, small, rng, form):
    whole = small.encode(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), form)
    path = write(tmp_path / "a.rec", [*items[:5], (1, whole[:-300])])
    with pytest.raises(ValueError, match="must have whole images, got one that is cut off in record 5"):
        record.read(path, 6, 3, 4)


def test_a_record_without_a_header(tmp_path, items):
    path = tmp_path / "a.rec"
    writer = mx.recordio.MXRecordIO(str(path), "w")
    writer.write(b"short")
    writer.close()
    with pytest.raises(ValueError, match="header of 24 bytes and an image, got 5 bytes in record 0"):
        record.read(path, 6, 3, 4)


def insightface(path, rng, small, persons=3, images=4, label=lambda person, number: float(person)):
    """A file as insightface's builder writes it: a range of ids first, a range for each person last."""
    body, number, ranges = [], 1, []
    for person in range(persons):
        first = number
        for _ in range(images):
            body.append(
                (label(person, number), small.encode(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8), "JPEG"))
            )
            number += 1
        ranges.append([float(first), float(number)])
    return write(path, [([float(number), float(number + persons)], b""), *body, *((pair, b"") for pair in ranges)])


def test_insightfaces_ranges_are_no_images(tmp_path, rng, small):
    split = record.read(insightface(tmp_path / "a.rec", rng, small), 12, 3, 3)
    assert list(split.labels) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    two = record.read(insightface(tmp_path / "b.rec", rng, small, label=lambda p, n: [float(p), float(n)]), 12, 3, 3)
    assert list(two.labels) == list(split.labels)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("trailer", [bytes(200), b"SEFT" + b"x" * 300, b"\0\0\0\x18ftypmp42" + b"m" * 2000])
def test_bytes_behind_the_image(tmp_path, small, rng, form, trailer):
    whole = small.encode(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8), form)
    plain, longer = (record.read(write(tmp_path / "a.rec", [(0, c)]), 16, 3, 2) for c in (whole, whole + trailer))
    assert np.array_equal(plain.images, longer.images)


@pytest.mark.parametrize("progressive", [False, True])
def test_the_end_of_a_thumbnail_is_not_the_images_end(tmp_path, rng, progressive):
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    small_one, whole = io.BytesIO(), io.BytesIO()
    Image.fromarray(noise[:16, :16]).save(small_one, "JPEG")
    exif = b"Exif\0\0" + small_one.getvalue()
    Image.fromarray(noise).save(whole, "JPEG", exif=exif, progressive=progressive)
    content = whole.getvalue()
    assert len(record.read(write(tmp_path / "a.rec", [(0, content)]), 16, 3, 2)) == 1
    for cut in (300, 1000):
        path = write(tmp_path / "a.rec", [(0, content[:-cut])])
        with pytest.raises(ValueError, match="one that is cut off in record 0"):
            record.read(path, 16, 3, 2)


def test_one_label_for_all_is_refused_and_absent_classes_are_noted(tmp_path, items, small):
    options = {"root": str(tmp_path), "image_size": 6, "train": "a.rec", "test": "a.rec", "validation_fraction": 0}
    write(tmp_path / "a.rec", [(0, content) for _, content in items[:9]])
    with pytest.raises(ValueError, match="at least 2 classes, got label 0 in all 9 records. .* only with --recursive"):
        data.load(small.section("record", num_classes=4, **options), 0)
    write(tmp_path / "a.rec", items[:9])
    assert data.load(small.section("record", num_classes=4, **options), 0).notes == []
    notes = data.load(small.section("record", num_classes=6, **options), 0).notes
    assert notes == ["a.rec: no record of 2 of 6 classes: 4, 5"]


def test_the_list_beside_a_file_names_images_and_classes(tmp_path, items, small):
    options = {"root": str(tmp_path), "image_size": 6, "train": "a.rec", "test": "b.rec", "validation_fraction": 0}
    for name in ("a", "b"):
        write(tmp_path / f"{name}.rec", items[:8])
        lines = [f"{k}\t{k % 4}.0\tclass {'dcba'[k % 4]}/{k} x.png\n" for k in reversed(range(8))]
        (tmp_path / f"{name}.lst").write_text("".join(lines))
    found = data.load(small.section("record", num_classes=4, **options), 0)
    assert found.class_names == ["class d", "class c", "class b", "class a"]
    assert found.train.names[5] == "class c/5 x.png"
    (tmp_path / "a.lst").write_text("0\t0.0\n")
    with pytest.raises(ValueError, match="a.lst must hold a number, a label and a file's name.*in line 1"):
        data.load(small.section("record", num_classes=4, **options), 0)


def test_height_and_width(tmp_path, small):
    wide = np.zeros((8, 32, 3), np.uint8)
    wide[:, 8:24] = 200
    for pixels in (wide, np.ascontiguousarray(wide[:, 8:24])):
        split = record.read(write(tmp_path / "a.rec", [(0, small.encode(pixels))]), (4, 8), 3, 2)
        assert split.images.shape == (1, 3, 4, 8)
        assert np.all(split.images == 200)


@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (3, 1_000_000)])
def test_extreme_shapes_are_cut_before_they_are_enlarged(tmp_path, small, shape):
    content = small.encode(np.full((*shape, 3), 90, np.uint8))
    assert np.all(record.read(write(tmp_path / "a.rec", [(0, content)]), 64, 3, 2).images == 90)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP"])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, small, form):
    content = bytearray(small.encode(np.zeros((8, 8, 3), np.uint8), form))
    if form == "PNG":
        content[16:24] = struct.pack(">II", 60_000, 60_000)
    elif form == "JPEG":
        at = content.index(b"\xff\xc0")
        content[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    else:
        content[18:26] = struct.pack("<ii", 60_000, 60_000)
    path = write(tmp_path / "a.rec", [(0, bytes(content))])
    with pytest.raises(ValueError, match="a.rec must have images that OpenCV decodes, got .*pixels.* in record 0"):
        record.read(path, 8, 3, 2)


@pytest.mark.parametrize("flag", [1, 2, 2**31, 2**32 - 1])
def test_24_bytes_that_claim_labels(tmp_path, items, flag):
    path = tmp_path / "a.rec"
    writer = mx.recordio.MXRecordIO(str(path), "w")
    writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, 0, 0, 0), items[0][1]))
    writer.write(struct.pack("<IfQQ", flag, 0, 0, 0))
    writer.close()
    with pytest.raises(ValueError, match=r"a.rec must have (one label|images).* record 1"):
        record.read(path, 6, 3, 4)


def test_a_fifo_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.rec")
    with pytest.raises(ValueError, match="a.rec must be a readable RecordIO file, got Is a FIFO"):
        record.read(tmp_path / "a.rec", 6, 3, 4)
