"""Tables of pixels: CSV and NumPy archives, EMNIST, and what would fill the memory."""

import gzip
import hashlib
import re
import zipfile

import numpy as np
import pytest

from lossbench import data
from lossbench.data import idx


@pytest.fixture
def arrays(rng):
    found = {}
    for part, count in (("train", 30), ("test", 20)):
        found[f"x_{part}"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        found[f"y_{part}"] = (np.arange(count) % 10).astype(np.uint8)
    return found


def table(small, root, name="a.csv", **options):
    options = {"train": name, "test": name, "validation_fraction": 0, **options}
    return data.load(small.section("table", root=str(root), **options), 0)


def test_mnist_from_kerass_archive(tmp_path, small, arrays, monkeypatch):
    np.savez_compressed(tmp_path / "mnist.npz", **arrays)
    dataset = data.load(small.section("mnist", root=str(tmp_path), validation_fraction=0), 0)
    assert np.array_equal(dataset.train.images[:, 0], arrays["x_train"])
    assert np.array_equal(dataset.test.labels, arrays["y_test"])
    assert "other files than the published ones: train-images-idx3-ubyte in mnist.npz" in dataset.notes[0]
    stems = {"train": "train", "t10k": "test"}
    known = {}
    for stem, (_, _) in idx._FILES["mnist"].items():
        part, kind = stem.split("-")[:2]
        array = arrays[f"{'x' if kind == 'images' else 'y'}_{stems[part]}"]
        known[stem] = ("", hashlib.sha256(small.idx_bytes(array)).hexdigest())
    monkeypatch.setitem(idx._FILES, "mnist", known)  # the same content as IDX files would have
    assert data.load(small.section("mnist", root=str(tmp_path)), 0).notes == []


def test_an_archive_as_table(tmp_path, small, arrays, rng):
    np.savez(tmp_path / "a.npz", **arrays)
    assert table(small, tmp_path, "a.npz").image_shape == (1, 28, 28)
    color = rng.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    parts = {f"{part}_{kind}": value for part in ("train", "val", "test") for kind, value in
             (("images", color), ("labels", np.arange(6)[:, None] % 3))}  # fmt: skip
    np.savez(tmp_path / "med.npz", **parts)
    found = table(small, tmp_path, "med.npz")
    assert (found.image_shape, found.num_classes, len(found.validation)) == ((3, 4, 5), 3, 6)
    assert np.array_equal(found.train.images[2], color[2].transpose(2, 0, 1))


@pytest.mark.parametrize("what", ["objects", "cut off", "float", "labels", "large", "no part", "shape"])
def test_archives_that_are_refused(tmp_path, small, arrays, what, monkeypatch):
    path = tmp_path / "a.npz"
    if what == "objects":
        arrays["x_train"] = np.array([{"a": 1}] * 30, object)
    elif what == "float":
        arrays["x_train"] = arrays["x_train"].astype(np.float32)
    elif what == "labels":
        arrays["y_train"] = arrays["y_train"][:-1]
    elif what == "no part":
        del arrays["x_train"]
    elif what == "large":
        monkeypatch.setattr("lossbench.data.files.MOST_UNPACKED", 1000)
    np.savez_compressed(path, **arrays)
    if what == "cut off":
        path.write_bytes(path.read_bytes()[:-2000] + path.read_bytes()[-1500:])
    if what == "shape":
        header = (
            b"\x93NUMPY\x01\x00v\x00"
            + b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999,)}".ljust(117)
            + b"\n"
        )
        with zipfile.ZipFile(path, "w") as zipped:
            zipped.writestr("x_train.npy", header)
    expected = {
        "objects": "be an intact NumPy archive, got Object arrays cannot be loaded",
        "float": "hold x_train as uint8",
        "labels": "hold y_train as a class >= 0 for each of 30 images",
        "large": "hold at most 1,000 bytes when it is unpacked",
        "no part": "hold x_train and y_train or train_images and train_labels, got none",
    }.get(what, "be an intact NumPy archive")
    with pytest.raises(ValueError, match=re.escape(f"data: {path} must {expected}")) as caught:
        table(small, tmp_path, "a.npz")
    assert "\n" not in str(caught.value)


def csv(path, arrays, part="train", heading=True, last=False, packed=False):
    pixels = arrays[f"x_{part}"].reshape(-1, 784)
    label = arrays[f"y_{part}"][:, None]
    rows = np.hstack([pixels, label] if last else [label, pixels]).tolist()
    names = [f"pixel{k}" for k in range(784)]
    lines = [",".join([*names, "class"] if last else ["label", *names])] if heading else []
    text = "\r\n".join([*lines, *(",".join(map(str, row)) for row in rows)]) + "\r\n"
    path.write_bytes(gzip.compress(text.encode()) if packed else b"\xef\xbb\xbf" * heading + text.encode())


