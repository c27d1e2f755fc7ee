"""Pictures of real runs, trained for an epoch or two on made-up patterns: what they show, and what they refuse."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from PIL import Image

from lossbench import config, experiment, plots
from lossbench.cli import plot
from lossbench.evaluation import geometry, roc
from lossbench.experiment.picture_source import DrawnRun
from lossbench.heads import ArcFace
from lossbench.plots import pictures
from lossbench.plots.pictures import losses, results
from lossbench.runs import Run

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = """\
data: {source: synthetic, image_size: 6, train_size: 256, test_size: 200, batch_size: 64, validation_fraction: 0.1}
backbone: {name: convnet, embedding_size: 2}
head: {name: softmax}
optimizer: {name: nag, learning_rate: 0.02, weight_decay: 1e-3}
trainer: {epochs: 2, progress: none}
evaluation: {methods: [softmax]}
"""
RUNS = {
    "arc": ["head={name: arcface, scale: 10, margin: 0.2}"],
    "lgm": ["head={name: lgm, margin: 0.4, variance: diagonal}"],
    "lgm_many": ["head={name: lgm, variance: isotropic}", "backbone.embedding_size=6", "trainer.epochs=1"],
    "center": ["regularizers=[{name: center, loss_weight: 0.1}]", "backbone.embedding_size=3"],
    "unit": ["head.normalize_weight=true", "backbone.embedding_size=4", "trainer.epochs=1"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the run folders named above."""
    folder = tmp_path_factory.mktemp("runs")
    for name, overrides in RUNS.items():
        path = folder / f"{name}.yaml"
        path.write_text(CONFIG)
        experiment.run(config.load(path, overrides), folder / name, device="cpu")
    return folder


@pytest.fixture(scope="module")
def drawn(folder):
    """(run, kind, options) -> figures by name, without a file."""
    runs = {name: experiment.DrawnRun(Run(folder / name), device="cpu") for name in RUNS}
    return lambda name, kind, **options: pictures.draw(runs[name], kind, **options)


@pytest.fixture(scope="module")
def outputs(folder):
    """(run, split) -> model, embedding (N, D), logits, label, from the run opened by itself."""
    opened = {name: experiment.open_run(folder / name, device="cpu").model for name in RUNS}

    def of(name, split="test"):
        found = opened[name].outputs(opened[name].images(split))
        return opened[name], found["embedding"].astype(np.float64), found["logits"], found["label"]

    return of


def sorted_rows(rows):
    rows = np.asarray(rows)
    return rows[np.lexsort(rows.T)]


def points_of(axes):
    """The drawn points, all markers together, and the crosses of the prototypes."""
    collections = [np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)]
    return collections


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_embeddings_and_class_weights(drawn, outputs):
    figures = drawn("arc", "embedding")
    assert list(figures) == ["embedding-train", "embedding-test"]
    for split in ("train", "test"):
        model, embedding, _, _ = outputs("arc", split)
        (axes,) = figures[f"embedding-{split}"].axes
        assert axes.get_title() == f"arc: {split} embeddings"
        np.testing.assert_allclose(sorted_rows(points_of(axes)[0]), sorted_rows(embedding), rtol=1e-5)
        (rays,) = [c for c in axes.collections if isinstance(c, LineCollection)]
        ends = np.array([segment[1] for segment in rays.get_segments()])
        weight = model.head.weight.data().asnumpy()
        unit = [w / np.linalg.norm(w, axis=1, keepdims=True) for w in (ends, weight)]
        np.testing.assert_allclose(unit[0], unit[1], atol=1e-5)


def test_many_training_images_are_stood_for_by_some(drawn, folder, monkeypatch):
    monkeypatch.setattr("lossbench.experiment.picture_source.MAX_TRAINING_IMAGES", 100)
    run = experiment.DrawnRun(Run(folder / "arc"), device="cpu")
    embedding, label = run.points("train")
    assert embedding.shape == (100, 2)
    assert len(np.unique(label)) == 10
    assert len(run.points("test")[0]) > 100


def test_means_and_deviations_of_a_density(drawn, outputs):
    model = outputs("lgm")[0]
    (axes,) = drawn("lgm", "embedding")["embedding-test"].axes
    deviation = np.exp(model.head.log_variance().asnumpy() / 2)
    mean = model.head.mean.data().asnumpy()
    assert len(axes.patches) == 20
    for number, ellipse in enumerate(axes.patches):
        c, count = divmod(number, 2)
        np.testing.assert_allclose(ellipse.center, mean[c], rtol=1e-5)
        sides = sorted([ellipse.width, ellipse.height])
        np.testing.assert_allclose(sides, np.sort(2 * (count + 1) * deviation[c]), rtol=1e-5)


