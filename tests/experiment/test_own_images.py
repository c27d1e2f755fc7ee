"""A run on a folder of images stands on its own: it names, embeds and is evaluated wherever the images went."""

import contextlib
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from lossbench import cli

CONFIG = """\
data: {source: folder, root: images, image_size: [12, 16], channels: 1, background: 30,
       batch_size: 4, validation_fraction: 0}
backbone: {name: lenet, embedding_size: 2}
head: {name: softmax}
optimizer: {name: adam, learning_rate: 0.001}
trainer: {epochs: 5, progress: none}
evaluation: {methods: [softmax], pictures: []}
"""


def call(command, *arguments, cwd, status=0, given="", lines=slice(-1, None)):
    """Run a command in this process, as `lossbench` does; returns its output and the last of its lines of errors."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr("sys.stdin", io.StringIO(given))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                ended = cli.main([command, *map(str, arguments)])
            except SystemExit as stopped:  # argparse
                ended = stopped.code
    assert ended == status, err.getvalue()
    return out.getvalue(), "\n".join(err.getvalue().strip().splitlines()[lines])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with dark and light images and a run that tells them apart."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, gray in (("$dark 1", 20), ("light", 230)):
            (folder / "images" / part / name).mkdir(parents=True)
            for k in range(8):
                pixels = np.clip(rng.normal(gray, 10, (12, 16)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "images" / part / name / f"{k}.png")
    (folder / "own.yaml").write_text(CONFIG)
    call("train", "--config", "own.yaml", "--run-dir", "run", cwd=folder)
    return folder


@pytest.fixture
def elsewhere(trained, tmp_path):
    """The run folder alone, beside two images of unknown origin."""
    shutil.copytree(trained / "run", tmp_path / "run")
    for name, place in (("dark", "$dark 1"), ("light", "light")):
        shutil.copy(trained / "images/test" / place / "0.png", tmp_path / f"{name}.png")
    return tmp_path


def test_to_stop_early_without_validation_images_is_refused(trained, tmp_path):
    arguments = ("--config", trained / "own.yaml", "--run-dir", tmp_path / "run", "trainer.early_stopping_epochs=2")
    _, error = call("train", *arguments, cwd=trained, status=2)
    assert error == (
        "trainer.early_stopping_epochs must be null without validation images, got 2. "
        "Set data.validation_fraction above 0."
    )
    call("train", *arguments, "data.validation_fraction=0.5", cwd=trained)


def test_where_a_table_is_to_be_written_is_looked_at_before_the_work(elsewhere):
    call("predict", "--run", "run", "dark.png", "--csv", "new/folder/a.csv", cwd=elsewhere)
    assert (elsewhere / "new/folder/a.csv").exists()
    _, error = call("predict", "--run", "run", "nowhere.png", "--csv", "run", cwd=elsewhere, status=2)
    assert error == "lossbench predict: error: argument --csv: must be a file, got the folder run"
    _, error = call("runs", "run", "--json", "dark.png/a.json", cwd=elsewhere, status=2)
    assert "argument --json: must lie in a folder that can be made" in error
    for command, option in (("neighbors --run run light.png", "--out"), ("plot run", "--out"), ("train", "--run-dir")):
        _, error = call(*command.split(), option, "dark.png/plots", cwd=elsewhere, status=2)
        assert error.endswith(f"argument {option}: must be a folder, got the file dark.png")


def test_images_are_named_without_the_data(elsewhere):
    out, _ = call("predict", "--run", "run", "dark.png", "light.png", "--csv", "a.csv", cwd=elsewhere)
    rows = [line.split(",") for line in (elsewhere / "a.csv").read_text().splitlines()]
    assert [row[:2] for row in rows] == [["image", "class"], ["dark.png", "$dark 1"], ["light.png", "light"]]
    again, _ = call("predict", "--run", "run", "-", cwd=elsewhere, given="dark.png\nlight.png\n")
    assert again == out
    (elsewhere / "some/deep").mkdir(parents=True)
    shutil.move(elsewhere / "dark.png", elsewhere / "some/deep/dark.png")
    inside, _ = call("predict", "--run", "run", "some", "--top", 2, cwd=elsewhere)
    assert inside.splitlines()[0].split() == ["image", "class", "probability", "class_2", "probability_2"]
    assert inside.splitlines()[1].startswith("some/deep/dark.png  $dark 1")


def test_a_checkpoints_folder_alone_names_images(elsewhere):
    wanted, _ = call("predict", "--run", "run", "dark.png", "light.png", cwd=elsewhere)
    shutil.move(max((elsewhere / "run/checkpoints").iterdir()), elsewhere / "step")
    shutil.rmtree(elsewhere / "run")
    out, errors = call("predict", "--run", "step", "dark.png", "light.png", cwd=elsewhere, lines=slice(None))
    assert out == wanted
    assert "There is no" not in errors
    call("embed", "--run", "step", "--out", "a.npz", "dark.png", cwd=elsewhere)
    _, error = call("predict", "--run", "step", "--checkpoint", "best", "dark.png", cwd=elsewhere, status=2)
    assert error == "run: step must hold a usable checkpoint, got none."


def test_a_class_folder_that_is_renamed_later_changes_no_name(trained, elsewhere):
    shutil.copytree(trained / "images", elsewhere / "images")
    for part in ("train", "test"):
        (elsewhere / "images" / part / "$dark 1").rename(elsewhere / "images" / part / "zebra")
    out, _ = call("predict", "--run", "run", "images/test/zebra/0.png", cwd=elsewhere)
    assert "$dark 1" in out
    _, error = call("eval", "--run", "run", "--method", "softmax", cwd=elsewhere, status=2)
    assert "the data of run must be those that it was trained on" in error


def test_transparent_pixels_show_the_runs_background(elsewhere):
    for name, gray in (("clear", (255, 255, 255, 0)), ("filled", (30, 30, 30, 255))):
        Image.new("RGBA", (16, 12), gray).save(elsewhere / f"{name}.png")
    call("embed", "--run", "run", "--out", "a.npz", "clear.png", "filled.png", cwd=elsewhere)
    with np.load(elsewhere / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["embedding"][0], arrays["embedding"][1])
        assert arrays["name"].tolist() == ["clear.png", "filled.png"]


def test_files_have_the_embeddings_of_the_split(trained, elsewhere):
    call("embed", "--run", "run", "--out", elsewhere / "split.npz", cwd=trained)
    call("embed", "--run", "run", "--out", elsewhere / "files.npz", "images/test", cwd=trained)
    with np.load(elsewhere / "split.npz") as split, np.load(elsewhere / "files.npz") as files:
        np.testing.assert_allclose(files["logits"], split["logits"], rtol=1e-5, atol=1e-5)
        assert "label" not in files
    call("embed", "--run", "run", "--out", "a.npz", "--split", "test", "light.png", cwd=elsewhere, status=2)


def test_files_whose_logits_fit_no_memory_are_named_part_by_part(trained, elsewhere):
    images = trained / "images/test"
    wanted, _ = call("predict", "--run", "run", images, "--top", 2, cwd=elsewhere)
    settings = (elsewhere / "run/config.yaml").read_text()
    settings, count = re.subn("max_memory_gb: .*", "max_memory_gb: 1.0e-7", settings)
    settings, also = re.subn("(evaluation:.*?\n  batch_size: )\\d+", r"\g<1>4", settings, flags=re.DOTALL)
    assert count == also == 1
    (elsewhere / "run/config.yaml").write_text(settings)  # a batch has 32 bytes of logits, all files 128
    out, _ = call("predict", "--run", "run", images, "--top", 2, cwd=elsewhere)
    assert out == wanted
    call("embed", "--run", "run", "--out", "a.npz", images, cwd=elsewhere)
    with np.load(elsewhere / "a.npz") as arrays:
        assert {*arrays} == {"embedding", "name", "prototypes"}


def test_data_that_moved_are_named_on_the_command_line(trained, elsewhere):
    moved = elsewhere / "moved"
    shutil.copytree(trained / "images", moved)
    _, error = call("eval", "--run", "run", "--method", "softmax", cwd=elsewhere, status=2)
    assert "name their folder with --data-root" in error
    for words in (["--data-root", moved], [f"data.root={moved}"]):
        call("eval", "--run", "run", "--method", "softmax", *words, cwd=elsewhere)
    _, error = call("eval", "--run", "run", "--method", "softmax", "trainer.epochs=2", cwd=elsewhere, status=2)
    assert "data.root=DIR is all that may change of the config, got trainer.epochs=2" in error


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"class_names": ["a"]}, "names of at least 2 classes"),
        ({"class_names": ["a", 1]}, "names of at least 2 classes"),
        ({"image_shape": [1, 12]}, "an image shape of three whole numbers > 0"),
        ({"image_shape": [1, 12, -1]}, "an image shape of three whole numbers > 0"),
        ({"mean": [0.5, 0.5]}, "1 numbers as mean"),
        ({"std": [0]}, "a std from 1e-12 to 1e+12"),
        ({"std": [1e-310]}, "a std from 1e-12 to 1e+12"),
        ({"mean": [-1e300]}, "a mean from -1e+12 to 1e+12"),
        ({"more": 1}, "keys of a description of data"),
        ({"background": "white"}, "a background from 0 to 255"),
    ],
    ids=str,
)
def test_a_changed_description_is_refused_in_one_line(elsewhere, change, rule):
    path = elsewhere / "run" / "data.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    _, error = call("predict", "--run", "run", "dark.png", cwd=elsewhere, status=2)
    assert error.startswith(f"run: run/data.json: the description of the data must hold {rule}, got ")


def test_what_holds_no_image_is_named(elsewhere):
    (elsewhere / "empty").mkdir()
    _, error = call("predict", "--run", "run", "empty", cwd=elsewhere, status=2)
    assert error.startswith("data: empty must hold images, got none.")
    _, error = call("predict", "--run", "run", "-", cwd=elsewhere, status=2, given="")
    assert error.startswith("images: at least one must be named, got none.")


def test_names_come_from_lists_and_what_is_not_read_is_said(elsewhere):
    wanted, _ = call("predict", "--run", "run", "dark.png", "light.png", cwd=elsewhere)
    (elsewhere / "names.txt").write_text("dark.png\r\n\r\nlight.png\r\n", encoding="utf-16")
    assert call("predict", "--run", "run", "names.txt", cwd=elsewhere)[0] == wanted
    (elsewhere / "some").mkdir()
    (elsewhere / "some/names.txt").write_text("inside.png\n")
    shutil.copy(elsewhere / "dark.png", elsewhere / "some/inside.png")
    (elsewhere / "some/phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    out, error = call("predict", "--run", "run", "some/names.txt", "some", cwd=elsewhere)
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["some/inside.png"] * 2
    assert error == "some: 1 image left out (HEIC): phone.heic"
    (elsewhere / "torn.png").write_bytes((elsewhere / "dark.png").read_bytes()[:60])
    for words in (["predict", "--run", "run"], ["embed", "--run", "run", "--out", "a.npz"]):
        _, error = call(*words, "dark.png", "torn.png", "light.png", cwd=elsewhere, status=1)
        assert error.startswith("data: torn.png must be an image that Pillow decodes")
    with np.load(elsewhere / "a.npz") as arrays:
        assert arrays["name"].tolist() == ["dark.png", "light.png"]
        assert len(arrays["logits"]) == 2
    call("predict", "--run", "run", "torn.png", cwd=elsewhere, status=2)


def test_a_config_is_shown_without_its_data(tmp_path):
    (tmp_path / "own.yaml").write_text(CONFIG)
    out, _ = call("train", "--config", "own.yaml", "--show", cwd=tmp_path)
    assert "image_size: [12, 16]" in out
    assert "# known once the data can be read: data: images must be a folder, got none." in out


def test_a_first_try(trained, tmp_path):
    (tmp_path / "own.yaml").write_text(CONFIG.replace("root: images", f"root: {trained / 'images'}"))
    out, _ = call("train", "--config", "own.yaml", "--quick", "trainer.max_steps=6", "data.limit=8", cwd=tmp_path)
    run = tmp_path / "runs/own/quick-0"
    steps = [json.loads(line)["step"] for line in (run / "history.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6]
    assert "last (epoch 3), test:" in out
    notes = json.loads((run / "environment.json").read_text())["data"]["notes"]
    assert notes == ["data.limit 8: 8 of 16 train images, 8 of 16 test images"]
    call("train", "--config", "own.yaml", "--quick", "trainer.max_steps=6", "data.limit=8", cwd=tmp_path)  # finished


@pytest.mark.parametrize(
    ("given", "clip"),
    [
        ([], "5.0"),
        (["optimizer.clip_global_norm=2"], "2.0"),
        (["optimizer.clip_global_norm=null"], "null"),
        (["head={name: am_softmax, scale: 10}", "head.parallel=classes"], "null"),  # it refuses to clip
    ],
)
def test_a_first_try_clips_gradients_where_nothing_else_is_said(trained, given, clip):
    shown = re.compile(r"^  clip_global_norm: (.+)$", re.MULTILINE)
    out, _ = call("train", "--config", "own.yaml", *given, "--quick", "--show", cwd=trained)
    assert shown.findall(out) == [clip]
    out, _ = call("train", "--config", "own.yaml", *given, "--show", cwd=trained)
    assert shown.findall(out) == [clip if given else "null"]


def test_a_first_try_clips_as_the_config_does(trained, tmp_path):
    text = f"base: {trained / 'own.yaml'}\noptimizer: {{clip_global_norm: 2}}\n"
    (tmp_path / "clipped.yaml").write_text(text)
    out, _ = call("train", "--config", "clipped.yaml", "--quick", "--show", cwd=tmp_path)
    assert "\n  clip_global_norm: 2.0\n" in out


def test_the_data_are_shown_before_they_are_trained_on(trained, tmp_path):
    (tmp_path / "own.yaml").write_text(CONFIG.replace("root: images", f"root: {trained / 'images'}"))
    call("train", "--config", "own.yaml", "--run-dir", "run", "trainer.epochs=1", cwd=tmp_path)
    with Image.open(tmp_path / "run/data.png") as sheet:
        assert sheet.format == "PNG"
        middle = np.asarray(sheet)[6 : 6 + 48, 6 : 6 + 64]  # the mean image, enlarged four times
    assert abs(middle.mean() - 125) < 5
    said = call("train", "--config", "own.yaml", "trainer.progress=lines", cwd=tmp_path, lines=slice(None))[1]
    assert "\n2 classes of 8 training images each\n" in said
    first = re.search(r"\nloss of the first step ([\d.]+); a guess among 2 classes has 0.693\n", said)
    assert 0.1 < float(first[1]) < 10
