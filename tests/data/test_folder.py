"""Image folders read by Pillow."""

import re

import numpy as np
import pytest
from PIL import Image

from lossbench import data


@pytest.fixture
def tree(tmp_path, rng, small):
    """root/{train,test}/{cat,ant}/*.png of 6 x 6 pixels; the pixels by path."""
    pixels = {}
    for part, count in (("train", 5), ("test", 2)):
        for name in ("cat", "ant"):
            for number in range(count):
                path = tmp_path / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels[path] = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
                path.write_bytes(small.encode(pixels[path]))
    return tmp_path, pixels


def load(small, root, **options):
    options = {"image_size": 6, "validation_fraction": 0, **options}
    return data.load(small.section("folder", root=str(root), **options), 0)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_reads_in_order(tree, small, workers):
    root, pixels = tree
    dataset = load(small, root, workers=workers)
    assert dataset.class_names == ["ant", "cat"]
    for part, split in (("train", dataset.train), ("test", dataset.test)):
        paths = sorted(path for path in pixels if path.parts[-3] == part)
        assert np.array_equal(split.images, np.stack([pixels[path].transpose(2, 0, 1) for path in paths]))
        assert [dataset.class_names[label] for label in split.labels] == [path.parts[-2] for path in paths]


def test_checksum_covers_names_and_contents(tree, small):
    root, pixels = tree
    first = load(small, root).checksums
    assert set(first) == {"train/", "test/"}
    path = root / "train" / "cat" / "0.png"
    path.rename(path.with_name("9.png"))
    second = load(small, root).checksums
    path.write_bytes(small.encode(pixels[path]))
    third = load(small, root).checksums
    assert len({first["train/"], second["train/"], third["train/"]}) == 3
    assert first["test/"] == second["test/"] == third["test/"]


def test_validation_folder(tree, small):
    root, pixels = tree
    (root / "validation" / "cat").mkdir(parents=True)
    some = pixels[root / "train" / "cat" / "0.png"]
    (root / "validation" / "cat" / "x.png").write_bytes(small.encode(some))
    dataset = load(small, root, validation_fraction=0.2)
    assert (len(dataset.train), len(dataset.validation)) == (10, 1)
    assert dataset.validation.labels[0] == 1


def test_every_mode_and_size_becomes_the_square(tree, small):
    root, _ = tree
    folder = root / "train" / "ant"
    for mode in ("L", "LA", "RGBA", "P", "1", "CMYK", "I;16"):
        suffix = "tif" if mode in ("CMYK", "I;16") else "png"
        Image.new(mode, (9, 20)).save(folder / f"z-{mode.replace(';', '')}.{suffix}")
    dataset = load(small, root)
    assert dataset.train.images.shape == (17, 3, 6, 6)
    assert load(small, root, channels=1).train.images.shape == (17, 1, 6, 6)


def test_sixteen_bits_become_eight(tree, small):
    root, _ = tree
    values = (np.arange(36).reshape(6, 6) * 1800).astype(np.uint16)
    for suffix in ("png", "tif"):
        Image.fromarray(values).save(root / "train" / "ant" / f"0.{suffix}")
    images = load(small, root, channels=1).train.images[:2, 0]
    assert np.array_equal(images[0], values >> 8)
    assert np.array_equal(images[1], values >> 8)


@pytest.mark.parametrize(
    ("values", "reason"), [(np.float32(0.5), "floating-point pixels"), (np.int32(70_000), "from 70000 to 70000")]
)
def test_pixels_of_unknown_range_are_refused(tree, small, values, reason):
    root, _ = tree
    Image.fromarray(np.full((6, 6), values)).save(root / "train" / "ant" / "x.tif")
    with pytest.raises(ValueError, match=f"x.tif must be an image that Pillow decodes, got .*{reason}"):
        load(small, root)


def test_the_camera_held_upright(tree, small):
    root, _ = tree
    pixels = np.zeros((6, 6, 3), np.uint8)
    pixels[:3] = 255  # bright above, in the file
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(pixels).save(root / "train" / "ant" / "0.png", exif=exif)
    image = load(small, root).train.images[0]
    assert np.all(image[:, :, 3:] == 255)
    assert np.all(image[:, :, :3] == 0)