def test_many_dimensions_are_projected_on_the_training_images_plane(drawn, outputs):
    figures = drawn("lgm_many", "embedding")
    train, (model, test, _, _) = outputs("lgm_many", "train")[1], outputs("lgm_many")
    values, vectors = np.linalg.eigh(np.cov(train.T))
    (axes,) = figures["embedding-test"].axes
    points, means = points_of(axes)
    for found, rows in ((points, test), (means, model.head.mean.data().asnumpy())):
        expected = (rows - train.mean(axis=0)) @ vectors[:, ::-1][:, :2]
        for column in range(2):  # a component has no sign
            a, b = np.sort(found[:, column]), np.sort(expected[:, column])
            assert np.allclose(a, b, atol=1e-4) or np.allclose(a, -b[::-1], atol=1e-4)
    deviation = np.exp(model.head.log_variance().asnumpy()[0, 0] / 2)
    assert len(axes.patches) == 10
    assert (axes.patches[0].width, axes.patches[0].height) == pytest.approx((2 * deviation, 2 * deviation), rel=1e-4)
    assert axes.get_title() == "lgm_many: test embeddings, 6 dimensions"
    assert re.fullmatch(r"principal component 1 \(\d+ % of the variance\)", axes.get_xlabel())


def test_a_linear_head_on_unit_weights_is_drawn_as_it_is_evaluated_by_the_cosine(drawn, outputs):
    model, embedding, _, _ = outputs("unit")
    (axes,) = drawn("unit", "embedding")["embedding-test"].axes
    assert axes.get_title() == "unit: unit test embeddings, 4 dimensions"
    units = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    training = outputs("unit", "train")[1]
    training = training / np.linalg.norm(training, axis=1, keepdims=True)
    spread = np.linalg.svd(training - training.mean(axis=0))[2][:2]
    found = np.abs(sorted_rows(np.abs(points_of(axes)[0])))
    expected = sorted_rows(np.abs((units - training.mean(axis=0)) @ spread.T))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_t_sne_is_an_option(drawn, outputs, monkeypatch):
    monkeypatch.setattr("lossbench.plots.drawing.projection.MAX_TSNE_ROWS", 60)
    monkeypatch.setattr("lossbench.plots.pictures.embeddings.SPLITS", ("test",))
    figures = drawn("lgm_many", "embedding", projection="tsne")
    assert list(figures) == ["embedding-test-tsne"]
    points, means = points_of(figures["embedding-test-tsne"].axes[0])
    assert (len(points), len(means)) == (60, 10)


def test_centers_are_those_of_the_center_loss_also_in_space(drawn, outputs):
    model, embedding, _, _ = outputs("center")
    centers = model.regularizers[0].prototypes().asnumpy()
    figure = drawn("center", "space")["space-test"]
    points, crosses = [np.stack(c._offsets3d, axis=1) for c in figure.axes[0].collections if hasattr(c, "_offsets3d")]
    np.testing.assert_allclose(crosses, centers, rtol=1e-5)
    np.testing.assert_allclose(sorted_rows(points), sorted_rows(embedding), rtol=1e-5)
    assert legend(drawn("center", "embedding")["embedding-test"]) == ["class center"]
    assert legend(drawn("center", "animation")["animation-test"].figure(0)) == ["class center"]


def test_the_animation_holds_what_training_kept(drawn, folder):
    moving = drawn("arc", "animation")["animation-test"]
    rows = Run(folder / "arc").history
    assert len(moving) == 2
    for number, row in enumerate(rows):
        with np.load(folder / "arc" / "embeddings" / f"epoch-{number + 1}.npz") as arrays:
            (axes,) = moving.figure(number).axes
            np.testing.assert_allclose(sorted_rows(points_of(axes)[0]), sorted_rows(arrays["test_embedding"]))
        text = f"arc: epoch {number + 1} of 2, training accuracy {100 * row['accuracy']:.2f} %"
        assert axes.get_title() == text


