import itertools
import subprocess
import sys

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.text import Text

from lossbench import plots
from lossbench.plots.drawing import style


def test_no_mxnet_no_pyplot_and_no_changed_settings():
    code = (
        "import sys, warnings; warnings.simplefilter('error');"
        # matplotlib's own use of pyparsing
        "warnings.filterwarnings('ignore', category=DeprecationWarning, module='matplotlib');"
        "import matplotlib, numpy as np;"
        "settings = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'};"
        "before = settings(); from lossbench import plots;"
        "plots.scatter(np.eye(2), [0, 1], title='t'); plots.training_curves([{'epoch': 1, 'loss': 1.0}], title='t');"
        "assert settings() == before;"
        "assert 'matplotlib.pyplot' not in sys.modules and 'mxnet' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_is_whole_or_absent(tmp_path):
    figure = plots.scatter(np.eye(2), [0, 1], title="two points")
    path = plots.save(figure, tmp_path / "plots" / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in plots.save(figure, tmp_path / "plots" / "a.svg").read_bytes()

    def broken(*arguments, **options):
        raise OSError("disk full")

    figure.savefig = broken
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, tmp_path / "plots" / "b.png")
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.png", "a.svg"]


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_picture_drawn_twice_is_the_same(tmp_path, monkeypatch, ending):
    drawn = []
    for number, day in enumerate(("86400", "172800")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", day)  # what matplotlib takes for the time
        figure = plots.scatter(np.eye(2), [0, 1], title="two points")
        drawn.append(plots.save(figure, tmp_path / f"{number}.{ending}").read_bytes())
    assert drawn[0] == drawn[1]


def linear(rgb):
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 1e-6))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira, Fernandes (2009), severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colors_are_told_apart(deficiency):
    """A difference of 10 in CIELAB is seen at a glance; 8 is left where a deficiency is complete."""
    matrix = np.array(DEFICIENCIES[deficiency])
    seen = [lab(np.clip(matrix @ linear(np.array(matplotlib.colors.to_rgb(c))), 0, 1)) for c in style.COLORS]
    closest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert closest > (10 if deficiency == "none" else 8)


def test_a_hundred_classes_have_a_hundred_looks():
    assert len({(style.color(c), style.marker(c)) for c in range(100)}) == 100


def test_class_names_are_text_whatever_their_letters(tmp_path):
    names = ["$1", "a$$b", "c_d$^", "\u732b", "\U0001f9a8"]
    label = np.arange(5)
    points = np.stack([label, label % 2], axis=1).astype(float)
    plots.save(plots.confusion_matrix(np.eye(5, dtype=int), title="t", class_names=names), tmp_path / "a.png")
    figure = plots.scatter(points, label, title="t", class_names=names)
    plots.save(figure, tmp_path / "b.png")
    curves = plots.training_curves([{"epoch": 1, "loss": 1.0}], title="$a$ and $\\nothing$")
    plots.save(curves, tmp_path / "c.png")
    plots.save(plots.scatter(points, label, title="$\\nothing$"), tmp_path / "d.png")
    written = {text.get_text() for text in figure.findobj(Text)}
    assert r"\$1" in written  # matplotlib draws $1, and takes $1$ for mathematics


LONG = "arcface_mnist_margin_0.5_scale_64_lr_0.05_weight_decay_0.0005_batch_size_128"
NAMES = [f"a class of quite a long name, {number}" for number in range(25)]


def drawn_with_long_names(rng):
    turn = np.radians([0, 90, 180, 270])
    axes = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    label = np.arange(80) % 4
    points = 5 * axes[label] + rng.normal(0, 0.2, (80, 2))
    groups = {"test": rng.uniform(0, 9, 80), "train": rng.uniform(0, 9, 80)}
    yield plots.scatter(points, label, title=f"{LONG}: test embeddings", class_names=NAMES)
    yield plots.unit_circle(points, label, axes, title=f"{LONG}: directions", class_names=NAMES)
    yield plots.confusion_matrix(rng.integers(1, 9, (25, 25)), title=f"{LONG}: 10.00 % right", class_names=NAMES)
    yield plots.histograms(groups, title=f"{LONG}: norms", xlabel="norm", per="unit")
    yield plots.training_curves([{"epoch": 1, "loss": 1.0}], title=f"{LONG}: training")
    labels, title = dict.fromkeys(groups, label), f"{LONG}: by class"
    yield plots.histograms_per_class(groups, labels, title=title, xlabel="angle", class_names=NAMES)
    yield plots.gallery([[plots.Tile(np.zeros((1, 8, 8), np.uint8), NAMES[0])]], title=f"{LONG}: images")


def test_long_names_lie_within_the_picture(rng):
    for figure in drawn_with_long_names(rng):
        figure.draw_without_rendering()
        shown = [text for text in figure.findobj(Text) if any(map(str.isalpha, text.get_text())) and text.get_visible()]
        for text, box in ((text.get_text(), text.get_window_extent()) for text in shown):
            inside = -1 <= box.x0 and box.x1 <= figure.bbox.x1 + 1 and -1 <= box.y0 and box.y1 <= figure.bbox.y1 + 1
            assert inside, (text, box)
        titles = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(titles, 2))
