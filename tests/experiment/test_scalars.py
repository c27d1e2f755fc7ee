"""`trainer.tensorboard`: what a run writes for TensorBoard, read back from its event files."""

import json
import struct
import sys
from collections import Counter

import pytest

from lossbench import config, experiment

pytest.importorskip("tensorboardX")
from tensorboardX.proto import event_pb2

CONFIG = """\
data: {source: digits, batch_size: 128, validation_fraction: 0.1}
backbone: {name: lenet, embedding_size: 2}
head: {name: lgm, margin: 0.3}
optimizer: {name: nag, learning_rate: 0.01}
schedule: {name: cosine}
anneal: {head.margin: {kind: linear, start: 0, end: 0.3, epochs: 1}}
trainer: {epochs: 2, progress: none, tensorboard: true}
evaluation: {methods: [softmax, knn], pictures: [], embeddings_every_epochs: null}
"""


def read(folder):
    """(tag, step) -> values, of every event file of a folder: length, its checksum, event, its checksum."""
    found = {}
    for path in (folder / "tensorboard").iterdir():
        content, place = path.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack("<Q", content[place : place + 8])
            event = event_pb2.Event.FromString(content[place + 12 : place + 12 + length])
            place += length + 16
            for value in event.summary.value:
                found.setdefault((value.tag, event.step), []).append((value.simple_value, event.wall_time))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two epochs, resumed for a third."""
    folder = tmp_path_factory.mktemp("scalars")
    (folder / "tiny.yaml").write_text(CONFIG)
    experiment.run(config.load(folder / "tiny.yaml"), folder / "run")
    before = read(folder / "run")
    (folder / "before.json").write_text(json.dumps([[*key, values] for key, values in before.items()]))
    experiment.run(config.load(folder / "tiny.yaml", ["trainer.epochs=3"]), folder / "run", resume=True)
    return folder


def test_every_number_of_the_history_is_there_once_at_its_step(folder):
    found = read(folder / "run")
    rows = [json.loads(line) for line in (folder / "run" / "history.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    expected = {}
    for row in rows:
        for name, value in row.items():
            if name not in ("epoch", "step", "seconds"):
                tag = "head/margin" if name == "head.margin" else f"training/{name}"
                expected[tag, row["step"]] = pytest.approx(value, rel=1e-6)
    assert {tag for tag, _ in expected} >= {
        "training/loss", "training/accuracy", "training/validation_accuracy", "training/learning_rate",
        "training/images_per_second", "head/margin",
    }  # fmt: skip
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    for which in ("last", "best"):
        for split in ("validation", "test"):
            for name in ("accuracy", "accuracy_knn"):
                expected[f"{which}/{split}/{name}", metrics[which]["step"]] = pytest.approx(
                    metrics[which][split][name], rel=1e-6
                )
    assert {key: values[0][0] for key, values in found.items()} == expected
    assert Counter(len(values) for values in found.values()) == {1: len(expected)}


def test_a_resumed_run_keeps_the_times_of_its_earlier_epochs_in_order(folder):
    found = read(folder / "run")
    times = [moment for (tag, _), values in sorted(found.items()) if tag == "training/loss" for _, moment in values]
    rows = [json.loads(line) for line in (folder / "run" / "history.jsonl").read_text().splitlines()]
    assert times == sorted(times)
    assert times[1] - times[0] == pytest.approx(rows[1]["seconds"], abs=1e-3)


def test_the_first_training_wrote_its_own_metrics_at_its_own_end(folder):
    before = {(tag, step): values for tag, step, values in json.loads((folder / "before.json").read_text())}
    (step,) = {step for tag, step in before if tag.startswith("last/test/")}
    assert step == max(step for _, step in before)


def test_without_the_package_nothing_is_begun_and_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ValueError, match=r"^trainer: tensorboard needs .*pip install tensorboardX; or set .*=false\.$"):
        experiment.run(config.load(tmp_path / "tiny.yaml"), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_it_is_off_by_default(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace(", tensorboard: true", "").replace("epochs: 2", "epochs: 1"))
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    experiment.run(config.load(tmp_path / "tiny.yaml"), tmp_path / "run")
    assert not (tmp_path / "run" / "tensorboard").exists()