def test_angles_against_the_plain_formula(drawn, outputs):
    model, embedding, _, label = outputs("arc")
    weight = model.head.weight.data().asnumpy().astype(np.float64)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip(unit @ (weight / np.linalg.norm(weight, axis=1, keepdims=True)).T, -1, 1)))
    own = angle[np.arange(len(label)), label]
    angle[np.arange(len(label)), label] = np.inf
    texts = legend(drawn("arc", "angles")["angles"])
    assert texts[1:] == [
        f"test images, own class: n = {len(label):,}, median {np.median(own):.1f}",
        f"test images, nearest other class: n = {len(label):,}, median {np.median(angle.min(axis=1)):.1f}",
    ]
    figure = drawn("arc", "angles-per-class")["angles-per-class"]
    assert [axes.get_title() for axes in figure.axes] == [str(c) for c in range(10)]
    for c, axes in enumerate(figure.axes):
        share, edges = axes.patches[0].get_data().values, axes.patches[0].get_data().edges
        np.testing.assert_allclose(share, 100 * np.histogram(own[label == c], edges)[0] / (label == c).sum(), atol=6)


def test_distances_against_the_plain_formula(drawn, outputs):
    model, embedding, _, label = outputs("lgm")
    mean, log_variance = model.head.mean.data().asnumpy(), model.head.log_variance().asnumpy()
    distance = np.array(
        [[np.sqrt(((x - m) ** 2 / np.exp(v)).sum()) for m, v in zip(mean, log_variance)] for x in embedding]
    )
    own = distance[np.arange(len(label)), label]
    distance[np.arange(len(label)), label] = np.inf
    texts = legend(drawn("lgm", "distances")["distances"])
    assert texts[1:] == [
        f"test images, own class: n = {len(label):,}, median {np.median(own):.2f}",
        f"test images, nearest other class: n = {len(label):,}, median {np.median(distance.min(axis=1)):.2f}",
        f"what the Gaussian expects of its class, median {np.sqrt(2 * np.log(2)):.2f}",
    ]
    model, embedding, _, label = outputs("center")
    own = np.linalg.norm(embedding - model.regularizers[0].prototypes().asnumpy()[label], axis=1)
    figure = drawn("center", "distances")["distances"]
    assert legend(figure)[1].endswith(f"median {np.median(own):.2f}")
    assert figure.axes[0].get_xlabel() == "distance to the class center"


def test_norms_of_right_and_wrong_images(drawn, outputs):
    _, embedding, logits, label = outputs("arc")
    right, length = logits.argmax(axis=1) == label, np.linalg.norm(embedding, axis=1)
    assert legend(drawn("arc", "norms")["norms"])[1:] == [
        f"test images, right: n = {right.sum():,}, median {np.median(length[right]):.2f}",
        f"test images, wrong: n = {(~right).sum():,}, median {np.median(length[~right]):.2f}",
    ]


def test_the_target_logit_is_that_of_the_paper(drawn, outputs):
    (axes,) = drawn("arc", "target-logit")["target-logit"].axes
    trained, told = axes.lines
    theta = np.radians(trained.get_xdata())
    inside = theta < np.pi - 0.2
    np.testing.assert_allclose(trained.get_ydata()[inside], 10 * np.cos(theta + 0.2)[inside], atol=1e-5)
    np.testing.assert_allclose(told.get_ydata(), 10 * np.cos(theta), atol=1e-5)
    assert trained.get_label() == "in training (scale 10, margin 0.2)"
    _, embedding, _, label = outputs("lgm", "train")
    (axes,) = drawn("lgm", "target-logit")["target-logit"].axes
    trained, told = axes.lines
    half = trained.get_xdata() ** 2 / 2
    np.testing.assert_allclose(trained.get_ydata(), -1.4 * half, atol=1e-6)
    np.testing.assert_allclose(told.get_ydata(), -half, atol=1e-6)


def test_a_loss_that_changes_more_than_one_logit_has_no_target_logit(drawn, monkeypatch):
    monkeypatch.setattr(ArcFace, "changes_one_logit", False)
    with pytest.raises(plots.CannotDraw, match="target-logit is for losses with one changed logit; arcface changes"):
        drawn("arc", "target-logit")


