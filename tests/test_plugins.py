"""Losses, backbones and data of one's own, by the real command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench import contract, heads, plugins, registry
from lossbench._mxnet import mx

ROOT = Path(__file__).parents[1]
BROUGHT = """
from lossbench import Softmax, backbones, data
class Mine(Softmax):
    "Softmax of my own."
def photos(section, seed):
    from types import SimpleNamespace
    from lossbench.data import synthetic
    return synthetic.load(SimpleNamespace(num_classes=3, image_size=8, channels=1, train_size=60, test_size=30), seed)
def net(image_shape, embedding_size=None, *, width=4):
    from lossbench.backbones.convnet import ConvNet
    return ConvNet(image_shape=image_shape, embedding_size=embedding_size)
HEADS = {"mine": Mine}
BACKBONES = {"net": net}
SOURCES = {"photos": photos}
"""
CONFIG = """
data: {source: photos, batch_size: 20, validation_fraction: 0}
backbone: {name: net, width: 8}
head: {name: mine, use_bias: true}
optimizer: {name: nag, learning_rate: 0.01}
trainer: {epochs: 1, progress: none}
evaluation: {methods: [softmax], pictures: [], embeddings_every_epochs: null}
"""


def run(*arguments, cwd, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", "import sys; from lossbench.cli import main; sys.exit(main())", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a plugin, a config and a run of them."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "brought.py").write_text(BROUGHT)
    (folder / "mine.yaml").write_text(CONFIG)
    code, out, err = run("train", "--plugin", "brought.py", "--config", "mine.yaml", "--run-dir", "run", cwd=folder)
    assert code == 0, err
    return folder


def test_a_run_of_a_plugin_is_evaluated_by_every_command_that_is_given_it(trained):
    code, out, err = run("eval", "--run", "run", "--method", "knn", cwd=trained, LOSSBENCH_PLUGINS="brought.py")
    assert (code, err) == (0, "")
    assert "accuracy_knn" in out
    assert run("embed", "--run", "run", "--out", "e.npz", "--plugin", "brought.py", cwd=trained)[0] == 0
    assert run("plot", "run", "--kind", "norms", "--plugin", "brought.py", cwd=trained)[0] == 0
    assert run("report", "run", cwd=trained)[0] == 0, "a report needs no code"
    measured = ["--sizes", "8x4x3", "--heads", "mine", "--repetitions", "3", "--no-peers"]
    code, out, err = run("benchmark", "heads", "--plugin", "brought.py", *measured, cwd=trained)
    assert code == 0, err
    assert re.search(r"^  Mine +\d+\.\d\d ", out, re.MULTILINE), out


def test_without_its_plugin_a_run_says_which_one_is_missing(trained):
    for command in (["eval"], ["embed", "--out", "e.npz"]):
        code, out, err = run(*command, "--run", "run", cwd=trained)
        assert (code, err) == (
            2,
            "run: run needs the plugin brought, which was not loaded. Name its file: --plugin brought.py.\n",
        )
    environment = (trained / "run" / "environment.json").read_text()
    assert str(trained) not in environment.partition('"plugins"')[2].partition("}")[0]


def test_another_version_is_named_and_not_resumed(trained, tmp_path):
    changed = tmp_path / "brought.py"
    changed.write_text(BROUGHT + "\n# changed\n")
    code, out, err = run("eval", "--run", "run", "--method", "softmax", "--plugin", str(changed), cwd=trained)
    assert code == 0
    assert "The plugin brought has changed since the run was trained" in err
    arguments = ["--config", "mine.yaml", "trainer.epochs=2", "--run-dir", "run", "--resume"]
    code, out, err = run("train", "--plugin", str(changed), *arguments, cwd=trained)
    assert code == 2
    assert "run: run must go on as it began. The plugin brought has changed" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1\n", "must have one of the tables HEADS, REGULARIZERS, BACKBONES, SOURCES, got none"),
        ("HEADS = [1]\n", "HEADS must be a dict of names and classes, got [1]"),
        ("HEADS = {'softmax': int}\n", "HEADS: name must not be one that there is already, got 'softmax'"),
        ("HEADS = {'mine': 3}\n", "HEADS: mine must be a class or a function, got one int. Name the class itself"),
        (
            "from lossbench import CenterLoss\nREGULARIZERS = {'mine': CenterLoss(3, 2)}\n",
            "REGULARIZERS: mine must be a class or a function, got one CenterLoss.",
        ),
        ("import nothing_of_that_name\n", "must run as Python, got ModuleNotFoundError"),
        (None, "must be a Python file, but there is none"),
    ],
)
def test_a_bad_plugin_is_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "bad.py").write_text(content)
    code, out, err = run("losses", "--plugin", "bad.py", cwd=tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


@pytest.mark.parametrize(
    ("name", "has"),
    [
        *((name, "a loss that there is already") for name in ("arcface", "sphereface", "center")),
        *((name, "a module that Python finds, which the file would hide") for name in ("random", "numpy")),
    ],
)
def test_a_new_loss_has_a_name_of_its_own(tmp_path, name, has):
    code, out, err = run("new-loss", name, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err == f"new-loss: NAME must not be {has}, got {name!r}. Try my_{name}.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_new_loss_is_not_written_into_a_file(tmp_path):
    (tmp_path / "file").touch()
    code, out, err = run("new-loss", "my_loss", "--folder", "file", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.endswith("error: argument --folder: must be a folder, got the file file\n")


def test_an_installed_package_brings_its_losses(tmp_path):
    (tmp_path / "brought.py").write_text(BROUGHT)
    info = tmp_path / "brought-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lossbench.plugins]\nbrought = brought\n")
    code, out, err = run("losses", "mine", cwd=tmp_path, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert (code, err) == (0, "")
    assert out.startswith("mine (Mine)\n\nSoftmax of my own.\n\nParameters\n")


def test_losses_are_listed():
    code, out, err = run("losses", cwd=ROOT)
    assert (code, err) == (0, "")
    for name in registry.HEADS.built_in():
        assert re.search(rf"^  .*\b{name}\b", out, re.MULTILINE), name
    code, out, err = run("losses", "arcfase", cwd=ROOT)
    assert code == 2
    assert "Did you mean arcface?" in err


class Plain(mx.gluon.HybridBlock):
    """A block that is no head."""

    def hybrid_forward(self, F, embedding, label):
        return F.mean(embedding), embedding


class Half(heads.Head):
    """A head without a loss."""

    names = ("half",)

    def logits(self, F, embedding):
        return embedding


def test_what_a_loss_lacks_is_said_before_training():
    with registry.added(heads={"plain": lambda classes, size: Plain(), "half": Half, "no block": lambda *_: 3}):
        for name, message in [
            (
                "plain",
                "head plain: `Plain` must have predict, prototypes, describe, metric, .*. Derive it",
            ),
            ("half", "head half: `Half` must have loss, prototypes, got none of its own. See the docstring"),
            ("no block", "head no block: `int` must be a HybridBlock, got 3"),
        ]:
            with pytest.raises(ValueError, match=message):
                heads.build({"name": name}, 3, 2)
    block = Plain()
    block.initialize()
    with pytest.raises(ValueError, match=r"must return a loss \(2,\) and logits \(2, 3\) for 2 embeddings, got \(1,\)"):
        contract.require_outputs(block, 2, 3, "plain", mx.cpu())


BY_FUNCTIONS = """
import mxnet as mx
from lossbench import Softmax

