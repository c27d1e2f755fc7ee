"""The figures of docs/losses.md: every loss has one, drawn from its class by the tool that the page names."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt

from lossbench import heads, regularizers

ROOT = Path(__file__).resolve().parent.parent
TOOL = "docs/tools/figures.py"
# matplotlib 3.11 sets text otherwise: letters differ, axes are some pixels higher, a legend may be in another corner.
NEW_TEXT = matplotlib.__version_info__ >= (3, 11)
REACH = 8 if NEW_TEXT else 2  # pixels
NAMES = {block.config_name for block in {**heads.HEADS, **regularizers.REGULARIZERS}.values()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every figure, drawn by the tool."""
    folder = tmp_path_factory.mktemp("figures")
    done = subprocess.run(
        [sys.executable, TOOL, "--out", folder], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {Path(line).stem for line in done.stdout.split()} == NAMES | {"target_logits"}
    return folder


def test_the_tool_draws_what_the_documentation_shows(folder):
    pages = [(ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("losses.md", "loss_reference.md")]
    shown = set(re.findall(r"\(images/(\w+)\.png\)", "".join(pages)))
    assert shown == NAMES | {"target_logits"}
    for name in shown:
        new, kept = folder / f"{name}.png", ROOT / "docs/images" / f"{name}.png"
        assert new.stat().st_size < 60_000
        with Image.open(new) as one, Image.open(kept) as other:
            assert one.size == other.size, f"{name}: draw it anew with python {TOOL} {name}"
            far = max(share_far_away(one, other), share_far_away(other, one))
            assert far < 0.1, f"{name}: draw it anew with python {TOOL} {name}"
            if not NEW_TEXT:
                gray = [np.asarray(image.convert("L"), np.float64) for image in (one, other)]
                assert np.abs(gray[0] - gray[1]).mean() < 2, f"{name}: draw it anew with python {TOOL} {name}"


def share_far_away(one, other):
    """The share of one picture's colored ink, which is its curves, that has none of the other's nearby."""
    ink = [np.ptp(np.asarray(image.convert("RGB"), int), axis=-1) > 60 for image in (one, other)]
    return (distance_transform_edt(~ink[1])[ink[0]] > REACH).mean()


def test_an_unknown_figure_is_the_users_mistake(tmp_path):
    command = [sys.executable, TOOL, "--out", tmp_path, "arcfase"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "NAME must be one of target_logits, " in done.stderr


def test_pictures_of_runs_stand_beside_each_other_three_in_a_row(tmp_path):
    train = [sys.executable, "scripts/train.py", "--config", "configs/softmax_digits.yaml", "--run-dir"]
    short = ["backbone.embedding_size=2", "trainer.epochs=1", "evaluation.embeddings_every_epochs=1"]
    short += ["evaluation.methods=[softmax]", "evaluation.pictures=[]"]
    run = tmp_path / "a" / "seed-0"
    subprocess.run([*train, run, *short], cwd=ROOT, check=True, timeout=300)
    runs = [run, *(tmp_path / name / "seed-0" for name in "bcd")]
    for other in runs[1:]:
        shutil.copytree(run, other)
    sizes = {}
    for count in (1, 4):
        made = tmp_path / f"{count}.png"
        subprocess.run([sys.executable, "docs/tools/beside.py", made, *runs[:count]], cwd=ROOT, check=True, timeout=300)
        with Image.open(made) as picture:
            sizes[count] = picture.size
            ink = np.ptp(np.asarray(picture.convert("RGB"), int), axis=-1) > 60
    (wide, high), whole = sizes[1], sizes[4]
    assert whole == (3 * wide, 2 * high)
    cells = [ink[y : y + high, x : x + wide].mean() for y in (0, high) for x in (0, wide, 2 * wide)]
    assert min(cells[:4]) > 0.002  # of colored ink
    assert max(cells[4:]) == 0
