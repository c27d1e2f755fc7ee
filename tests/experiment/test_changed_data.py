"""Data that moved or changed between a training and what follows it: image folders, for a second."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lossbench import config, experiment
from lossbench.cli import plot
from lossbench.errors import UserError
from lossbench.runs import Run

CONFIG = """\
data: {source: folder, root: %s, image_size: 8, channels: 1, batch_size: 8, validation_fraction: 0}
backbone: {name: convnet, embedding_size: 4}
head: {name: softmax}
optimizer: {name: adam, learning_rate: 1e-3}
trainer: {epochs: 1, progress: none}
evaluation: {methods: [softmax], pictures: []}
"""


@pytest.fixture
def folder(tmp_path, rng):
    """A folder with images and a run that was trained on them."""
    for part in ("train", "test"):
        for name in ("a", "b"):
            place = tmp_path / "images" / part / name
            place.mkdir(parents=True)
            for number in range(8):
                Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / f"{number}.png")
    (tmp_path / "tiny.yaml").write_text(CONFIG % json.dumps(str(tmp_path / "images")))
    experiment.run(config.load(tmp_path / "tiny.yaml"), tmp_path / "run", device="cpu")
    return tmp_path


def resume(folder, *overrides, **options):
    settings = config.load(folder / "tiny.yaml", ["trainer.epochs=2", *overrides])
    return experiment.run(settings, folder / "run", resume=True, device="cpu", **options)


def test_data_that_moved_are_found_where_they_are_said_to_be(folder):
    shutil.move(folder / "images", folder / "moved")
    with pytest.raises(UserError, match=r"name their folder with --data-root\."):
        experiment.open_run(folder / "run", device="cpu").measure("test", ["softmax"])
    opened = experiment.open_run(folder / "run", device="cpu", data_root=folder / "moved")
    assert opened.measure("test", ["softmax"]) == Run(folder / "run").metrics["last"]["test"]
    resume(folder, f"data.root={folder / 'moved'}")
    run = Run(folder / "run")
    assert run.is_finished
    assert run.history[-1]["epoch"] == 2
    assert run.value("data.root") == str(folder / "moved")
    experiment.open_run(folder / "run", device="cpu")


def test_pictures_of_a_run_whose_data_are_gone_name_them_once(folder, capsys):
    shutil.move(folder / "images", folder / "moved")
    assert plot.main([str(folder / "run")], "plot.py") == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(folder / "run" / "plots" / "training.png")]
    assert err.count("images must be a folder, got none.") == 1


def test_data_that_changed_are_refused_until_they_are_accepted(folder):
    before = Run(folder / "run").checksums
    Image.new("L", (8, 8)).save(folder / "images" / "train" / "a" / "0.png")
    message = r"must be those that it was trained on, got other contents of train/\..*--accept-changed-data"
    for refused in (lambda: resume(folder), lambda: measure(folder)):
        with pytest.raises(UserError, match=message):
            refused()
    assert Run(folder / "run").checksums == before
    assert Run(folder / "run").value("trainer.epochs") == 1
    measure(folder, accept_changed_data=True)
    resume(folder, accept_changed_data=True)
    run = Run(folder / "run")
    assert run.is_finished
    assert run.checksums["train/"] != before["train/"]
    assert run.checksums["test/"] == before["test/"]
    assert run.environment["data"]["former_checksums"] == [before]
    measure(folder)


@pytest.mark.parametrize("method", ["softmax", "knn"])
def test_evaluation_reads_the_files_that_it_scores_by_alone(folder, method):
    shutil.move(folder / "images" / "train", folder / "train")
    if method == "softmax":
        values = experiment.open_run(folder / "run", device="cpu").measure("test", [method])
        assert values == Run(folder / "run").metrics["last"]["test"]
    else:
        with pytest.raises(UserError, match=r"train must be a folder, got none.*with --data-root\."):
            measure(folder, method)
    shutil.move(folder / "images", folder / "moved")
    with pytest.raises(
        UserError, match=r"^data: \S+/images must be a folder, got none\. (?!.*test_fraction).*--data-root\."
    ):
        measure(folder, method)


def test_more_or_fewer_images_than_were_trained_on_are_refused(folder):
    """Without its validation folder, a part of train would be held out, and what is judged would be other images."""
    shutil.copytree(folder / "images" / "test", folder / "images" / "val")
    settings = config.load(folder / "tiny.yaml", ["data.validation_fraction=0.25"])
    experiment.run(settings, folder / "run2", device="cpu")
    opened = experiment.open_run(folder / "run2", device="cpu")
    assert [len(getattr(opened.model.dataset, name)) for name in ("train", "validation")] == [16, 16]
    shutil.rmtree(folder / "images" / "val")
    with pytest.raises(UserError, match="must have 16 train images, as when it was trained, got 12"):
        experiment.open_run(folder / "run2", device="cpu").measure("test", ["knn"])
    experiment.open_run(folder / "run2", device="cpu", accept_changed_data=True).measure("test", ["knn"])


def test_other_classes_are_refused_by_name_even_where_other_files_are_accepted(folder):
    for part in ("train", "test"):
        shutil.move(folder / "images" / part / "b", folder / "images" / part / "zebra")
    with pytest.raises(UserError, match="train alone: a, b, got zebra"):
        measure(folder, accept_changed_data=True)


def measure(folder, method="knn", **options):
    experiment.open_run(folder / "run", device="cpu", **options).measure("test", [method])