class Penalty(mx.gluon.HybridBlock):
    needs_calibration = False
    def __init__(self, power):
        super().__init__()
        self.power = power
        self.scale = self.params.get("scale", shape=(1,), init=mx.init.One())
    def hybrid_forward(self, F, embedding, label, scale):
        return F.broadcast_mul(F.sum(F.abs(embedding) ** self.power, axis=1), scale)
    def scheduled(self):
        return {}
    def default_groups(self):
        return []
    set_scheduled = row_weights = calibrate = prototypes = lambda self, *arguments: None

class Mean(Penalty):
    def hybrid_forward(self, F, embedding, label, scale):
        return F.mean(embedding) * scale

class Mine(mx.gluon.HybridBlock):
    metric = "euclidean"
    def __init__(self, *sizes):
        super().__init__()
        self.inner = Softmax(*sizes)
        for name in ("predict", "prototypes", "describe", "check_labels", "scheduled", "set_scheduled"):
            object.__setattr__(self, name, getattr(self.inner, name))
    def hybrid_forward(self, F, embedding, label):
        return self.inner(embedding, label)

def mine(num_classes, embedding_size):
    return Mine(num_classes, embedding_size)
def one(*, power=1):
    return Penalty(power)
def other(*, power=2):
    return Penalty(power)
