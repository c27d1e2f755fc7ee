"""The figures of docs/losses.md: what is drawn, and that the values are those of the losses."""

import math
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from lossbench import plots
from lossbench.cli.figures import main
from lossbench.experiment import loss_figures
from lossbench.heads import LGM, AMSoftmax, ArcFace, ASoftmax, L2Softmax, LSoftmax, NormFace, Softmax
from tests.heads import reference

ROOT = Path(__file__).resolve().parent.parent.parent
RADIANS = np.radians(loss_figures.DEGREES)
DEGREES = np.linspace(0, 180, 7)


def test_curves_with_their_names_and_axes():
    curves = {"one": np.cos(np.radians(DEGREES)), "two": -np.ones(7)}
    length = plots.Panel(np.arange(4), {"three": np.arange(4) ** 2}, xlabel="length", ylabel="penalty", title="right")
    figure = plots.target_logit([plots.Panel(DEGREES, curves, title="left"), length], title="a loss")
    left, right = figure.axes
    assert figure.get_suptitle() == "a loss"
    assert (left.get_title(), right.get_title()) == ("left", "right")
    assert left.get_xlabel() == "angle to the class weight (degrees)"
    assert left.get_ylabel() == "training logit of the true class"
    assert (right.get_xlabel(), right.get_ylabel()) == ("length", "penalty")
    np.testing.assert_array_equal(left.get_xticks(), [0, 30, 60, 90, 120, 150, 180])
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["one", "two"]
    for line, values in zip(left.lines, curves.values()):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([DEGREES, values], axis=1))
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [0, 1, 4, 9])
    drawn = [(line.get_color(), line.get_linestyle()) for line in left.lines]
    assert len({color for color, _ in drawn}) == len({dash for _, dash in drawn}) == 2
    figure.draw_without_rendering()


@pytest.mark.parametrize("values", [np.ones(6), np.full(7, np.nan), np.r_[np.ones(6), np.inf]])
def test_a_curve_that_does_not_fit_is_refused(values):
    with pytest.raises(ValueError, match="target_logit: curve 'a' must have one finite value for each of the 7 x, got"):
        plots.target_logit([plots.Panel(DEGREES, {"a": values})], title="t")


def test_no_panel():
    with pytest.raises(ValueError, match="target_logit: `panels` must have at least one panel, got none"):
        plots.target_logit([], title="t")


def psi(margin):
    return np.array([reference.psi(theta, margin) for theta in RADIANS])


def arc(guard, margin):
    return np.array([guard(theta, margin) for theta in RADIANS])


@pytest.mark.parametrize(
    ("head_class", "options", "expected"),
    [
        (Softmax, {"length": 4, "weight_length": 0.5}, 2 * np.cos(RADIANS)),
        (L2Softmax, {"scale": 16, "length": 7, "weight_length": 0.5}, 8 * np.cos(RADIANS)),
        (NormFace, {"scale": 32, "weight_length": 3}, 32 * np.cos(RADIANS)),
        (AMSoftmax, {"scale": 30, "margin": 0.35}, 30 * (np.cos(RADIANS) - 0.35)),
        (ArcFace, {"scale": 64, "margin": 0.5}, 64 * arc(reference.additive_angle, 0.5)),
        (ArcFace, {"scale": 64, "margin": 1.0}, 64 * arc(reference.additive_angle, 1.0)),
        (
            ArcFace,
            {"scale": 64, "margin": 0.5, "easy_margin": True},
            64 * arc(reference.easy_additive_angle, 0.5),
        ),
        (LSoftmax, {"margin": 3, "length": 2, "weight_length": 3}, 6 * psi(3)),
        (LSoftmax, {"margin": 4, "beta": 5}, (5 * np.cos(RADIANS) + psi(4)) / 6),
        (ASoftmax, {"margin": 2, "length": 2, "weight_length": 3}, 2 * psi(2)),
    ],
)
def test_the_logits_of_the_figures_are_those_of_the_formulas(head_class, options, expected):
    found = loss_figures.at_angles(head_class, **options)
    # A class weight's length and an embedding's carry the epsilon of the norms; easy margin is undecided at 90 degrees.
    decided = loss_figures.DEGREES != 90
    np.testing.assert_allclose(found[decided], expected[decided], rtol=1e-5, atol=1e-4)


def test_the_distances_penalties_and_steps_of_the_figures_are_those_of_the_formulas():
    distance = np.linspace(0, 5, 11)
    np.testing.assert_allclose(loss_figures.at_distances(distance, margin=0.3), -0.65 * distance**2, atol=1e-9)
    wide = loss_figures.at_distances(distance, margin=0.5, log_variance=2)
    np.testing.assert_allclose(wide, -0.75 * distance**2 / math.exp(2) - 2, rtol=1e-6)
    probability = loss_figures.probability(NormFace, 10, scale=4)
    expected = np.exp(4 * np.cos(RADIANS)) / (np.exp(4 * np.cos(RADIANS)) + 9)
    np.testing.assert_allclose(probability, expected, rtol=1e-6)
    ring = loss_figures.RingLoss(loss_weight=0.1, radius=10)
    np.testing.assert_allclose(loss_figures.penalty(ring, distance), 0.05 * (distance - 10) ** 2, rtol=1e-5)
    center = loss_figures.CenterLoss(1, 2, loss_weight=0.1, weight_initializer="zeros")
    np.testing.assert_allclose(loss_figures.penalty(center, distance), 0.05 * distance**2, rtol=1e-5)
    np.testing.assert_allclose(loss_figures.centre_step(0.5, [1, 4]), [0.25, 0.4], rtol=1e-6)


def test_the_scale_of_lgm_is_not_one_of_its_dimensions():
    """The figure's score is read with the likelihood off; its weight would shift it."""
    head = LGM(2, 2, margin=0, likelihood_weight=0)
    head.initialize()
    head.mean.set_data(loss_figures.mx.nd.zeros((2, 2)))
    np.testing.assert_allclose(loss_figures.training_logit(head, np.array([[3.0, 4.0]])), [-12.5])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every figure, drawn by the command."""
    folder = tmp_path_factory.mktemp("figures")
    command = [sys.executable, "scripts/figures.py", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(folder / f"{name}.png") for name in loss_figures.FIGURES]
    return folder


def test_the_command_draws_what_the_documentation_shows(folder):
    shown = set(re.findall(r"\(images/(\w+)\.png\)", (ROOT / "docs/losses.md").read_text(encoding="utf-8")))
    assert shown == set(loss_figures.FIGURES)
    for name in shown:
        new, kept = folder / f"{name}.png", ROOT / "docs/images" / f"{name}.png"
        assert new.stat().st_size < 60_000
        with Image.open(new) as one, Image.open(kept) as other:
            assert one.size == other.size, name
            # matplotlib 3.11 sets text otherwise, and what stands around it some pixels aside; those before differ in
            # antialiasing alone.
            scale = 16 if matplotlib.__version_info__ >= (3, 11) else 1
            size = one.width // scale, one.height // scale
            grey = [np.asarray(image.convert("L").resize(size, Image.BOX), np.float64) for image in (one, other)]
            assert np.abs(grey[0] - grey[1]).mean() < 4, name


def test_an_unknown_figure_is_the_users_mistake(capsys, tmp_path):
    assert main(["--out", str(tmp_path), "arcfase"], "figures.py") == 2
    assert "figures: NAME must be one of target_logits, softmax," in capsys.readouterr().err
    assert main(["--out", str(tmp_path / "new"), "softmax"], "figures.py") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "new/softmax.png")