@pytest.mark.parametrize("form", [{}, {"heading": False}, {"last": True}, {"packed": True}], ids=str)
def test_csv(tmp_path, small, arrays, form):
    csv(tmp_path / "a.csv", arrays, **form)
    csv(tmp_path / "b.csv", arrays, "test", **form)
    found = table(small, tmp_path, test="b.csv")
    assert np.array_equal(found.train.images[:, 0], arrays["x_train"])
    assert np.array_equal(found.test.labels, arrays["y_test"])
    wide = table(small, tmp_path, image_size=(14, 56))
    assert np.array_equal(wide.train.images.ravel(), found.train.images.ravel())


@pytest.mark.parametrize(("source", "name"), [("mnist", "mnist"), ("fashion_mnist", "fashion-mnist")])
def test_kaggles_tables_of_the_published_files(tmp_path, small, arrays, monkeypatch, source, name):
    for part in ("train", "test"):
        csv(tmp_path / f"{name}_{part}.csv", arrays, part)
    parts = {"train": "train", "t10k": "test"}
    contents = {
        stem: arrays[f"{'x' if 'images' in stem else 'y'}_{parts[stem[: stem.index('-')]]}"]
        for stem in idx._FILES[name]
    }
    known = {stem: ("", hashlib.sha256(small.idx_bytes(array)).hexdigest()) for stem, array in contents.items()}
    monkeypatch.setitem(idx._FILES, name, known)
    dataset = data.load(small.section(source, root=str(tmp_path), validation_fraction=0), 0)
    assert np.array_equal(dataset.test.images[:, 0], arrays["x_test"])
    assert np.array_equal(dataset.train.labels, arrays["y_train"])
    assert (dataset.notes, set(dataset.checksums)) == ([], {f"{name}_train.csv", f"{name}_test.csv"})
    text = (tmp_path / f"{name}_test.csv").read_bytes().replace(b"\r\n9,", b"\r\n300,")
    (tmp_path / f"{name}_test.csv").write_bytes(text)
    with pytest.raises(ValueError, match="_test.csv must hold labels from 0 to 9, got 300"):
        data.load(small.section(source, root=str(tmp_path)), 0)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "hold rows, got none"),
        ("1,2,3,4,5\n1,2,3\n", "hold whole numbers between commas"),
        ("1,2,3,4,5\n1,2,3,4,x\n", "hold whole numbers between commas"),
        ("1,2,3,4,x\n1,2,3,4,5\n", "have a column named label, class, target or y, got 1, 2, 3, 4, x. Rename the col"),
        (
            "a,b,c,d,e,f,digit\n1,2,3,4,5,6,7\n",
            "have a column named label, class, target or y, got a, b, c, ..., digit",
        ),
        (",0,1,2,3,4\n0,7,1,2,3,4\n", "have a column named label, class, target or y, got , 0, 1, ..., 4. Rename"),
        ("label,a,b,c,d\n1,2,3,4\n", "hold 5 numbers in each row, as many as its heading has names, got 4"),
        ("label,id\n1,2\n", "hold the pixels of a square of 1 channel, got 0 pixels"),
        (
            "1.0,0,0,0.25,1\n",
            "hold whole numbers, got 0.25 in row 1, column 4. Rows are a label and pixels from 0 to 255: mult",
        ),
        ("label,a,b,c,d\n1,2,3,4,5\n1.5,2,3,4,5\n", "hold whole numbers, got 1.5 in row 2, column 1"),
        ("1,2,3,4,nan\n", "hold whole numbers, got nan in row 1, column 5"),
        ("1,2,3,4,inf\n", "hold pixels from 0 to 255, got 2 to inf"),
        (
            "1,2,3,4,-5e2\n",
            "hold pixels from 0 to 255, got -500 to 4. Rows are a label and pixels from 0 to 255: multiply",
        ),
        ("0,1,2,3,256\n", "hold pixels from 0 to 255, got 1 to 256"),
        ("0,1,2,3,-1\n", "hold pixels from 0 to 255, got -1 to 3"),
        ("0,1,2,3\n", "hold the pixels of a square of 1 channel, got 3 pixels"),
        ("-1,1,2,3,4\n", "hold labels from 0 on, got -1 to -1"),
        ("0,1,2,3,99999999999999999999\n", "hold whole numbers between commas"),
    ],
)
def test_csv_that_is_refused(tmp_path, small, text, rule):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"data: {tmp_path}/a.csv must {rule}")) as caught:
        table(small, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("part", "first", "count"), [("balanced", 0, 47), ("letters", 1, 26), ("digits", 0, 10)])
