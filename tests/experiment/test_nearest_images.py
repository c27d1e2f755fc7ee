"""The nearest training images of others, galleries of them, and two images compared, of runs on made-up photographs."""

import json
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from lossbench import cli, config, experiment

CONFIG = """\
data: {source: folder, root: ROOT, image_size: 12, channels: 1, batch_size: 4, validation_fraction: 0}
backbone: {name: lenet, embedding_size: 3}
head: {name: HEAD}
optimizer: {name: adam, learning_rate: 0.001}
trainer: {epochs: 6, progress: none}
evaluation: {methods: [softmax], splits: [validation], embeddings_every_epochs: null}
"""
NAMES = ("$dark 1", "light", "\u732b")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with dark, light and halved images, and runs on them: two seeds of softmax, one of NormFace."""
    folder = tmp_path_factory.mktemp("nearest")
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, gray in zip(NAMES, (20, 230, np.repeat([20, 230], 6))):
            (folder / "images" / part / name).mkdir(parents=True)
            for k in range(8):
                pixels = np.clip(rng.normal(gray, 10, (12, 12)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "images" / part / name / f"{k}.png")
    for head, seeds in (("softmax", (0, 1)), ("normface", (0,))):
        (folder / f"{head}.yaml").write_text(CONFIG.replace("ROOT", str(folder / "images")).replace("HEAD", head))
        for seed in seeds:
            settings = config.load(folder / f"{head}.yaml", [f"seed={seed}"])
            experiment.run(settings, folder / head / f"seed-{seed}", device="cpu")
    return folder


@pytest.fixture
def call(trained, tmp_path, monkeypatch, capsys):
    """Run a command on copies of the runs; returns its output and its errors."""
    for head in ("softmax", "normface"):
        shutil.copytree(trained / head, tmp_path / head)
    for name, place in (("dark", "$dark 1/0"), ("darker", "$dark 1/1"), ("light", "light/0")):
        shutil.copy(trained / "images/test" / f"{place}.png", tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)

    def call(command, *arguments, status=0):
        capsys.readouterr()
        try:
            ended = cli.main([command, *map(str, arguments)])
        except SystemExit as stopped:
            ended = stopped.code
        out, err = capsys.readouterr()
        assert ended == status, err
        return out, err

    return call


@pytest.mark.parametrize(("head", "measure"), [("softmax", "distance"), ("normface", "cosine")])
def test_the_nearest_training_images_are_named_without_the_data(call, trained, tmp_path, head, measure, monkeypatch):
    run = f"{head}/seed-0"
    _, error = call("predict", "--run", run, "dark.png", "--knn", 2, status=2)
    assert error.endswith(f"Keep them: lossbench embed --run {run} --keep\n")
    out, _ = call("embed", "--run", run, "--keep")
    assert out.startswith("24 embeddings of the training images are kept: ")
    model = experiment.open_run(run, device="cpu").model
    train, test = (model.outputs(model.images(split)) for split in ("train", "test"))
    names = model.images("train").names
    monkeypatch.setattr("lossbench.data.load", None)  # what follows reads no data
    call("predict", "--run", run, "dark.png", "light.png", "--knn", 3, "--csv", "a.csv")
    (heading, *rows) = [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()]
    assert heading[3:6] == ["neighbor", "neighbor_class", measure]
    assert heading[-3:] == ["neighbor_3", "neighbor_class_3", f"{measure}_3"]
    for row, image in zip(rows, (0, 8)):
        one = test["embedding"][image].astype(np.float64)
        distance = np.linalg.norm(train["embedding"] - one, axis=1)
        if measure == "cosine":
            lengths = np.linalg.norm(train["embedding"].astype(np.float64), axis=1) * np.linalg.norm(one)
            distance = -(train["embedding"] @ one) / lengths
        order = np.argsort(distance, kind="stable")[:3]
        assert row[3::3] == [names[k] for k in order]
        assert row[4::3] == [model.dataset.class_names[train["label"][k]] for k in order]
        np.testing.assert_allclose(np.array(row[5::3], float), abs(distance[order]), rtol=1e-4)
    _, error = call("predict", "--run", run, "dark.png", "--knn", 25, status=2)
    assert error == "knn: N must be at most the number of training images, 24, got 25.\n"


def test_embeddings_of_another_checkpoint_are_not_taken(call, tmp_path):
    call("embed", "--run", "softmax/seed-0", "--keep")
    path = tmp_path / "softmax/seed-0/evaluation/last-train-embedding.npz"
    with np.load(path) as arrays:
        kept = dict(arrays)
    np.savez(path, **{**kept, "step": 1})
    _, error = call("predict", "--run", "softmax/seed-0", "dark.png", "--knn", 2, status=2)
    assert "got none of this checkpoint" in error
    np.savez(path, **{**kept, "embedding": kept["embedding"][:, :2]})
    _, error = call("predict", "--run", "softmax/seed-0", "dark.png", "--knn", 2, status=2)
    assert "must hold 3 finite numbers, a label and a name for each image" in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--keep", "--split", "test"], "--keep is for the training images"),
        (["--keep", "dark.png"], "--keep is for the training images"),
        (["--keep", "--out", "a.npz"], "not allowed with argument"),
        ([], "one of the arguments --out --keep is required"),
    ],
)
def test_what_is_kept_is_said_once(call, words, said):
    _, error = call("embed", "--run", "softmax/seed-0", *words, status=2)
    assert said in error


def test_galleries_of_test_images_and_of_mistakes(call, trained, tmp_path):
    out, _ = call("neighbors", "--run", "softmax/seed-0", "--count", 4, "--knn", 3)
    lines = out.splitlines()
    assert lines[0].split() == ["image", "class", "taken", "for", "nearest", "its", "class", "distance"]
    assert len(lines) == 1 + 4 + 1 + 1
    assert lines[-1] == "mistakes-test: there are none"
    assert {line.split("/")[1] for line in lines[1:4]} == set(NAMES)  # classes take turns
    with Image.open(tmp_path / "softmax/seed-0/plots/neighbors-test.png") as picture:
        assert picture.size[0] > 500
    assert not (tmp_path / "softmax/seed-0/plots/mistakes-test.png").exists()
    shutil.copytree(trained / "images", tmp_path / "images")
    shutil.copy(tmp_path / "images/test/light/0.png", tmp_path / "images/test/$dark 1/0.png")
    moved = ["--data-root", tmp_path / "images", "--accept-changed-data"]
    out, _ = call("neighbors", "--run", "softmax/seed-0", *moved, "--out", "drawn", "--knn", 2)
    row = out.splitlines()[-2].split()
    assert row[:4] == ["test/$dark", "1/0.png", "$dark", "1"]
    assert row[4] == "light"
    assert (tmp_path / "drawn/mistakes-test.png").is_file()


def test_a_gallery_of_another_checkpoint_takes_no_other_s_place(call, trained, tmp_path):
    step = max(path.name for path in (tmp_path / "softmax/seed-0/checkpoints").iterdir())
    out, _ = call("neighbors", "--run", "softmax/seed-0", "--checkpoint", step, "dark.png")
    assert out.splitlines()[-1] == f"softmax/seed-0/plots/{step}/neighbors-own.png"
    assert not (tmp_path / "softmax/seed-0/plots/neighbors-own.png").exists()
    opened = experiment.open_run(trained / "softmax/seed-0", step, device="cpu")
    figure, _ = experiment.Gallery(opened, neighbors=2, count=3).of_split("test")["neighbors-test"]
    assert " ".join(figure.axes[0].get_title().split()).endswith(f"test images, checkpoint {step}")


def test_a_gallery_of_ones_own_images(call, tmp_path):
    out, _ = call("neighbors", "--run", "normface/seed-0", "dark.png", "light.png", "darker.png", "--count", 2)
    assert [line.split()[0] for line in out.splitlines()[1:-1]] == ["dark.png", "light.png"]
    assert (tmp_path / "normface/seed-0/plots/neighbors-own.png").is_file()


def test_what_a_gallery_shows_is_what_was_found(trained):
    opened = experiment.open_run(trained / "softmax/seed-0", device="cpu")
    images = opened.model.images("test")
    figure, table = experiment.Gallery(opened, neighbors=2, count=3).of_split("test")["neighbors-test"]
    shown = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    pixels = dict(zip(opened.model.images("train").names, opened.model.images("train").images))
    for number, row in enumerate(table[1:]):
        assert np.array_equal(shown[3 * number], images.images[list(images.names).index(row[0])][0])
        assert np.array_equal(shown[3 * number + 1], pixels[row[3]][0])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {r"= \$dark 1", "= class 2", "= light"} <= set(texts)  # a class whose letters the font lacks has its number


def test_a_run_whose_name_has_a_space_is_quoted_in_the_commands_that_are_advised(call):
    shutil.move("softmax/seed-0", "my run")
    _, error = call("predict", "--run", "my run", "dark.png", "--knn", 2, status=2)
    call(*shlex.split(error.partition("Keep them: lossbench ")[2]))
    call("predict", "--run", "my run", "dark.png", "--knn", 2)
    _, error = call("compare", "--run", "my run", "dark.png", "light.png")
    assert "eval --run 'my run' --checkpoint last --method verification" in error


@pytest.mark.parametrize(("head", "first"), [("softmax", "minus the distance"), ("normface", "cosine")])
def test_two_images_are_compared_at_the_threshold_of_the_verification(call, tmp_path, head, first):
    run = f"{head}/seed-0"
    out, error = call("compare", "--run", run, "dark.png", "light.png")
    assert out.splitlines()[1].startswith(first)
    assert out.split()[-1] == "-"
    assert error == (
        f"There is no threshold yet. Find one: lossbench eval --run {run} --checkpoint last --method verification\n"
    )
    call("eval", "--run", run, "--method", "verification", "--pair-count", 40)
    found = json.loads((tmp_path / run / "metrics.json").read_text())["last"]["test"]["verification"]
    for other, answer in (("light.png", "no"), ("darker.png", "yes")):
        out, _ = call("compare", "dark.png", other, "--run", run)
        rows = [line.rsplit(maxsplit=3) for line in out.splitlines()[1:3]]
        assert {row[0]: row[2] for row in rows} == {
            "cosine": f"{found['cosine']['threshold']:.4f}",
            "minus the distance": f"{found['euclidean']['threshold']:.4f}",
        }
        assert rows[0][3] == answer
        assert out.endswith("The thresholds are of its test images.\n")
    call("embed", "--run", run, "--out", "a.npz", "dark.png", "light.png")
    with np.load("a.npz") as arrays:
        a, b = arrays["embedding"].astype(np.float64)
    out, _ = call("compare", "--run", run, "dark.png", "light.png")
    values = {line.rsplit(maxsplit=3)[0]: float(line.rsplit(maxsplit=3)[1]) for line in out.splitlines()[1:3]}
    assert values["minus the distance"] == pytest.approx(-np.linalg.norm(a - b), abs=1e-3)
    assert values["cosine"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-3)


def test_whose_verification_gives_the_threshold(call, tmp_path):
    path = tmp_path / "softmax/seed-0/metrics.json"
    step = experiment.open_run("softmax/seed-0", device="cpu").step
    values = {split: {"verification": {"euclidean": {"threshold": number}}} for split, number in
              (("test", -1.5), ("validation", -2.5), ("holdout", -3.5))}  # fmt: skip
    while values:
        path.write_text(json.dumps({"last": {"epoch": 6, "step": step, **values}}))
        split, measured = values.popitem()
        out, _ = call("compare", "--run", "softmax/seed-0", "dark.png", "light.png")
        number = measured["verification"]["euclidean"]["threshold"]
        assert out.splitlines()[1].split()[-2] == f"{number:.4f}"
        assert out.endswith(f"The thresholds are of its {split} images.\n")
    path.write_text(json.dumps({"last": {"epoch": 6, "step": step - 1, split: measured}}))
    out, error = call("compare", "--run", "softmax/seed-0", "dark.png", "light.png")
    assert error.startswith("There is no threshold yet.")


def test_images_without_a_run_are_told_from_runs(call):
    _, error = call("compare", "--run", "softmax/seed-0", "dark.png", status=2)
    assert "with --run, two images must be named, got 1" in error
    _, error = call("compare", "dark.png", "light.png", status=2)
    assert error == "compare: dark.png must be a run. To compare two images, name the run that sees them: --run RUN.\n"


def test_a_folder_of_seeds_is_evaluated_and_drawn_seed_by_seed(call, tmp_path):
    out, _ = call("eval", "--run", "softmax", "--method", "softmax", "--json", "a.json")
    values = json.loads((tmp_path / "a.json").read_text())
    assert list(values) == ["softmax/seed-0", "softmax/seed-1"]
    found = np.array([100 * each["last"]["test"]["accuracy"] for each in values.values()])
    assert f"{found.mean():.2f} ± {found.std(ddof=1):.2f}" in out
    assert "softmax, n = 2" in out
    out, _ = call("plot", "softmax", "--kinds", "training")
    assert out.splitlines() == [f"softmax/seed-{seed}/plots/training.png" for seed in (0, 1)]
    _, error = call("predict", "--run", "softmax", "dark.png", status=2)
    assert error.endswith(" has no config.yaml. Name one of those in it: softmax/seed-0, softmax/seed-1.\n")
    _, error = call("eval", "--run", "nowhere", status=2)
    assert error == "run: nowhere must be a run folder, but has no config.yaml. Name one that train.py wrote.\n"
