"""`lossbench glyphs` on the fonts that matplotlib brings: what it writes, leaves out, and says of mistakes."""

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from lossbench import config, data, glyphs
from lossbench.cli import main
from lossbench.config.data import RecordData
from lossbench.errors import UserError
from lossbench.glyphs.choice import choose
from lossbench.glyphs.drawing import draw
from lossbench.glyphs.survey import Survey, survey
from lossbench.runs import Run
from tests.test_commands import lossbench

ROOT = Path(__file__).parents[2]
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


def test_what_was_made_is_trained_on_by_the_command_that_it_prints(folder):
    command = (folder / "said").read_text(encoding="utf-8").splitlines()[-1].removeprefix("Train on it: lossbench ")
    assert command == "train glyphs_softmax data.num_classes=18 'data.holdout_classes=[12-17]'"
    short = ("trainer.max_steps=2", "data.batch_size=8", "evaluation.methods=[softmax]", "evaluation.pictures=[]")
    status, _, errors = lossbench(*shlex.split(command), *short, cwd=folder)
    assert status == 0, errors
    run = Run(folder / "runs" / "glyphs_softmax" / "seed-0")
    assert "accuracy" in run.metrics["last"]["test"]
    assert run.value("data.holdout_classes") == ["12-17"]


@pytest.mark.parametrize("name", ["2026", "null", "glyphs #2", "it's/"])
def test_the_command_names_the_folder_whatever_it_is_called(folder, tmp_path, name):
    asked = ("--train-classes", "12", "--holdout-classes", "1", "--test-share", "0.4", "--size", "16")
    status, out, errors = lossbench(
        "glyphs", "--fonts", FONTS, *asked, "--characters", folder / "letters.txt", "--out", name, cwd=tmp_path
    )
    assert (status, errors) == (0, "")
    words = shlex.split(out.splitlines()[-1].removeprefix("Train on it: "))
    assert words[:3] == ["lossbench", "train", "glyphs_softmax"]
    settings = config.load(ROOT / "configs" / "glyphs_softmax.yaml", words[3:]).data
    assert (settings.root, settings.num_classes, settings.image_size) == (name.rstrip("/"), 13, 16)
    assert settings.held_out() == (12,)


def test_characters_without_a_picture_to_test_are_counted(folder, tmp_path):
    """A font with six letters alone is the test."""
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    for name in ("DejaVuSans", "DejaVuSerif", "STIXGeneral"):
        shutil.copy(FONTS / f"{name}.ttf", fonts)
    few = TTFont(FONTS / "cmr10.ttf")
    for table in few["cmap"].tables:
        table.cmap = {code: name for code, name in table.cmap.items() if chr(code) in "abcdef"}
    few.save(fonts / "few.ttf")
    (tmp_path / "letters.txt").write_text(LETTERS, encoding="utf-8")
    asked = ("--train-classes", "22", "--holdout-classes", "12", "--test-share", "0.1", "--characters", "letters.txt")
    status, out, errors = lossbench("glyphs", "--fonts", fonts, *asked, cwd=tmp_path)
    assert status == 0, errors
    said = json.loads((tmp_path / "glyphs" / "fonts.json").read_text(encoding="utf-8"))
    assert said["classes"]["train"] == 22
    assert said["classes"]["test"] + said["classes"]["held_out"] == 6
    assert f"{22 - said['classes']['test']} of 22 trained characters have no picture to test; more fonts would" in out


def test_a_test_without_a_character_of_one_kind_is_refused():
    has = np.array([[True] * 6, [True] * 6, [True, True, False, False, False, False]])
    found = Survey(has, [{}] * 3, np.array([0, 0, 1]))
    kinds = {}
    for seed in range(20):
        try:
            kinds.setdefault("made", choose(found, 4, 2, 0.2, seed))
        except UserError as error:
            kinds.setdefault(str(error).split(",")[0], seed)
    assert "glyphs: fonts of the test must have characters that are never trained on" in kinds
    assert min(kinds["made"].classes(found).values()) > 0


def test_a_damaged_font_is_not_another_of_the_same_name(tmp_path, monkeypatch):
    """Pillow looks for a path that it cannot open among the fonts of the system."""
    system = tmp_path / "share" / "fonts"
    system.mkdir(parents=True)
    shutil.copy(FONTS / "DejaVuSans.ttf", system)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "share"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "DejaVuSans.ttf").write_text("version https://git-lfs.github.com/spec/v1\n")
    fonts, refused = glyphs.find([tmp_path / "mine"])
    assert not fonts
    assert list(refused) == ["DejaVuSans.ttf"]


