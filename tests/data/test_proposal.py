"""`lossbench new-config` looks at data of every kind and writes a config that loads them."""

import contextlib
import gzip
import io

import numpy as np
import pytest

from lossbench import cli, config, data
from lossbench._mxnet import mx


def new_config(*arguments, status=0):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert cli.main(["new-config", *map(str, arguments)]) == status, err.getvalue()
    return out.getvalue() + err.getvalue()


def loaded(path):
    settings = config.load(path)
    return settings, data.load(settings.data, 0)


def images(folder, small, rng, count=12, size=(20, 30), color=True):
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (*size, 3) if color else size, dtype=np.uint8)
        (folder / f"{number}.png").write_bytes(small.encode(pixels))


def test_the_config_may_lie_in_a_folder_that_is_not_there_yet(tmp_path, small, rng, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        images(tmp_path / "photos" / name, small, rng)
    assert "new/configs/a.yaml is written." in new_config("--data", "photos", "--out", "new/configs/a.yaml")
    config.load("new/configs/a.yaml")
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        new_config("--data", "photos", "--out", "file/a.yaml")


def test_a_name_that_no_run_can_have_leaves_no_config_and_a_space_is_quoted(tmp_path, small, rng, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        images(tmp_path / "photos" / name, small, rng)
    said = new_config("--data", "photos", "--out", "my photos.yaml", status=2)
    assert "config my photos.yaml: name: must be letters, digits" in said
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    said = new_config("--data", "photos", "--out", "my configs/photos.yaml")
    assert said.endswith("lossbench train --config 'my configs/photos.yaml' --quick\n")


def test_folders_of_classes_alone(tmp_path, small, rng, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "my photos: 1" / "$ cat", small, rng)
    images(tmp_path / "my photos: 1" / "dog\x07", small, rng, count=8)
    said = new_config("--data", "my photos: 1")
    assert "20 images of 2 classes, 8 (dog\\x07) to 12 ($ cat); all 30 x 20 pixels" in said
    assert "no test folder: a fifth of the images is the test set" in said
    assert "lossbench train --config my_photos_1.yaml --quick" in said
    settings, found = loaded("my_photos_1.yaml")
    assert (settings.data.image_size, settings.data.batch_size, settings.backbone.name) == ((20, 30), 4, "resnet20")
    assert (len(found.test), found.class_names) == (4, ["$ cat", "dog\x07"])
    assert "must be new" in new_config("--data", "my photos: 1", status=2)


def test_folders_with_parts_and_images_of_many_sizes(tmp_path, small, rng):
    for part in ("train", "val", "test"):
        images(tmp_path / "set" / part / "a", small, rng, size=(70, 90), color=False)
        images(tmp_path / "set" / part / "b", small, rng, size=(200, 50), color=False)
    (tmp_path / "set/train/a/x.heic").write_bytes(b"\0\0\0\x18ftypheic")
    said = new_config("--data", tmp_path / "set", "--out", tmp_path / "x.yaml")
    assert "50 x 200 to 90 x 70 pixels" not in said  # smallest and largest of each side
    assert "50 x 70 to 90 x 200 pixels" in said
    assert "a: 1 image left out (HEIC): train/a/x.heic" in said
    settings, found = loaded(tmp_path / "x.yaml")
    assert (settings.data.image_size, settings.data.channels) == (64, 1)
    assert (len(found.train), len(found.validation), len(found.test)) == (24, 24, 24)


def test_records(tmp_path, small, rng):
    folder = tmp_path / "records"
    folder.mkdir()
    for name in ("train", "val"):
        writer = mx.recordio.MXRecordIO(str(folder / f"{name}.rec"), "w")
        for number in range(90):
            picture = small.encode(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8), "JPEG")
            writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, number % 3, number, 0), picture))
        writer.close()
    assert "train.rec with 90 images of 3 classes, all 40 x 40 pixels" in new_config(
        "--data", folder, "--out", tmp_path / "x.yaml"
    )
    settings, found = loaded(tmp_path / "x.yaml")
    assert (settings.data.test, settings.data.num_classes, settings.data.image_size) == ("val.rec", 3, 40)
    assert len(found.test) == 90
    (folder / "val.rec").unlink()  # as insightface's folders are
    said = new_config("--data", folder, "--out", tmp_path / "alone.yaml")
    assert "no other .rec file: a fifth of the images is the test set" in said
    settings, found = loaded(tmp_path / "alone.yaml")
    assert settings.data.test is None
    assert (len(found.train) + len(found.validation), len(found.test)) == (72, 18)


