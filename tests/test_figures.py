"""The figures of docs/losses.md: every loss has one, drawn from its class by the tool that the page names."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from lossbench import heads, regularizers

ROOT = Path(__file__).resolve().parent.parent
TOOL = "docs/tools/figures.py"
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
            # matplotlib 3.11 sets text otherwise, and what stands around it some pixels aside; those before differ in
            # antialiasing alone.
            scale = 16 if matplotlib.__version_info__ >= (3, 11) else 1
            size = one.width // scale, one.height // scale
            gray = [np.asarray(image.convert("L").resize(size, Image.BOX), np.float64) for image in (one, other)]
            assert np.abs(gray[0] - gray[1]).mean() < 2, f"{name}: draw it anew with python {TOOL} {name}"


def test_an_unknown_figure_is_the_users_mistake(tmp_path):
    command = [sys.executable, TOOL, "--out", tmp_path, "arcfase"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "NAME must be one of target_logits, " in done.stderr