@pytest.mark.parametrize("transposed", [False, True])
def test_keeps_the_middle_square(tree, small, transposed):
    root, _ = tree
    wide = np.zeros((12, 36, 3), np.uint8)
    wide[:, 12:24] = 200
    if transposed:
        wide = wide.transpose(1, 0, 2)
    (root / "train" / "ant" / "0.png").write_bytes(small.encode(np.ascontiguousarray(wide)))
    image = load(small, root).train.images[0]
    assert np.all(image[:, 1:-1, 1:-1] == 200)
    assert image.min() >= 100  # the filter reaches one pixel over the edge


def test_gray(tree, small):
    root, pixels = tree
    image = load(small, root, channels=1).train.images[0, 0]
    want = pixels[root / "train" / "ant" / "0.png"] @ [0.299, 0.587, 0.114]
    assert abs(image - want).max() <= 1


def test_other_files_are_noted(tree, small):
    root, _ = tree
    (root / "train" / "ant" / "readme.txt").write_text("x")
    (root / "train" / "ant" / ".DS_Store").write_text("x")
    (root / "train" / ".hidden").mkdir()
    assert load(small, root).notes == ["train: 1 files that are no images were left out"]


def test_half_an_image_is_named_even_where_gluoncv_told_pillow_to_read_on(tree, small, monkeypatch):
    root, _ = tree
    path = root / "train" / "cat" / "3.png"
    path.write_bytes(path.read_bytes()[:90])
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ValueError, match=re.escape(f"data: {path} must be an image that Pillow decodes, got ")):
        load(small, root)


@pytest.mark.parametrize("content", [b"", b"no image", "half"])
def test_a_broken_image_is_named(tree, small, content):
    root, _ = tree
    path = root / "train" / "cat" / "3.png"
    path.write_bytes(path.read_bytes()[:90] if content == "half" else content)
    with pytest.raises(ValueError, match=re.escape(f"data: {path} must be an image that Pillow decodes, got ")):
        load(small, root)


def test_a_jpeg_that_is_cut_off_is_named(tree, small, rng):
    root, _ = tree
    path = root / "test" / "cat" / "x.jpg"
    path.write_bytes(small.encode(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), "JPEG")[:-500])
    with pytest.raises(ValueError, match=re.escape(f"data: {path} must be an image that Pillow decodes, got ")):
        load(small, root)


def test_of_a_hundred_classes_ten_are_named_where_a_folder_is_none_of_them(tree, small, rng):
    root, _ = tree
    for number in range(100):
        (root / "train" / f"{number:02d}").mkdir()
        (root / "train" / f"{number:02d}" / "0.png").write_bytes(
            small.encode(rng.integers(0, 256, (6, 6, 3), np.uint8))
        )
    (root / "test" / "dog").mkdir()
    named = ", ".join(f"{number:02d}" for number in range(10))
    with pytest.raises(ValueError, match=f"of the classes in train alone: {named} and 92 more, got dog"):
        load(small, root)


def test_layouts_that_are_refused(tree, small, tmp_path):
    root, _ = tree
    with pytest.raises(ValueError, match=re.escape(f"data: {root}/train/train must be a folder, got none.")):
        load(small, root / "train")
    (root / "test" / "dog").mkdir()
    with pytest.raises(ValueError, match="test must hold folders of the classes in train alone: ant, cat, got dog"):
        load(small, root)
    (root / "test" / "dog").rmdir()
    (root / "train" / "bat").mkdir()
    with pytest.raises(ValueError, match="bat must hold at least one image, got none in 0 files"):
        load(small, root)


def test_one_class_is_refused(tree, small):
    root, _ = tree
    for path in (root / "train" / "cat").iterdir():
        path.unlink()
    (root / "train" / "cat").rmdir()
    with pytest.raises(ValueError, match="train must hold a folder for each of at least 2 classes, got 1"):
        load(small, root)


def test_no_test_images(tree, small):
    root, _ = tree
    for path in (root / "test").glob("*/*"):
        path.unlink()
    with pytest.raises(ValueError, match="test must hold images, got none"):
        load(small, root)


def test_images_are_called_by_their_files(tree, small):
    root, pixels = tree
    section = small.section("folder", root=str(root), image_size=6, holdout_classes=[], validation_fraction=0.2)
    dataset = data.load(section, 0)
    for split in (dataset.train, dataset.validation, dataset.test):
        for name, image in zip(split.names, split.images):
            np.testing.assert_array_equal(image.transpose(1, 2, 0), pixels[root / name])
