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