def test_the_confusion_matrix_and_the_training_curves(drawn, outputs, folder):
    _, _, logits, label = outputs("arc")
    figure = drawn("arc", "confusion")["confusion-test"]
    accuracy = (logits.argmax(axis=1) == label).mean()
    metrics = json.loads((folder / "arc" / "metrics.json").read_text())
    assert accuracy == pytest.approx(metrics["last"]["test"]["accuracy"])
    assert figure.axes[0].get_title() == f"arc: test images, {100 * accuracy:.2f} % right"
    panels = {axes.get_ylabel(): axes for axes in drawn("arc", "training")["training"].axes}
    rows = Run(folder / "arc").history
    np.testing.assert_allclose(panels["training loss per image"].lines[0].get_ydata(), [row["loss"] for row in rows])
    assert "head margin (radians)" not in panels  # nothing moved it
    assert "log variance" in {axes.get_ylabel() for axes in drawn("lgm", "training")["training"].axes}


def test_roc_from_what_evaluation_kept(drawn, folder, rng):
    with pytest.raises(plots.CannotDraw, match="roc needs what eval.py --method verification or detection"):
        drawn("arc", "roc")
    kept = folder / "arc" / "evaluation"
    kept.mkdir(exist_ok=True)
    known, foreign = rng.normal(1, 1, 80), rng.normal(0, 1, 60)
    _, x, y = roc.curve(known, foreign)
    np.savez(
        kept / "last-holdout-verification.npz",
        step=Run(folder / "arc").end.step,
        cosine_false_accept_rate=x,
        cosine_true_accept_rate=y,
    )
    np.savez(kept / "last-test-detection.npz", known_softmax=known, fashion_mnist_softmax=foreign)
    right = np.arange(80) < 70
    np.savez(
        kept / "last-test-adversarial.npz",
        epsilon=[0.1, 2 / 255],
        clean_right=right,
        clean_softmax=known,
        attacked_softmax=np.stack([known - 1, known - 2]),
        attacked_right=np.stack([right, right]),
    )
    figures = drawn("arc", "roc")
    assert sorted(figures) == [
        "roc-adversarial-0.1",
        "roc-adversarial-2-of-255",
        "roc-detection-fashion_mnist",
        "roc-verification-holdout",
    ]
    area = roc.area(known, foreign)
    assert legend(figures["roc-verification-holdout"])[0] == f"cosine: area {area:.4f}"
    assert legend(figures["roc-detection-fashion_mnist"])[0] == f"largest softmax probability: area {area:.4f}"
    area = roc.area(known[right], known[right] - 1)
    assert legend(figures["roc-adversarial-0.1"])[0] == f"largest softmax probability: area {area:.4f}"
    np.savez(kept / "last-validation-detection.npz", known_softmax=known, fashion_mnist_softmax=foreign)
    assert "roc-detection-fashion_mnist-validation" in drawn("arc", "roc")
    step = Run(folder / "arc").steps()[-1]
    np.savez(kept / f"{step.name}-test-detection.npz", known_softmax=known, fashion_mnist_softmax=foreign)
    source = DrawnRun(Run(folder / "arc"), str(step.resolve()), device="cpu")
    assert list(results.roc(source)) == ["roc-detection-fashion_mnist"]
    for path in kept.glob("last-*"):
        path.unlink()
    np.savez(kept / "last-test-detection.npz", step=11, known_softmax=known, fashion_mnist_softmax=foreign)
    with pytest.raises(plots.CannotDraw, match="what there is, is of another epoch for its checkpoint last"):
        drawn("arc", "roc")
    shutil.rmtree(kept)


def test_angles_are_to_the_nearest_of_several_directions():
    """As the head decides: the scores that it gives are the cosines of the drawn angles."""
    head = ArcFace(num_classes=4, embedding_size=3, sub_centers=3, scale=8)
    head.initialize()
    generator = np.random.default_rng(0)
    points, label = generator.standard_normal((50, 3)), generator.integers(4, size=50)
    run = SimpleNamespace(
        metric="cosine", description=head.describe(), points=lambda _: (points, label), title=str, class_names="abcd"
    )
    weights = losses._directions(run, "angles")
    scores = run.description["score"](points) / 8
    own = geometry.angles_to_nearest(points, label, weights)
    np.testing.assert_allclose(np.cos(np.radians(own)), scores[np.arange(50), label], atol=1e-5)
    scores[np.arange(50), label] = -np.inf
    other = losses._nearest_other_angle(points, label, weights)
    np.testing.assert_allclose(np.cos(np.radians(other)), scores.max(axis=1), atol=1e-5)
    assert list(losses.angles(run)) == ["angles"]


