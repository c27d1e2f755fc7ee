"""Runs on streamed records: the bits of the run in memory, also in parts and resumed; a damaged record ends one."""

import io
import json
import os
import pickle
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lossbench._mxnet import mx
from lossbench.data import batches, inspection, recordio
from tests.experiment.test_own_images import call
from tests.experiment.test_run import ROOT, assert_same, final
from tests.training.test_parts import mpiexec

CONFIG = """\
data: {source: record, train: train.rec, test: test.rec, image_size: 12, channels: 1, num_classes: 3,
       batch_size: 9, validation_fraction: 0.1, augment: {pad: 2, flip: true, cutout: 3}}
backbone: {name: lenet, embedding_size: 4}
head: {name: arcface, scale: 16}
regularizers: [{name: ring, radius: auto}]
optimizer: {name: nag, learning_rate: 0.001}
trainer: {epochs: 3, progress: none}
evaluation: {methods: [softmax, knn], pictures: []}
"""


def write(path, count, damaged=()):
    rng, writer = np.random.default_rng(count), mx.recordio.MXRecordIO(str(path), "w")
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 80 + 80 * (number % 3), (12, 12), dtype=np.uint8)).save(file, "JPEG")
        content = file.getvalue()[: -60 if number in damaged else None]
        writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, number % 3, number, 0), content))
    writer.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with records, a config, and a run that held the images in memory."""
    folder = tmp_path_factory.mktemp("streaming")
    write(folder / "train.rec", 90)
    write(folder / "test.rec", 30)
    (folder / "tiny.yaml").write_text(CONFIG)
    call("train", "--config", "tiny.yaml", "--run-dir", "held", "data.streaming=false", cwd=folder)
    return folder


def train(folder, name, *arguments, **options):
    return call(
        "train", "--config", "tiny.yaml", "--run-dir", name, "data.streaming=true", *arguments, cwd=folder, **options
    )


def metrics(run):
    return json.loads((run / "metrics.json").read_text())


def test_a_streamed_run_has_the_bits_of_the_one_in_memory(folder):
    train(folder, "streamed")
    environment = json.loads((folder / "streamed/environment.json").read_text())
    assert environment["data"]["notes"] == ["images are streamed: decoded, all would take 0.0 GB"]
    assert_same(final(folder / "streamed"), final(folder / "held"))
    assert metrics(folder / "streamed") == metrics(folder / "held")
    assert (folder / "streamed/data.png").read_bytes() == (folder / "held/data.png").read_bytes()


def test_interrupted_in_an_epoch_and_resumed_with_the_same_bits(folder, monkeypatch):
    image, read = recordio.Reader.image, []

    def interrupting(reader, row):
        read.append(row)
        if len(read) == 320:  # 81 for the statistics, 81 for the mean, 9 + 9 to begin with; an epoch has 81
            os.kill(os.getpid(), signal.SIGTERM)
        return image(reader, row)

    monkeypatch.setattr(recordio.Reader, "image", interrupting)
    train(folder, "stopped", "data.workers=3", status=143)
    step, *_, position = final(folder / "stopped")
    assert 0 < position["epoch_step"] < 9, step
    monkeypatch.undo()
    train(folder, "stopped", "data.workers=0", "--resume")
    assert_same(final(folder / "stopped"), final(folder / "held"))


def test_the_normalization_is_that_of_the_training_however_it_is_opened(folder, monkeypatch):
    monkeypatch.setattr("lossbench.data._MEASURED", 7)
    train(folder, "sampled", "trainer.epochs=1")
    kept = json.loads((folder / "sampled/data.json").read_text())
    assert kept["mean"] != json.loads((folder / "held/data.json").read_text())["mean"]
    before = metrics(folder / "sampled")
    monkeypatch.undo()
    call("eval", "--run", "sampled", "--method", "softmax", "--method", "knn", cwd=folder)
    assert metrics(folder / "sampled") == before
    train(folder, "sampled", "trainer.epochs=2", "data.streaming=false", "--resume")
    assert json.loads((folder / "sampled/data.json").read_text())["mean"] == kept["mean"]


def test_a_damaged_record_is_named_at_the_step_that_meets_it(tmp_path, monkeypatch):
    number = int(np.random.default_rng([0, 1, batches._ORDER]).permutation(90)[31])
    monkeypatch.setattr(inspection, "_MEAN_OF", 1)
    write(tmp_path / "train.rec", 90, damaged=[number])
    write(tmp_path / "test.rec", 30)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    options = ["data.normalize={mean: [0.5], std: [0.5]}", "data.validation_fraction=0"]
    _, err = train(tmp_path, "run", *options, "trainer.checkpoint_every_steps=1", status=1)
    assert f"train.rec must have whole images, got one that is cut off in record {number}." in err
    assert "It was needed in epoch 1, batch 4. Last good checkpoint: run/checkpoints/step-00000003." in err


@pytest.mark.slow
def test_two_ranks_that_decode_a_part_each_have_the_bits_of_two_devices(folder):
    script = [ROOT / "scripts" / "train.py", "--config", "tiny.yaml", "data.streaming=true"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    ranks = [mpiexec(), "-n", "2", sys.executable, "-m", "mpi4py", *script, "--distributed", "--run-dir", "ranks"]
    devices = [sys.executable, *script, "--device", "cpu:0,1", "data.streaming=false", "--run-dir", "devices"]
    for words in (ranks, devices):
        subprocess.run(words, check=True, cwd=folder, env=environment, capture_output=True, timeout=120)
    assert_same(final(folder / "ranks"), final(folder / "devices"))


def test_pairs_of_insightfaces_form_are_verified(folder):
    """A file of the test images has the metrics of a list that names them."""
    scan = recordio.scan(folder / "test.rec")
    reader = recordio.Reader(folder / "test.rec", scan)
    rows = np.random.default_rng(0).integers(0, 30, (60, 2))
    same = (scan.label[rows[:, 0]] == scan.label[rows[:, 1]]).tolist()
    encoded = [reader.image(row) for row in rows.ravel()]
    (folder / "a.bin").write_bytes(pickle.dumps((encoded, same)))
    (folder / "a.txt").write_text("".join(f"{a} {b} {int(one)}\n" for (a, b), one in zip(rows, same)))
    found = []
    for name in ("a.bin", "a.txt"):
        words = ["--method", "verification", "--pairs", name, "--json", "values.json"]
        call("eval", "--run", "held", *words, cwd=folder)
        found.append(json.loads((folder / "values.json").read_text())["verification"])
        assert found[-1].pop("pairs") == f"listed in {name}"
        found[-1].pop("arrays", None)
    assert found[0] == found[1]
    assert found[0]["cosine"]["area_under_roc"] > 0


@pytest.mark.slow
def test_the_recipe_for_faces_takes_insightfaces_form(tmp_path):
    """A record of the range of ids first, images with two labels, a range for each person last; then pairs."""
    rng, encoded = np.random.default_rng(0), []
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "train.idx"), str(tmp_path / "train.rec"), "w")

    def pack(number, labels, content=b""):
        header = struct.pack("<IfQQ", 2, 0, number, 0) + np.array(labels, np.float32).tobytes()
        writer.write_idx(number, header + content)

    pack(0, [31, 34])
    for number in range(1, 31):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "JPEG")
        encoded.append(file.getvalue())
        pack(number, [(number - 1) // 10, number], encoded[-1])
    for person in range(3):
        pack(31 + person, [1 + 10 * person, 11 + 10 * person])
    writer.close()
    (tmp_path / "property").write_text("3,32,32")
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps((encoded[:20] + encoded[5:15] * 2, [True, False] * 10)))
    options = ["data.root=.", "data.num_classes=3", "data.image_size=32", "data.batch_size=6", "data.test_fraction=0.2"]
    config = ["--config", ROOT / "configs" / "arcface_faces.yaml", "--run-dir", "run", *options, "data.streaming=true"]
    call("train", *config, "trainer.max_steps=2", "backbone.name=iresnet18", "evaluation.pairs=20", cwd=tmp_path)
    call("eval", "--run", "run", "--method", "verification", "--pairs", "lfw.bin", cwd=tmp_path)
    found = metrics(tmp_path / "run")["last"]["test"]["verification"]
    assert (found["pairs"], found["same_pairs"]) == ("listed in lfw.bin", 10)