def test_a_font_whose_name_is_no_utf8_is_drawn(folder, tmp_path):
    fonts = tmp_path / "fonts"
    shutil.copytree(FONTS, fonts)
    os.rename(fonts / "DejaVuSans.ttf", os.fsencode(fonts) + b"/\x83\x65.ttf")
    status, _, errors = lossbench(
        "glyphs", "--fonts", fonts, *ASKED[:-1], folder / "letters.txt", "--out", tmp_path / "out", cwd=tmp_path
    )
    assert (status, errors) == (0, "")
    files = [font["file"] for font in json.loads((tmp_path / "out" / "fonts.json").read_text())["fonts"]]
    assert r"\x83e.ttf" in files
    assert r"/\x83e.ttf-0.png" in "".join((tmp_path / "out" / f"{part}.lst").read_text() for part in ("train", "test"))


def test_a_disk_that_is_full_leaves_nothing_that_looks_whole(folder, tmp_path):
    """The files may have so many blocks of 1024 bytes; what MXNet writes last, it does not say was lost."""
    size = (folder / "glyphs" / "train.rec").stat().st_size
    for blocks in (size // 2048, (size - 1) // 1024):
        command = [sys.executable, "-c", "from lossbench.cli import main; raise SystemExit(main())", "glyphs"]
        command += ["--fonts", str(FONTS), *ASKED[:-1]]
        command += [str(folder / "letters.txt"), "--out", str(tmp_path / "out")]
        limited = f"trap '' XFSZ; ulimit -f {blocks}; exec {shlex.join(command)}"
        done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=300)
        assert done.returncode == 1, done.stderr
        assert done.stderr.count("\n") == 1
        assert "train.rec" in done.stderr
        assert not list(tmp_path.iterdir())


def test_two_processes_do_not_write_one_folder(folder, tmp_path):
    partial = tmp_path / ".out.partial"
    partial.mkdir()
    arguments = ("glyphs", "--fonts", FONTS, *ASKED[:-1], folder / "letters.txt", "--out", tmp_path / "out")
    with open(partial / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        status, _, errors = lossbench(*arguments, cwd=tmp_path)
        assert (status, partial.is_dir()) == (2, True)
        assert errors == (
            f"glyphs: {tmp_path}/out must not be in use, but another process writes it. Choose another with --out.\n"
        )
    (partial / "train.rec").write_bytes(b"of one that was killed")
    (partial / "folder").mkdir()
    assert lossbench(*arguments, cwd=tmp_path)[0] == 0
    assert (tmp_path / "out" / "train.rec").read_bytes() == (folder / "glyphs" / "train.rec").read_bytes()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "train.rec", "test.rec", "train.lst", "test.lst", "fonts.json", "glyphs.png",
    }  # fmt: skip


def test_the_seed_changes_the_choice():
    fonts, _ = glyphs.find([FONTS])
    found = survey(fonts[:16], list(LETTERS), 32, 28, lambda: None)
    one, same, other = (choose(found, 12, 6, 0.5, seed) for seed in (0, 0, 1))
    assert one.trained.tolist() == same.trained.tolist() != other.trained.tolist()
    assert not set(one.trained) & set(one.held_out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "dangling"], "glyphs: dangling must be new, got what is there."),
        (["--out", "new/.."], "glyphs: new/.. must be new, got what is there."),
        (["--out", "."], r"glyphs: . must be new, got what is there. Remove it, or choose another with --out."),
        (["--fonts", "nowhere"], "glyphs: `fonts` must name folders with fonts below them, got none in nowhere. "),
        (
            ["--characters", "cyrillic"],
            "glyphs: `characters` must be kanji, hanzi, hangul or a text file, got cyrillic (",
        ),
        (["--train-classes", "1"], "glyphs: `train_classes` must be at least 2, got 1."),
        (["--test-share", "1.5"], "glyphs: `test_share` must be in (0, 1), got 1.5. 0.2 is a fifth."),
        (["--train-classes", "40"], "must be at most the 34 characters that fonts here have, got 46. Install fonts"),
        (
            ["--test-share", "0.001"],
            "glyphs: `test_share` must leave a design for the test, got 0.001, and the smallest of",
        ),
    ],
)
def test_a_mistake_is_said_in_one_line(folder, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(folder)
    Path("dangling").unlink(missing_ok=True)
    Path("dangling").symlink_to("nowhere")
    default = {"--fonts": FONTS, "--out": "new", **dict(zip(ASKED[::2], ASKED[1::2]))}
    default[arguments[0]] = arguments[1]
    status = main(["glyphs", *(str(part) for pair in default.items() for part in pair)])
    out, errors = capsys.readouterr()
    assert (status, out, errors.count("\n")) == (2, "", 1)
    assert said in errors
    assert not (folder / "new").exists()