def test_emnist_is_upright_and_counts_from_zero(tmp_path, small, rng, part, first, count):
    folder = tmp_path / "gzip"
    folder.mkdir()
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    for name in ("train", "test"):
        labels = np.arange(first, first + count).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            (folder / f"emnist-{part}-{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(small.idx_bytes(array)))
    found = data.load(small.section("emnist", root=str(tmp_path), part=part, validation_fraction=0), 0)
    assert np.array_equal(found.train.images[:, 0], images.transpose(0, 2, 1))
    assert found.train.labels.tolist() == list(range(count))
    assert found.class_names[:2] == (["A", "B"] if part == "letters" else ["0", "1"])
    bad = small.idx_bytes(np.full(count, 99, np.uint8))
    (folder / f"emnist-{part}-test-labels-idx1-ubyte.gz").write_bytes(bad)
    with pytest.raises(ValueError, match=f"hold labels from {first} to {first + count - 1}, got 99 to 99"):
        data.load(small.section("emnist", root=str(tmp_path), part=part), 0)


def test_emnist_says_where_it_is_to_be_had(tmp_path, small):
    with pytest.raises(ValueError, match=r"emnist-balanced-train-images-idx3-ubyte.gz must be there.*/gzip.zip"):
        data.load(small.section("emnist", root=str(tmp_path)), 0)


def test_a_gzip_file_that_would_fill_the_memory(tmp_path, small, rng, monkeypatch):
    small.write_idx(tmp_path, rng)
    monkeypatch.setattr("lossbench.data.files.MOST_UNPACKED", 100_000)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(10_000_000)))
    with pytest.raises(
        ValueError, match=re.escape(f"data: {path} must hold at most 100,000 bytes when it is unpacked")
    ):
        data.load(small.section("mnist", root=str(tmp_path)), 0)


def test_torchvisions_folders_and_files_packed_anew(tmp_path, small, rng):
    small.write_idx(tmp_path / "MNIST" / "raw", rng)
    first = data.load(small.section("mnist", root=str(tmp_path)), 0)
    for path in (tmp_path / "MNIST" / "raw").iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    again = data.load(small.section("mnist", root=str(tmp_path)), 0)
    assert np.array_equal(first.train.images, again.train.images)
    assert first.notes == again.notes


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: "\n".join(f"{k - 1 if k else ''},{line}" for k, line in enumerate(text.split("\n"))).encode(),
    ],
    ids=["semicolons", "tabs in UTF-16", "row numbers"],
)
def test_tables_as_spreadsheets_and_pandas_write_them(tmp_path, small, rng, written):
    pixels, labels = rng.integers(0, 256, (6, 4)), np.arange(6) % 2
    lines = ["label,a,b,c,d", *(",".join(map(str, [label, *row])) for label, row in zip(labels, pixels))]
    (tmp_path / "a.csv").write_bytes(written("\n".join(lines)))
    found = table(small, tmp_path).train
    assert np.array_equal(found.images.reshape(6, 4), pixels)
    assert np.array_equal(found.labels, labels)


@pytest.mark.parametrize("heading", ["", "label,a,b,c,d"])
def test_a_table_as_numpy_writes_it(tmp_path, small, rng, heading):
    pixels, labels = rng.integers(0, 256, (6, 4)), np.arange(6) % 2
    np.savetxt(tmp_path / "a.csv", np.column_stack([labels, pixels]), delimiter=",", header=heading)
    assert b"e+00," in (tmp_path / "a.csv").read_bytes()
    found = table(small, tmp_path).train
    assert np.array_equal(found.images.reshape(6, 4), pixels)
    assert np.array_equal(found.labels, labels)
    np.savetxt(tmp_path / "a.csv", np.column_stack([labels, pixels / 255]), delimiter=",", header=heading)
    with pytest.raises(
        ValueError, match=r"must hold whole numbers, got .* multiply pixels in \[0, 1\] by 255 and round"
    ):
        table(small, tmp_path)


@pytest.mark.parametrize(
    ("heading", "skipped"),
    [("0,0.1,0.2,0.3,0.4", 0), ("5,0,0.1,255,0.2", 0), ("5.0,0.0,0.0.1,0.0.2,255.0", 0), (",0,0.1,0.2,0.3,0.4", 1)],
)
def test_headings_that_pandas_made_of_a_row_of_numbers(tmp_path, small, rng, heading, skipped):
    rows = rng.integers(0, 10, (6, 5))
    written = np.column_stack([*[np.arange(6)] * skipped, rows])
    (tmp_path / "a.csv").write_text("\n".join([heading, *(",".join(map(str, row)) for row in written)]))
    found = table(small, tmp_path).train
    assert np.array_equal(found.labels, rows[:, 0])
    assert np.array_equal(found.images.reshape(6, 4), rows[:, 1:])


@pytest.mark.parametrize("first", ["5,0,0.1,0.1,0.2", "5,0,0.1,0,0.1", "5,0,0.1,0.3,12", "5,0,0.5,0.25,0.1"])
def test_a_row_of_decimals_is_no_heading(tmp_path, small, first):
    (tmp_path / "a.csv").write_text(f"{first}\n1,2,3,4,5\n")
    with pytest.raises(ValueError, match=f"must hold whole numbers, got {first.split(',')[2]} in row 1, column 3"):
        table(small, tmp_path)
