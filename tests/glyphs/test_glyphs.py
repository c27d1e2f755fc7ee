"""`lossbench glyphs` on the fonts that matplotlib brings: what it writes, leaves out, and says of mistakes."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from lossbench import data, glyphs
from lossbench.cli import main
from lossbench.config.data import RecordData
from lossbench.glyphs.choice import choose
from lossbench.glyphs.drawing import draw
from lossbench.glyphs.survey import survey
from tests.test_commands import lossbench

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGH"
ASKED = ("--train-classes", "12", "--holdout-classes", "6", "--test-share", "0.4", "--characters", "letters.txt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a set, and with what made it."""
    folder = tmp_path_factory.mktemp("glyphs")
    (folder / "letters.txt").write_text(LETTERS + "\n漢", encoding="utf-8")
    status, out, errors = lossbench("glyphs", "--fonts", FONTS, *ASKED, cwd=folder)
    assert (status, errors) == (0, "")
    (folder / "said").write_text(out, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def said(folder):
    return json.loads((folder / "glyphs" / "fonts.json").read_text(encoding="utf-8"))


def load(root):
    files = {"source": "record", "root": str(root), "train": "train.rec", "test": "test.rec"}
    form = {"num_classes": 18, "holdout_classes": ["12-17"], "image_size": 32, "channels": 1}
    return data.load(RecordData(**files, **form, validation_fraction=0), 0)


@pytest.fixture(scope="module")
def dataset(folder):
    return load(folder / "glyphs")


def test_it_is_read_as_records_whose_last_classes_are_held_out(dataset, said):
    assert dataset.image_shape == (1, 32, 32)
    assert sorted(set(dataset.train.labels)) == sorted(set(dataset.test.labels)) == list(range(12))
    assert sorted(set(dataset.holdout.labels)) == list(range(12, 18))
    counts = {"train.rec": len(dataset.train), "test.rec": len(dataset.test) + len(dataset.holdout)}
    assert {name: file["images"] for name, file in said["files"].items()} == counts
    characters = [chr(int(name[2:], 16)) for name in dataset.all_class_names]
    assert len(set(characters)) == 18
    assert set(characters) <= set(LETTERS)


def test_each_picture_is_its_character_in_its_font(dataset):
    fonts = {font.name: font for font in glyphs.find([FONTS])[0]}
    for split in (dataset.train, dataset.test, dataset.holdout):
        for image, label, name in zip(split.images, split.labels, split.names):
            letter, _, font = name.removesuffix(".png").partition("/")
            assert letter == dataset.all_class_names[label]
            assert np.array_equal(image[0], draw(fonts[font].opened(28), chr(int(letter[2:], 16)), 32))


def test_no_design_and_no_picture_is_on_both_sides(dataset, said):
    parts = {}
    for font in said["fonts"]:
        parts.setdefault(font["design"], set()).add(font["part"])
        assert font["sha256"] == hashlib.sha256((FONTS / font["file"]).read_bytes()).hexdigest()
    assert all(len(part) == 1 for part in parts.values())
    designs = {font["family"]: font["design"] for font in said["fonts"]}
    assert designs["DejaVu Sans"] != designs["STIXGeneral"]
    seen = [
        (int(label), image.tobytes())
        for split in (dataset.train, dataset.test, dataset.holdout)
        for image, label in zip(split.images, split.labels)
    ]
    assert len(set(seen)) == len(seen)
    share = (len(dataset.test) + sum(font["held_out"] for font in said["fonts"])) / len(seen)
    assert 0 < share < 0.5


def test_what_is_left_out_is_counted_and_said(folder, said):
    assert said["left_out"] == {
        reason: sum(font[reason] for font in said["fonts"]) for reason in ("blank", "tofu", "duplicate")
    }
    of = {font["file"]: font for font in said["fonts"]}
    assert of["DejaVuSans.ttf"]["tofu"] == 1  # the kanji
    assert of["STIXSizOneSymReg.ttf"]["images"] == 0  # no letters
    text = (folder / "said").read_text(encoding="utf-8")
    assert "other characters, other fonts" in text
    assert f"Left out of 35 candidates in {len(said['fonts'])} fonts: {said['left_out']['blank']} blank," in text
    with Image.open(folder / "glyphs" / "glyphs.png") as picture:
        assert picture.width == (12 + 6) * 32


def test_the_same_fonts_give_the_same_bytes_wherever_they_lie(folder, tmp_path):
    shutil.copytree(FONTS, tmp_path / "fonts" / "deep")
    (tmp_path / "fonts" / "link.ttf").symlink_to(tmp_path / "fonts" / "deep" / "DejaVuSans.ttf")
    (tmp_path / "fonts" / "broken.otf").write_bytes(b"OTTO" + bytes(40))
    shutil.copy(folder / "letters.txt", tmp_path)
    (tmp_path / ".glyphs.partial").mkdir()  # of a killed process
    status, out, errors = lossbench("glyphs", "--fonts", "fonts", *ASKED, cwd=tmp_path)
    assert (status, errors) == (0, "")
    assert "broken.otf is left out: " in out
    for name in ("train.rec", "train.lst", "test.rec", "test.lst", "glyphs.png"):
        assert (tmp_path / "glyphs" / name).read_bytes() == (folder / "glyphs" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fonts", "glyphs", "letters.txt"]


def test_a_font_of_signs_for_whole_blocks_is_left_out(tmp_path):
    font = TTFont(FONTS / "cmr10.ttf")
    font["name"].setName("Last Resort High-Efficiency", 1, 3, 1, 0x409)  # as matplotlib 3.11 brings it
    font["name"].setName("Last Resort High-Efficiency", 1, 1, 0, 0)
    font.save(tmp_path / "last.ttf")
    shutil.copy(FONTS / "cmr10.ttf", tmp_path)
    fonts, refused = glyphs.find([tmp_path])
    assert [font.path.name for font in fonts] == ["cmr10.ttf"]
    assert refused == {"last.ttf": "it has signs for blocks of characters, not characters"}


def test_fonts_that_share_pictures_are_one_design_and_count_once(tmp_path):
    for name in ("DejaVuSans.ttf", "cmr10.ttf"):
        shutil.copy(FONTS / name, tmp_path)
    fonts, _ = glyphs.find([tmp_path])
    borrowed = [*fonts, replace(fonts[0], family="Another")]
    found = survey(borrowed, list("abc"), 32, 28, lambda: None)
    assert found.has.tolist() == [[True] * 3, [True] * 3, [False] * 3]
    assert found.left_out[2] == {"blank": 0, "tofu": 0, "duplicate": 3}
    assert found.design[0] == found.design[2] != found.design[1]


def test_the_seed_changes_the_choice():
    fonts, _ = glyphs.find([FONTS])
    found = survey(fonts[:16], list(LETTERS), 32, 28, lambda: None)
    one, same, other = (choose(found, 12, 6, 0.5, seed) for seed in (0, 0, 1))
    assert one.trained.tolist() == same.trained.tolist() != other.trained.tolist()
    assert not set(one.trained) & set(one.held_out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "."], r"glyphs: . must be new, got what is there. Remove it, or choose another with --out."),
        (["--fonts", "nowhere"], "glyphs: `fonts` must name folders with fonts below them, got none in nowhere. "),
        (
            ["--characters", "cyrillic"],
            "glyphs: `characters` must be kanji, hanzi, hangul or a text file, got cyrillic (",
        ),
        (["--train-classes", "1"], "glyphs: `train_classes` must be at least 2, got 1."),
        (["--test-share", "1.5"], "glyphs: `test_share` must be in (0, 1), got 1.5. 0.2 is a fifth."),
        (["--train-classes", "40"], "must be at most the 34 characters that fonts here have, got 46. Install fonts"),
        (["--test-share", "0.001"], "glyphs: fonts must be of several designs with every character, got one design."),
    ],
)
def test_a_mistake_is_said_in_one_line(folder, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(folder)
    default = {"--fonts": FONTS, "--out": "new", **dict(zip(ASKED[::2], ASKED[1::2]))}
    default[arguments[0]] = arguments[1]
    status = main(["glyphs", *(str(part) for pair in default.items() for part in pair)])
    out, errors = capsys.readouterr()
    assert (status, out, errors.count("\n")) == (2, "", 1)
    assert said in errors
    assert not (folder / "new").exists()
