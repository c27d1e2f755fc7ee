"""docs/deploy.md, taken at its word: its code serves a run without MXNet, and says what `predict` says."""

import contextlib
import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from lossbench import cli

pytest.importorskip("onnx", minversion="1.16")
pytest.importorskip("onnxruntime")

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ALONE = "\nimport sys\nassert not {'mxnet', 'lossbench'} & set(sys.modules)\n"


def call(*arguments):
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(list(arguments)) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of the digits, exported as the page says, with two pictures."""
    folder = tmp_path_factory.mktemp("deploy")
    digit = (load_digits().images[7] * 15.9).astype(np.uint8)
    Image.fromarray(digit).save(folder / "photo.png")
    wide = np.pad(digit.repeat(3, axis=0).repeat(3, axis=1), ((0, 0), (9, 20)))
    Image.fromarray(np.stack([wide] * 3, axis=2)).save(folder / "wide.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        call("train", "lgm_digits", "trainer.epochs=2", "evaluation.pictures=[]", "--run-dir", "run")
        for words in re.findall(r"^    lossbench export --run \S+ *(.*?) *#", PAGE, re.MULTILINE):
            call("export", "--run", "run", *words.split())
        call("embed", "--run", "run", "--out", "test.npz")
        call("predict", "--run", "run", "photo.png", "wide.png", "--csv", "said.csv")
    (folder / "run/export/logits.onnx").rename(folder / "logits.onnx")
    return folder


def printed(folder, *blocks):
    (folder / "serve.py").write_text("\n".join(blocks) + ALONE, encoding="utf-8")
    done = subprocess.run([sys.executable, "serve.py"], cwd=folder, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_ten_lines_serve_a_run_without_mxnet(folder):
    lines = [line for line in BLOCKS[0].splitlines() if line]
    assert len(lines) - sum(line.startswith(("import ", "from ")) for line in lines) <= 10
    with open(folder / "said.csv", newline="") as file:
        first = next(csv.DictReader(file))
    assert printed(folder, BLOCKS[0]) == [first["class"]]


def test_the_page_says_what_predict_says(folder):
    with open(folder / "said.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    named, *lines = printed(folder, *BLOCKS)
    assert lines[:2] == [f"{row['image']} {row['class']} {float(row['probability']):.4f}" for row in rows]
    assert lines[2:4] == [f"{row['image']} nearest {row['class']}" for row in rows]
    known = np.load(folder / "test.npz")["logits"].max(axis=1)
    words = ["known" if float(row["log_density"]) >= np.quantile(known, 0.05) else "unknown" for row in rows]
    assert lines[4:] == [f"{row['image']} {word}" for row, word in zip(rows, words)]
    assert len(rows) == 2
