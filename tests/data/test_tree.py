"""Folders as people have them: any depth, other endings and names, what is not there, what is no image."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from lossbench import data


@pytest.fixture
def root(tmp_path, rng, small):
    """{train,test}/{a,b}/{0,1,2,3}.png of 16 x 16 pixels."""
    for part in ("train", "test"):
        fill(tmp_path / part / "a", rng, small)
        fill(tmp_path / part / "b", rng, small)
    return tmp_path


def fill(folder, rng, small, count=4):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(small.encode(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)))


def load(small, root, **options):
    options = {"image_size": 16, "validation_fraction": 0, **options}
    return data.load(small.section("folder", root=str(root), **options), 0)


def test_any_depth_and_links_to_folders_once(root, small):
    (root / "train/a/more/deep").mkdir(parents=True)
    (root / "train/a/3.png").rename(root / "train/a/more/deep/3.png")
    os.symlink(root / "train/a", root / "train/a/more/round")  # a loop
    found = load(small, root).train
    assert len(found) == 8
    assert "train/a/more/deep/3.png" in found.names


@pytest.mark.parametrize("turn", [1, -1])
def test_of_several_links_to_a_folder_the_first_by_name_counts_on_every_file_system(root, small, rng, turn):
    """Folders are listed in the order of their making, its reverse, or that of a hash."""
    fill(root / "elsewhere", rng, small)
    for number in list(range(40))[::turn]:
        os.symlink(root / "elsewhere", root / f"train/a/link-{number:02d}")
    names = [name for name in load(small, root).train.names if "link" in name]
    assert names == [f"train/a/link-00/{number}.png" for number in range(4)]


def test_beside_the_class_folders_is_said(root, small):
    (root / "train/stray.png").write_bytes((root / "train/a/0.png").read_bytes())
    assert load(small, root).notes == ["train: 1 image left out (beside the class folders): train/stray.png"]


@pytest.mark.parametrize("name", ["val", "Valid", "validation", "dev"])
def test_validation_by_its_usual_names(root, small, rng, name):
    fill(root / name / "a", rng, small)
    found = load(small, root, validation_fraction=0.2)
    assert (len(found.train), len(found.validation), len(found.test)) == (8, 4, 8)
    assert f"{name}/" in found.checksums


def test_two_validation_folders_are_refused(root, small, rng):
    for name in ("val", "validation"):
        fill(root / name / "a", rng, small)
    with pytest.raises(ValueError, match="must hold one validation folder, got val, validation"):
        load(small, root)


def test_val_is_the_test_split_where_there_is_no_test(root, small):
    (root / "test").rename(root / "val")
    found = load(small, root, validation_fraction=0.25)
    assert (len(found.train), len(found.validation), len(found.test)) == (6, 2, 8)
    assert "val is the test split" in found.notes[0]


def test_tiny_imagenet(root, small, rng):
    fill(root / "test/images", rng, small)
    for name in ("a", "b"):
        for path in (root / "test" / name).iterdir():
            path.unlink()
        (root / "test" / name).rmdir()
        (root / "train" / name / "images").mkdir()
        for path in (root / "train" / name).glob("*.png"):
            path.rename(path.parent / "images" / path.name)
        (root / "train" / name / f"{name}_boxes.txt").write_text("0.png\t0\t0\t9\t9\n")
    fill(root / "val/images", rng, small)
    (root / "val/val_annotations.txt").write_text("".join(f"{n}.png\t{'ab'[n % 2]}\t0\t0\t9\t9\n" for n in range(3)))
    found = load(small, root)
    assert (len(found.train), list(found.test.labels)) == (8, [0, 1, 0])
    notes = "\n".join(found.notes)
    assert "test: 4 files without a label left out" in notes
    assert "val: 1 image left out (not in val_annotations.txt): val/images/3.png" in notes
    (root / "val/val_annotations.txt").write_text("0.png\tc\t0\n")
    with pytest.raises(ValueError, match=r"class, a folder of train, between tabs, got '0.png\\tc\\t0' in line 1"):
        load(small, root)


def test_class_folders_alone(root, small):
    with pytest.raises(ValueError, match=r"train/train must be a folder, got none.*set data.test_fraction to 0.2"):
        load(small, root / "train")
    found = load(small, root / "train", test_fraction=0.25)
    assert (len(found.train), len(found.test)) == (6, 2)
    other_seed = data.load(small.section("folder", root=str(root / "train"), image_size=16, test_fraction=0.25), 1)
    assert list(other_seed.test.names) == list(found.test.names)


def test_a_folder_above_is_named(tmp_path, rng, small):
    root = tmp_path / "inner"
    fill(root / "train/a", rng, small)
    with pytest.raises(ValueError, match=re.escape(f"There is {root}/train: set data.root to {root}.")):
        load(small, root.parent)


def test_broken_links_are_counted(root, small):
    for number in (2, 3):
        (root / f"train/a/{number}.png").unlink()
        os.symlink("../../.git/annex/objects/nothing", root / f"train/a/{number}.png")
    found = load(small, root)
    assert len(found.train) == 6
    assert found.notes == ["train: 2 images left out (broken link): train/a/2.png, train/a/3.png"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.heic", b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        ("x.jpg", b"\0\0\0\x18ftypmif1" + bytes(40), "HEIC"),
        ("x.avif", b"\0\0\0\x18ftypavif" + bytes(40), "AVIF"),
        ("x.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
        ("x.png", b"/annex/objects/SHA256E-s9--0.png\n", "git-annex pointer"),
        ("x.png", b"%!PS-Adobe-3.0\n/run (id) def\n", "PostScript"),
        ("x.tga", bytes(60), "TGA"),
        ("x.nef", b"MM\0*" + bytes(60), "camera raw"),
    ],
)
def test_what_is_not_read_is_named_for_what_it_is(root, small, name, content, reason):
    (root / "test/b" / name).write_bytes(content)
    assert load(small, root).notes == [f"test: 1 image left out ({reason}): test/b/{name}"]


def test_most_of_a_part_missing_is_refused(root, small):
    for path in (root / "test").glob("*/[0-2].png"):
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    expected = r"test must have at least 50% of its images in place, got 6 images left out \(Git LFS pointer\)"
    with pytest.raises(ValueError, match=expected):
        load(small, root)


def test_a_class_without_an_image_says_what_lies_there(root, small):
    for path in (root / "train/b").iterdir():
        path.write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(ValueError, match=r"b must hold at least one image, .* 4 files. 4 images left out \(HEIC"):
        load(small, root)


def test_a_hundredth_may_be_damaged(root, small, rng):
    fill(root / "train/a", rng, small, count=200)
    (root / "train/a/7.png").write_bytes(b"")
    found = load(small, root)
    assert (len(found.train), found.notes) == (203, ["train: 1 image left out (damaged): train/a/7.png"])
    assert list(np.bincount(found.train.labels)) == [199, 4]
    for number in (8, 9):
        (root / f"train/a/{number}.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="7.png must be an image .* It is one of 3 in 204 images that are damaged"):
        load(small, root)


@pytest.mark.parametrize("name", ["x.jfif", "X.JPG", "x", "x.txt", "x.jpeg.1"])
def test_the_content_decides(root, small, rng, name):
    (root / "train/a" / name).write_bytes(small.encode(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), "JPEG"))
    found = load(small, root)
    assert (len(found.train), found.notes) == (9, [])


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF"])
def test_every_documented_format_is_known_by_its_content(root, small, form):
    Image.new("RGB", (16, 16), (10, 20, 30)).save(root / "train/a/0.png", form)
    found = load(small, root).train
    assert abs(found.images[0].astype(int).mean(axis=(1, 2)) - [10, 20, 30]).max() < 12
    Image.new("RGB", (16, 16), (10, 20, 30)).save(root / "train/a/y", form)
    assert len(load(small, root).train) == 9


@pytest.mark.parametrize("text", ["BMW is a make of cars.\n", "P3 is a bus line.\n", "hello"])
def test_texts_that_begin_like_an_image(root, small, text):
    (root / "train/a/readme").write_text(text)
    assert load(small, root).notes == ["train: 1 files that are no images were left out"]


def test_fifos_and_devices_are_not_read(root, small):
    os.mkfifo(root / "train/a/x.png")
    os.symlink("/dev/zero", root / "train/a/y.png")
    notes = load(small, root).notes
    assert notes == [
        "train: 1 image left out (a FIFO): train/a/x.png",
        "train: 1 image left out (a device): train/a/y.png",
    ]
    with pytest.raises(ValueError, match=r"x.png must be a readable file, got Is a FIFO"):
        data.read_images([root / "train/a/x.png"], (3, 8, 8))
    with pytest.raises(ValueError, match=r"y.png must be a readable file, got Is a device"):
        data.read_images([root / "train/a/y.png"], (3, 8, 8))


def test_a_stroke_on_a_transparent_page(tmp_path):
    pixels = np.zeros((28, 28, 4), np.uint8)
    pixels[4:24, 12:16, 3] = 255
    drawn = Image.fromarray(pixels)
    drawn.save(tmp_path / "rgba.png")
    drawn.convert("LA").save(tmp_path / "la.png")
    drawn.save(tmp_path / "rgba.webp", lossless=True)
    drawn.quantize(8).save(tmp_path / "palette.png")
    drawn.save(tmp_path / "key.gif")
    want = 255 - pixels[:, :, 3]
    for path in tmp_path.iterdir():
        for channels in (1, 3):
            for plane in data.read_images([path], (channels, 28, 28))[0]:
                np.testing.assert_array_equal(plane, want)
    gray = data.read_images([tmp_path / "rgba.png"], (1, 28, 28), background=100)
    assert sorted(np.unique(gray)) == [0, 100]


def test_the_background_is_the_datas_own(root, small):
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(root / "train/a/0.png")
    found = load(small, root, background=7)
    assert np.all(found.train.images[0] == 7)
    assert found.describe()["background"] == 7


def test_height_and_width(root, small):
    wide = np.zeros((8, 32, 3), np.uint8)
    wide[:, 8:24] = 200  # the middle 8 x 16 of it
    (root / "train/a/0.png").write_bytes(small.encode(wide))
    found = load(small, root, image_size=(4, 8))
    assert found.image_shape == (3, 4, 8)
    assert np.all(found.train.images[0][:, :, 1:-1] == 200)


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000), (100_000, 3), (20_000_000, 1)])
def test_extreme_shapes_are_cut_before_they_are_enlarged(tmp_path, size):
    Image.new("L", size, 90).save(tmp_path / "x.png")
    assert np.all(data.read_images([tmp_path / "x.png"], (1, 64, 64)) == 90)


def test_a_bomb_is_refused_in_one_line(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="x.png must be an image that Pillow decodes, got ") as caught:
        data.read_images([tmp_path / "x.png"], (1, 8, 8))
    assert "\n" not in str(caught.value)


def test_postscript_never_starts_a_program(tmp_path):
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(
        ValueError, match=r"x.png must be an image that Pillow decodes, got cannot identify image file\. Replace"
    ):
        data.read_images([tmp_path / "x.png"], (1, 8, 8))


def test_names_that_are_not_utf_8(root, small):
    os.rename(root / "train/a/0.png", os.fsencode(root / "train/a") + b"/caf\xe9.png")
    found = load(small, root)
    assert "train/a/caf\\xe9.png" in found.train.names
    "".join(found.train.names).encode("utf-8")


def test_class_names_of_every_kind(tmp_path, rng, small):
    names = ["$1", "a$$b", "golden retriever", "\u732b", "\u043a\u043e\u0448\u043a\u0430"]
    for part in ("train", "test"):
        for name in names:
            fill(tmp_path / part / name, rng, small, 1)
    assert load(small, tmp_path).class_names == sorted(names)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF"])
def test_damaged_bytes_are_an_image_or_one_line(tmp_path, rng, small, form):
    whole = small.encode(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8), form)
    path = tmp_path / "x"
    outcomes = set()
    for _ in range(60):
        changed = bytearray(whole)
        for at in rng.integers(0, len(changed) if rng.random() < 0.5 else 60, rng.integers(1, 5)):
            changed[at] = rng.integers(0, 256)
        path.write_bytes(changed[: len(changed) if rng.random() < 0.7 else rng.integers(0, len(changed))])
        outcomes.add(outcome(path))
    assert outcomes <= {"image", "refused"}


def outcome(path):
    try:
        image = data.read_images([path], (3, 8, 8))
    except ValueError as error:
        text = str(error)
        named = text.startswith(f"data: {path} must be an image that Pillow decodes, got ") and len(text) < 500
        return "refused" if named and "\n" not in text else text
    return "image" if image.shape == (1, 3, 8, 8) else str(image.shape)