def test_idx_cifar_and_tables(tmp_path, small, rng):
    small.write_idx(tmp_path / "idx", rng)
    assert "IDX files of unknown origin, read as MNIST's" in new_config(
        "--data", tmp_path / "idx", "--out", tmp_path / "1.yaml"
    )
    assert loaded(tmp_path / "1.yaml")[0].backbone.name == "lenet"
    small.write_cifar(tmp_path / "cifar", rng)
    new_config("--data", tmp_path / "cifar", "--out", tmp_path / "2.yaml")
    assert len(loaded(tmp_path / "2.yaml")[1].test) == 20
    (tmp_path / "csv").mkdir()
    rows = "".join(f"{number % 3},{number},2,3,4\n" for number in range(9))
    for name in ("x_train.csv", "x_test.csv"):
        (tmp_path / "csv" / name).write_text(rows)
    new_config("--data", tmp_path / "csv", "--out", tmp_path / "3.yaml")
    assert loaded(tmp_path / "3.yaml")[1].image_shape == (1, 2, 2)


ROWS = "".join(f"{number % 3},{number},2,3,4\n" for number in range(9))


@pytest.mark.parametrize(
    "texts",
    [
        {"metadata.csv": "file,label\n0.png,1\n"},
        {"counts.csv": "label,count\n0,12\n", "counts_val.csv": "label,count\n0,12\n"},
        {"train.csv": ROWS},
        {},
    ],
    ids=lambda texts: ", ".join(texts) or "archive",
)
def test_files_beside_image_folders_are_no_tables(tmp_path, small, rng, texts):
    root = tmp_path / "photos"
    for part in ("train", "val"):
        for name in "ab":
            images(root / part / name, small, rng)
    for name, text in texts.items():
        (root / name).write_text(text)
    np.savez(root / "embeddings.npz", embedding=np.zeros((3, 4)))
    assert "24 images of 2 classes" in new_config("--data", root, "--out", tmp_path / "x.yaml")
    settings, found = loaded(tmp_path / "x.yaml")
    assert (settings.data.source, len(found.train) + len(found.validation)) == ("folder", 24)


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        (["train.csv", "val.csv"], "train.csv", "val.csv"),
        (["extra.csv", "train.csv", "val.csv"], "train.csv", "val.csv"),
        (["train.csv", "val.csv", "test.csv"], "train.csv", "test.csv"),
        (["Test.csv", "Train.csv"], "Train.csv", "Test.csv"),
        (["a_test.csv", "digits.csv"], "digits.csv", "a_test.csv"),
        (["2023.csv", "2024.csv"], "2023.csv", "2024.csv"),
    ],
)
def test_which_table_is_tested_on(tmp_path, names, train, test):
    (tmp_path / "csv").mkdir()
    for name in names:
        (tmp_path / "csv" / name).write_text(ROWS)
    (tmp_path / "csv" / "submission.csv").write_text("ImageId,Label\n1,0\n2,0\n")
    (tmp_path / "csv" / "plots").mkdir()
    said = new_config("--data", tmp_path / "csv", "--out", tmp_path / "x.yaml")
    assert f"table {train} and, for the test, {test}: 2 x 2 pixels\n" in said
    settings = loaded(tmp_path / "x.yaml")[0].data
    assert (settings.train, settings.test) == (train, test)