def test_what_training_leaves_behind(folder):
    common = {"training", "embedding-train", "embedding-test", "norms", "confusion-test"}
    for name in RUNS:
        files = sorted((folder / name / "plots").iterdir())
        assert {file.stem for file in files} == common | ({"decisions-test"} if name in ("arc", "lgm") else set())
        for file in files:
            with Image.open(file) as image:
                assert min(image.size) > 300


@pytest.mark.parametrize(
    ("run", "kind", "sentence"),
    [
        ("lgm_many", "space", "space needs an embedding of 3 dimensions; this run's has 6."),
        ("center", "circle", "circle needs an embedding of 2 dimensions; this run's has 3."),
        ("lgm", "circle", "circle is for losses that decide by the angle; lgm decides by the distance."),
        ("lgm_many", "decisions", "decisions needs an embedding of 2 dimensions; this run's has 6."),
        ("lgm_many", "animation", "animation needs the embeddings of each epoch, which training keeps where"),
        ("lgm", "angles", "angles is for losses that decide by the angle; lgm decides by the distance, which the kind"),
        ("lgm", "angles-per-class", "angles-per-class is for losses that decide by the angle; lgm decides by"),
        ("arc", "distances", "distances needs class means or centers, and arcface without a center loss has none."),
    ],
)
def test_what_a_run_cannot_give_is_said(drawn, run, kind, sentence):
    with pytest.raises(plots.CannotDraw, match=re.escape(sentence)):
        drawn(run, kind)


def test_the_command_draws_each_run_into_its_own_folder(folder, tmp_path, capsys):
    runs = []
    for name in ("arc", "lgm_many"):
        runs.append(str(tmp_path / name))
        shutil.copytree(folder / name, runs[-1])
        shutil.rmtree(tmp_path / name / "plots")
    assert plot.main([*runs, "--kinds", "confusion", "circle", "--format", "svg", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{runs[0]}/plots/confusion-test.svg",
        f"{runs[0]}/plots/circle-test.svg",
        f"{runs[1]}/plots/confusion-test.svg",
    ]
    assert f"{runs[1]}: circle needs an embedding of 2 dimensions; this run's has 6.\n" in err
    assert all(pathlib.Path(line).read_text().startswith("<?xml") for line in out.splitlines())
    out_dir = tmp_path / "all"
    assert plot.main([*runs, "--kinds", "training", "--out", str(out_dir), "--format", "pdf"]) == 0
    names = {f"{tmp_path.name}-arc", f"{tmp_path.name}-lgm_many"}
    assert {p.parent.name for p in out_dir.glob("*/training.pdf")} == names
    assert plot.main([runs[0], "--kinds", "confusion", "--checkpoint", "best", "--device", "cpu"]) == 0
    assert (tmp_path / "arc" / "plots" / "best" / "confusion-test.png").exists()
    assert plot.main([runs[1], "--kinds", "circle", "--device", "cpu"]) == 2  # nothing was drawn


def test_without_a_checkpoint_the_course_of_training_is_drawn_all_the_same(folder, tmp_path, capsys):
    shutil.copytree(folder / "arc", tmp_path / "arc")
    shutil.rmtree(tmp_path / "arc" / "checkpoints")
    run = str(tmp_path / "arc")
    assert plot.main([run, "--kinds", "training", "animation", "norms", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"{run}/plots/training.png", f"{run}/plots/animation-test.gif"]
    assert f"{run}: run: {run} must hold a usable checkpoint, got none." in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "run: nowhere must be a run folder, but has no config.yaml. Name one that train.py wrote."),
        (["a", "--kinds", "anmation"], "got anmation. Did you mean animation?"),
        (["--kinds", "circle", "runs/a"], "required: RUN"),
        (["b", "--kinds", "circle", "runs/a"], "got runs/a. Name the runs before --kinds."),
        (
            ["a/x/s", "b/x/s", "--out", "c"],
            "plot: RUN must end in different names to be drawn into c, got a/x/s, b/x/s.",
        ),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    try:
        status = plot.main(arguments, "plot.py")
    except SystemExit as end:
        status = end.code
    assert status == 2
    err = capsys.readouterr().err
    assert message in err.splitlines()[-1]


def test_the_script_explains_every_kind_and_needs_no_mxnet(tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "scripts" / "plot.py", "--help"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert not re.search(r"\| +mxnet$", done.stderr, re.MULTILINE)
    for kind in pictures.KINDS:
        assert re.search(rf"^  {kind} +\w", done.stdout, re.MULTILINE)