def mean():
    return Mean(1)
HEADS = {"mine": mine}
REGULARIZERS = {"one": one, "other": other, "mean": mean}
"""


def test_functions_that_build_plain_blocks_serve_as_losses(tmp_path):
    """Each has the name that it has in the config: in files, and in the message of a loss that is not finite."""
    (tmp_path / "mine.py").write_text(BY_FUNCTIONS)
    plugin = ["softmax_digits", "--plugin", "mine.py", "head={name: mine}", "trainer.epochs=1"]
    quick = [*plugin, "data.limit=200", "evaluation={methods: [softmax], pictures: []}"]
    both = [*quick, "regularizers=[{name: one}, {name: other}]"]
    code, _, err = run("train", *both, "optimizer.learning_rate=1e-4", "--run-dir", "run", cwd=tmp_path)
    assert code == 0, err
    (file,) = tmp_path.glob("run/checkpoints/*/regularizers.params")
    assert set(mx.nd.load(str(file))) == {"one.scale", "other.scale"}
    code, _, err = run("train", *both, "optimizer.learning_rate=1e30", "--run-dir", "bad", cwd=tmp_path)
    assert (code, "Traceback" in err) == (1, False)
    assert re.search(r"trainer: loss is \w+ at epoch 1, step \d+ \(learning_rate \S+, head mine\)", err)
    code, _, err = run("train", *quick, "regularizers=[{name: mean}]", "--run-dir", "mean", cwd=tmp_path)
    assert (code, err) == (
        2,
        "regularizer mean: `Mean` must return a penalty (2,) for 2 embeddings, got (1,). Nothing is averaged inside.\n",
    )
    code, out, _ = run("losses", "mine", "--plugin", "mine.py", cwd=tmp_path)
    assert (code, out) == (0, "mine (mine)\n\nNo docstring.\n")


ROWS_BY_HAND = """
from lossbench import Head
class Rows(Head):
    def setup(self):
        with self.name_scope():
            self.rows = self.params.get("rows", shape=(self.num_classes, self.embedding_size))
    def logits(self, F, embedding, rows):
        return F.dot(embedding, rows, transpose_b=True)
    def loss(self, F, embedding, label, rows):
        logits = self.logits(F, embedding, rows)
        return self.cross_entropy(F, logits, label), logits
    def prototypes(self):
        return self.rows.data()
