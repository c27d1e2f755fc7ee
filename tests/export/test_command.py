"""`lossbench export` of trained runs: what it writes, what it says of it, and what it refuses."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lossbench import cli, registry
from lossbench._mxnet import mx
from lossbench.runs import Run

pytest.importorskip("onnx", minversion="1.16")
onnxruntime = pytest.importorskip("onnxruntime")

nn = mx.gluon.nn
CONFIG = """\
data: {source: folder, root: images, image_size: [12, 16], channels: 3, batch_size: 8, validation_fraction: 0}
backbone: {name: lenet, embedding_size: 4}
head: {name: lgm, variance: isotropic}
optimizer: {name: adam, learning_rate: 0.001}
trainer: {epochs: 1, progress: none}
evaluation: {methods: [softmax], pictures: [], embeddings_every_epochs: null}
"""
SAID = (
    r"Worst difference from the run: \d\.\de-\d\d, where the largest value is \S+ \((\d\.\de-\d\d) of it\), on (.+)\.\n"
)


def call(command, *arguments, cwd, status=0):
    """Run a command in this process; returns its output, or the last line of its errors."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                ended = cli.main([command, *map(str, arguments)])
            except SystemExit as stopped:  # argparse
                ended = stopped.code
    assert ended == status, err.getvalue()
    return out.getvalue() if status == 0 else err.getvalue().strip().splitlines()[-1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with images of two classes, and a run of L-GM on them."""
    folder = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, color in (("red=1", (200, 30, 30)), ("blau ü", (20, 20, 180))):
            (folder / "images" / part / name).mkdir(parents=True)
            for k in range(8):
                pixels = np.clip(rng.normal(color, 30, (12, 16, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "images" / part / name / f"{k}.png")
    (folder / "own.yaml").write_text(CONFIG)
    call("train", "--config", "own.yaml", "--run-dir", "run", cwd=folder)
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run alone, beside an image."""
    shutil.copytree(trained / "run", tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    shutil.copy(trained / "images/test/red=1/0.png", tmp_path / "red.png")
    return tmp_path / "run"


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_a_run_becomes_one_file_that_knows_what_serving_needs(trained):
    out = call("export", "--run", "run", cwd=trained)
    share, images = re.fullmatch(
        r"run/export/logits\.onnx\n"
        r"onnx, opset 13: image \(batch, 3, 12, 16\) uint8 -> logits \(batch, 2\) float32\n" + SAID,
        out,
    ).groups()
    assert float(share) < 1e-5
    assert images == "16 test images"
    served = session(trained / "run/export/logits.onnx")
    about = json.loads(served.get_modelmeta().custom_metadata_map["lossbench"])
    assert about["class_names"] == ["blau ü", "red=1"]
    assert about["input"]["shape"] == ["batch", 3, 12, 16]
    assert (about["input"]["colors"], about["normalized_inside"], about["opset"]) == ("RGB", True, 13)
    assert (about["head"], about["metric"]) == ("lgm", "density")
    assert (about["checkpoint"], about["epoch"], about["step"]) == ("last", 1, 2)
    assert about["mean"] == Run(trained / "run").data["mean"]

    call("embed", "--run", "run", "--out", "test.npz", cwd=trained)
    expected = np.load(trained / "test.npz")
    names = sorted((trained / "images/test").glob("*/*.png"))
    images = np.stack([np.asarray(Image.open(name)).transpose(2, 0, 1) for name in names])
    for count in (1, 5, 16):
        (logits,) = served.run(["logits"], {"image": images[:count]})
        np.testing.assert_allclose(logits, expected["logits"][:count], rtol=1e-4)


def test_plain_mxnet_runs_a_symbol(trained, tmp_path):
    out = call("export", "--run", "run", "--format", "symbol", "--output", "embedding", "--out", "served", cwd=trained)
    assert out.splitlines()[:3] == ["served-symbol.json", "served-0000.params", "served.json"]
    assert json.loads((trained / "served.json").read_text())["output"]["shape"] == ["batch", 4]
    code = """
import lossbench  # for the names that MXNet misses in a later NumPy
import warnings; warnings.simplefilter("ignore")
import mxnet as mx, numpy as np
block = mx.gluon.SymbolBlock.imports("served-symbol.json", ["image"], "served-0000.params")
np.save("found.npy", block(mx.nd.zeros((3, 3, 12, 16), dtype="uint8")).asnumpy())
"""
    subprocess.run([sys.executable, "-c", code], cwd=trained, check=True, timeout=100)
    call("export", "--run", "run", "--output", "embedding", "--out", "served.onnx", cwd=trained)
    expected = session(trained / "served.onnx").run(None, {"image": np.zeros((3, 3, 12, 16), np.uint8)})[0]
    np.testing.assert_allclose(np.load(trained / "found.npy"), expected, rtol=1e-4, atol=1e-5)


def test_images_may_be_given_and_noise_serves_where_there_are_none(run):
    out = call("export", "--run", "run", "--output", "log_density", "red.png", "red.png", cwd=run.parent)
    assert re.search(SAID, out)[2] == "2 images given"
    out = call("export", "--run", "run", "--output", "log_density", cwd=run.parent)
    assert re.search(SAID, out)[2].startswith("32 images of noise, for the run's own cannot be read (data: ")


class Weighted(mx.gluon.HybridBlock):
    """Channels weighed by their mean over the image, written so that MXNet's exporter mistakes the axes."""

    def __init__(self, image_shape, embedding_size=None):
        super().__init__()
        self.embedding_size = embedding_size or 4
        with self.name_scope():
            self.first = nn.Conv2D(4, 3, padding=1, in_channels=image_shape[0])
            self.last = nn.Dense(self.embedding_size, in_units=4 * image_shape[1] * image_shape[2])

    def hybrid_forward(self, F, x):
        x = self.first(x)
        return self.last(F.broadcast_mul(x, self.weighed(F, x)))

    def weighed(self, F, x):
        return F.mean(x, axis=(0, 1), exclude=True, keepdims=True)


class Turned(Weighted):
    """With `1 - parameter` and slopes a channel, of which MXNet's own converters make something else."""

    def __init__(self, **options):
        super().__init__(**options)
        with self.name_scope():
            self.rectifier = nn.PReLU(in_channels=4)
            self.share = self.params.get("share", shape=(1, 4, 1, 1), init=mx.init.Constant(0.3))

    def hybrid_forward(self, F, x, share):
        return self.last(self.rectifier(F.broadcast_mul(self.first(x), 1 - share)))


class Unknown(Weighted):
    def weighed(self, F, x):
        return F.erf(x)


@pytest.mark.parametrize(
    ("network", "status", "said"),
    [
        (Turned, 0, "onnx, opset 13: image"),
        (
            Weighted,
            1,
            r"export: the exported network must compute what the run does, within 0\.0001 of the largest value, got a "
            r"difference of \S+ where that is \S+, on 16 test images\. MXNet's ONNX exporter converts mean \(\S+\) "
            r"wrongly\. Write that layer with other operators, or export with --format symbol\. Nothing was written\.",
        ),
        (Unknown, 2, r"No conversion function registered for op type erf yet\. Write that layer with other operators"),
    ],
)
def test_a_network_of_ones_own_is_right_or_refused(trained, tmp_path, network, status, said):
    with registry.added(backbones={"own": network}):
        options = ["backbone.name=own", f"data.root={trained / 'images'}"]
        call("train", "--config", trained / "own.yaml", "--run-dir", "run", *options, cwd=tmp_path)
        assert re.search(said, call("export", "--run", "run", "--out", "own.onnx", cwd=tmp_path, status=status))
        assert (tmp_path / "own.onnx").exists() == (status == 0)
        call("export", "--run", "run", cwd=tmp_path, status=status)
        assert (tmp_path / "run/export").exists() == (status == 0)
        call("export", "--run", "run", "--format", "symbol", "--out", "own", cwd=tmp_path)


@pytest.mark.parametrize(("form", "name"), [("onnx", "out/a.onnx"), ("symbol", "out/a")])
@pytest.mark.parametrize(("change", "said"), [("", "No space left on device"), ("ro", "Read-only file system")])
def test_a_disk_that_is_full_or_read_only_leaves_what_was_there(run, form, name, change, said):
    folder = run.parent / "out"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs root, to mount a small file system")
    try:
        before = {folder / "a.onnx": b"old", folder / "a-symbol.json": b"old", folder / "a.json": b"old"}
        for path, content in before.items():
            path.write_bytes(content)
        if change:
            subprocess.run(["mount", "-o", f"remount,{change}", folder], check=True)
        error = call("export", "--run", "run", "--format", form, "--out", name, "red.png", cwd=run.parent, status=1)
        assert said in error
        assert name in error
        assert {path: path.read_bytes() for path in folder.iterdir()} == before
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("red.png/a.onnx", "argument --out: must lie in a folder that can be made: "),
        ("folder", "argument --out: must be a file, got the folder folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(run, out, said):
    (run.parent / "folder").mkdir()
    assert said in call("export", "--run", "run", "--out", out, "red.png", cwd=run.parent, status=2)
    assert not list((run.parent / "folder").iterdir())


def test_a_damaged_run_is_refused(run):
    (checkpoint,) = Run(run).steps()
    (checkpoint / "backbone.params").write_bytes((checkpoint / "backbone.params").read_bytes()[:-9])
    error = call("export", "--run", "run", cwd=run.parent, status=2)
    assert error.startswith("run: run must hold a usable checkpoint, got none.")
    assert not (run / "export").exists()


def test_what_is_missing_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    error = call("export", "--run", "run", "red.png", cwd=run.parent, status=2)
    assert error.startswith("export: onnx 1.16 to 1.18 and onnxruntime must be installed, got ImportError")
    assert "Run: pip install 'onnx>=1.16,<1.19' onnxruntime, or export with --format symbol." in error