def test_tables_of_color_long_ones_and_archives(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("lossbench.data.table._HEAD", 40)  # cut off within a row
    (tmp_path / "csv").mkdir()
    for name, packed in (
        ("train.csv.gz", gzip.compress),
        ("test.csv", lambda content: content.decode().encode("utf-16")),
    ):
        rows = "".join(f"{k},1,2,3,4,5,6,7,8,9,10,11,12\n" for k in range(9))
        (tmp_path / "csv" / name).write_bytes(packed(rows.encode()))
    said = new_config("--data", tmp_path / "csv", "--out", tmp_path / "1.yaml", status=2)
    assert "must hold rows, got none" in said  # of UTF-16, 40 bytes are not even one
    monkeypatch.setattr("lossbench.data.table._HEAD", 100)
    assert "2 x 2 pixels, color" in new_config("--data", tmp_path / "csv", "--out", tmp_path / "1.yaml")
    assert loaded(tmp_path / "1.yaml")[1].image_shape == (3, 2, 2)
    pictures, labels = rng.integers(0, 256, (9, 6, 8), dtype=np.uint8), np.arange(9) % 3
    (tmp_path / "npz").mkdir()
    np.savez(tmp_path / "npz/a.npz", x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    assert "table a.npz: 8 x 6 pixels" in new_config("--data", tmp_path / "npz", "--out", tmp_path / "2.yaml")
    assert loaded(tmp_path / "2.yaml")[1].image_shape == (1, 6, 8)


@pytest.mark.parametrize(
    ("texts", "rule"),
    [
        (
            {"train.csv": ROWS},
            "hold a table to test on beside train.csv, with its 2 x 2 pixels, got none. Move a share",
        ),
        ({"train.csv": ROWS, "train_small.csv": ROWS}, "hold a table to test on beside train.csv"),
        ({"train.csv": ROWS, "test.csv": "0,1,2,3,4,5,6,7,8,9\n"}, "hold a table to test on beside train.csv"),
        (
            {"train.csv": ROWS, "test.csv": "a,b,c,d\n1,2,3,4\n"},
            "got none (data: {root}/test.csv must have a column named",
        ),
        ({"train.csv": "0,0.5,0.5,0.5,0.5\n", "x.csv": "a\n"}, "hold whole numbers, got 0.5 in row 1, column 2"),
    ],
)
def test_tables_that_no_config_is_written_for(tmp_path, texts, rule):
    root = tmp_path / "csv"
    root.mkdir()
    for name, text in texts.items():
        (root / name).write_text(text)
    said = new_config("--data", root, "--out", tmp_path / "x.yaml", status=2)
    assert said.startswith(f"data: {root}")
    assert rule.format(root=root) in said
    assert said.count("\n") == 1
    assert not (tmp_path / "x.yaml").exists()


def test_an_archive_for_training_alone(tmp_path, rng):
    (tmp_path / "npz").mkdir()
    pictures, labels = rng.integers(0, 256, (9, 6, 8), dtype=np.uint8), np.arange(9) % 3
    np.savez(tmp_path / "npz/train.npz", x_train=pictures, y_train=labels)
    said = new_config("--data", tmp_path / "npz", "--out", tmp_path / "x.yaml", status=2)
    assert "hold a table to test on beside train.npz, with its 8 x 6 pixels, got none" in said
    np.savez(tmp_path / "npz/test.npz", x_test=pictures, y_test=labels)
    new_config("--data", tmp_path / "npz", "--out", tmp_path / "x.yaml")
    assert len(loaded(tmp_path / "x.yaml")[1].test) == 9
    (tmp_path / "npz/train.npz").unlink()
    said = new_config("--data", tmp_path / "npz", "--out", tmp_path / "y.yaml", status=2)
    assert "must hold data, got none that are known" in said
    np.savez(tmp_path / "npz/test.npz", embedding=pictures)
    said = new_config("--data", tmp_path / "npz", "--out", tmp_path / "y.yaml", status=2)
    assert "test.npz must hold images and labels by Keras's or MedMNIST's names, got none" in said


@pytest.mark.parametrize("what", ["nothing", "absent", "one class", "texts"])
def test_what_is_no_data_is_refused_in_one_line(tmp_path, what):
    root = tmp_path / "x"
    if what != "absent":
        root.mkdir()
    if what == "one class":
        (root / "train/a").mkdir(parents=True)
    if what == "texts":
        for name in "ab":
            (root / name).mkdir()
            (root / name / "x.txt").write_text("x")
    said = new_config("--data", root, "--out", tmp_path / "x.yaml", status=2)
    assert said.startswith(f"data: {root}")
    assert said.count("\n") == 1
    assert not (tmp_path / "x.yaml").exists()