HEADS = {"rows": Rows}
"""


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        (
            "BACKBONES = {'net': lambda image_shape, embedding_size=None: nn.Dense(3)}",
            ["backbone={name: net}"],
            "backbone net: must be a HybridBlock whose attribute `embedding_size` is the length of an embedding, got "
            "Dense without one. Set it before the block is returned.\n",
        ),
        (
            "SOURCES = {'photos': lambda section, seed: ([], [])}",
            ["data.source=photos"],
            "data source photos: must return a lossbench.data.Dataset, got tuple. Make one of a Split for training "
            "and one for the test.\n",
        ),
        (
            ROWS_BY_HAND,
            ["head={name: rows, sample: 0.5}", "data.batch_size=2"],
            "head.sample: Rows.rows must be registered by `_class_parameter`, got a shape that depends on the classes. "
            "Register it so, or set head.sample to 1.\n",
        ),
    ],
)
def test_what_a_part_of_a_plugin_lacks_is_one_line(tmp_path, part, options, message):
    (tmp_path / "mine.py").write_text(f"from mxnet.gluon import nn\n{part}\n")
    code, out, err = run("train", "softmax_digits", "--plugin", "mine.py", *options, cwd=tmp_path)
    assert (code, err) == (2, message)


def test_a_plugins_name_is_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_requested", [])  # what is requested here is no plugin of the tests that follow
    monkeypatch.setattr(plugins, "_loaded", {})
    one, other = tmp_path / "a" / "twin.py", tmp_path / "b" / "twin.py"
    for path, text in ((one, "HEADS = {'one': object}\n"), (other, "HEADS = {'two': object}\n")):
        path.parent.mkdir()
        path.write_text(text.replace("object", "type('T', (), {})"))
        plugins.request(path)
    with registry.added(), pytest.raises(ValueError, match="must have a name of its own, but another twin is loaded"):
        registry.HEADS.table()


@pytest.mark.slow
def test_the_page_on_a_loss_of_ones_own(tmp_path):
    """Every command of docs/own_loss.md, in its order."""
    page = (ROOT / "docs" / "own_loss.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (.*)$", page, re.MULTILINE)
    assert len(commands) == 8
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    main = "import sys; from lossbench.cli import main; sys.exit(main())"
    (bin_folder / "lossbench").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{main}' \"$@\"\n")
    (bin_folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for script in bin_folder.iterdir():
        script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert (tmp_path / "runs/my_loss/plots/target-logit.png").stat().st_size > 10_000
    assert "my_loss" in (tmp_path / "report.html").read_text()


USING_A_HELPER = """
from helper import factor
from lossbench import ops
from lossbench.heads.base import Head

class Scaled(Head):
    options = {}
    def setup(self):
        self._class_parameter("weight")
    def logits(self, F, embedding, weight):
        return factor() * ops.inner_product(F, embedding, weight, self.num_classes)
    def loss(self, F, embedding, label, weight):
        logits = self.logits(F, embedding, weight)
        return self.cross_entropy(F, logits, label), logits
    def prototypes(self):
        return self.weight.list_data()[0].copy()

HEADS = {"scaled": Scaled}
"""


def test_what_a_plugin_imports_counts_as_the_plugin_once_something_is_trained(tmp_path, monkeypatch):
    """A mistake mended before the first checkpoint is tried again; a helper that changes afterwards is refused."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "scaled.py").write_text(USING_A_HELPER)
    (tmp_path / "helper.py").write_text("def factor():\n    raise RuntimeError('not yet')\n")
    (tmp_path / "sweep.yaml").write_text(
        "title: Mine\nseeds: [0]\nvariants:\n  mine: {config: softmax_digits.yaml}\n"
        "overrides: {head: {name: scaled}, trainer.epochs: 1, trainer.progress: none}\n"
    )
    shutil.copytree(ROOT / "configs" / "base", tmp_path / "base")
    shutil.copy(ROOT / "configs" / "softmax_digits.yaml", tmp_path)

    def sweep(*arguments):
        command = [
            sys.executable,
            str(ROOT / "scripts" / "sweep.py"),
            "sweep.yaml",
            "--plugin",
            "scaled.py",
            *arguments,
        ]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert sweep().returncode == 1
    (tmp_path / "helper.py").write_text("def factor():\n    return 2.0\n")
    again = sweep()
    assert "not yet" in again.stderr
    assert again.stderr.endswith("What failed is trained again with --retry-failed.\n")
    mended = sweep("--retry-failed")
    assert mended.returncode == 0, mended.stderr
    (tmp_path / "helper.py").write_text("def factor():\n    return 3.0\n")
    changed = sweep()
    assert changed.returncode == 2
    assert "The plugin scaled has changed since the run was trained" in changed.stderr
    assert "Keep that file as it was" in changed.stderr
