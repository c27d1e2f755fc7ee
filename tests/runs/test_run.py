"""Run folders as they are found: whole, damaged, hostile. No MXNet."""

import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest

from lossbench.errors import UserError
from lossbench.runs import Run, ending, environment, reading, write_arrays
from tests.report import made


def test_a_run_is_read_without_mxnet(tmp_path):
    folder = made.run(tmp_path / "run", metrics={"accuracy": 0.5})
    code = (
        "import sys; from lossbench.runs import Run; run = Run(sys.argv[1]).read_all(); "
        "assert run.is_finished and run.value('trainer.epochs') == 3 and run.seed == 0 and not run.problems; "
        "assert not {'mxnet', 'matplotlib', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, folder], check=True, timeout=120)


def planned(folder, **drawn):
    """A run whose plan asks for two values and two pictures, with both values, and pictures as given."""
    made.run(folder, metrics={"accuracy": 0.5, "confusion": {"arrays": "evaluation/last-test-confusion.npz"}})
    run = Run(folder)
    run.write_plan({"test": ["accuracy", "confusion"]}, ["training", "norms"])
    run.evaluation_of("last", 3, 30).arrays("test", "confusion", {"softmax": [[1]]})
    run.write_drawn(30, drawn)
    return folder


DRAWN = {"training": ["embedding-test.png"], "norms": {"unavailable": "no norm"}}


def test_finished_is_what_was_planned_and_nothing_less(tmp_path):
    run = Run(planned(tmp_path / "run", **DRAWN))
    assert run.is_finished
    (run.evaluation / "last-test-confusion.npz").unlink()
    assert Run(run.path).missing == ["last test: confusion"]
    Run(run.path).evaluation_of("last", 3, 30).values("test", {"confusion": 1})
    assert Run(run.path).is_finished
    (run.plots / "embedding-test.png").unlink()
    assert Run(run.path).missing == ["pictures: training"]


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda run: run.write_drawn(20, DRAWN), "pictures: training, norms"),
        (lambda run: run.write_drawn(30, {"training": ["embedding-test.png"]}), "pictures: norms"),
        (lambda run: run.evaluation_of("last", 3, 31).values("test", {"accuracy": 1, "confusion": 1}),
         "last test: accuracy, confusion"),
        (lambda run: run.write_history(run.history[:2]), "2 of 3 epochs are done"),
        (lambda run: (run.path / "plan.json").write_text("{"), "plan.json does not say what was to be measured"),
        (lambda run: run.write_history([{**row, "validation_accuracy": 0.5} for row in run.history]),
         "best test: accuracy, confusion"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(tmp_path, change, missing):
    run = Run(planned(tmp_path / "run", **DRAWN))
    change(run)
    after = Run(run.path)
    assert not after.is_finished
    assert after.missing == [missing]


@pytest.mark.parametrize("reason", [{"unavailable": "too few"}, {"cosine": {"unavailable": "too few"}}])
def test_a_reason_takes_the_place_of_a_reason_alone(tmp_path, reason):
    run = Run(made.run(tmp_path / "run", metrics={}))
    record = run.evaluation_of("last", 3, 30)
    record.values("test", {"verification": {"unavailable": "none"}, "retrieval": {"cosine": {"map_at_r": 0.5}}})
    record.values("test", {"verification": reason, "retrieval": reason, "knn": reason})
    found = Run(run.path).metrics["last"]["test"]
    assert found == {"verification": reason, "retrieval": {"cosine": {"map_at_r": 0.5}}, "knn": reason}
    record.values("test", {"verification": {"cosine": {"accuracy": 1.0}}})
    assert Run(run.path).metrics["last"]["test"]["verification"] == {"cosine": {"accuracy": 1.0}}


def test_early_stopping_ends_a_training_before_its_last_epoch(tmp_path):
    folder = made.run(tmp_path / "run", metrics={"accuracy": 0.5})
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace("epochs: 3", "epochs: 9"))
    assert not Run(folder).is_finished
    text = (folder / "config.yaml").read_text().replace("epochs: 9", "epochs: 9, early_stopping_epochs: 2")
    (folder / "config.yaml").write_text(text)
    Run(folder).write_history([{**row, "validation_accuracy": 1 / row["epoch"]} for row in Run(folder).history])
    assert Run(folder).is_finished
    Run(folder).write_history([{**row, "validation_accuracy": row["epoch"]} for row in Run(folder).history])
    assert not Run(folder).is_finished


def test_a_torn_history_is_made_up_for_by_the_newest_checkpoint(tmp_path):
    folder = made.run(tmp_path / "run", metrics={"accuracy": 0.5})
    Run(folder).write_history(Run(folder).history[:1])
    assert not Run(folder).is_finished
    state = {"step": 30, "position": {"epoch": 4, "best": None, "stopped_early": False}}
    (folder / "checkpoints" / "step-00000030").mkdir(parents=True)
    (folder / "checkpoints" / "step-00000030" / "state.json").write_text(json.dumps(state))
    assert Run(folder).is_finished


HUGE = "1" + "0" * 4000
FILES = {
    "history.jsonl": [
        '{"epoch": 4, "step": 40, "' + "a" * 200 + '": 1}',
        json.dumps({"epoch": 4, **{f"head.{k}": k for k in range(99)}}),
        '{"epoch": 4, "step": 40, "loss": NaN}', '{"epoch": 4, "step": HUGE, "loss": 1}',
        "[[[", "3", "null", "\x00",
        '{"epoch": true, "step": 1}', '{"epoch": HUGE}', '{"epoch": 1' + "0" * 5000 + "}", "[" * 100_000,
        '{"epoch": 2, "step": 40, "loss": 1}', '{"epoch": 4, "loss": "1", "step": -1, "seconds": [1]}',
    ],
    "metrics.json": [
        "{", "[1]", "null", '{"last": []}', '{"last": {"epoch": 3, "step": 30, "test": {"accuracy": HUGE}}}',
        '{"last": {"epoch": 3, "step": "x", "test": {"accuracy": 1}}}', '{"a": ' * 90_000,
        '{"last": {"epoch": 3, "step": 30, "test": ' + '{"a": ' * 300 + "1" + "}" * 302,
        '{"last": {"epoch": 3, "step": 30, "test": {"per_class": {"x": 3, "y": [1]}, "accuracy": NaN}}}',
    ],
    "environment.json": [
        "{", "7", '{"data": {"checksums": [1]}}', '{"versions": HUGE, "data": HUGE}', "[" * 100_000,
        '{"data": {"checksums": {"a": {"b": []}}, "notes": {"a": 1}}, "git": {"commit": []}}',
    ],
    "config.yaml": [
        "name: [", "- 1", "seed: 0", "name: one\nseed: x\ndata: {source: mnist}\ntrainer: {epochs: 3}", "\x00",
        "name: one\nseed: 0\ndata: {source: mnist}\ntrainer: {epochs: HUGE}", "[" * 10_000,
    ],
    "plan.json": ["{", '{"measured": []}', '{"measured": {"test": [[1]]}, "pictures": [3]}', "null"],
    "drawn.json": ["{", '{"step": 30, "kinds": [1]}', '{"step": 30, "kinds": {"training": [3]}}'],
}  # fmt: skip
CASES = [(name, content) for name, contents in FILES.items() for content in contents]


@pytest.mark.parametrize(("name", "content"), CASES, ids=[f"{name}-{k}" for k, (name, _) in enumerate(CASES)])
def test_no_content_of_a_file_breaks_a_reader(tmp_path, name, content):
    folder = made.run(tmp_path / "run", metrics={"accuracy": 0.5})
    content = content.replace("HUGE", HUGE)
    if name == "history.jsonl":
        content = (folder / name).read_text() + content + "\n"
    (folder / name).write_text(content)
    run = Run(folder).read_all()
    _ = run.is_finished, run.missing, run.end, run.pictures, run.checksums, run.former_checksums({"a": "b"})
    harmless = content.startswith(('{"measured"', '{"step"', '{"data": {"checksums": '))
    assert harmless or any(sentence.startswith(name) for sentence in run.problems) or "NaN" in content
    if name == "history.jsonl":
        assert [row["epoch"] for row in run.history[:3]] == [1, 2, 3]
        assert all(type(value) in (int, float) for row in run.history for value in row.values())
        assert run.problems
    json.dumps([run.history, run.metrics, run.environment])


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "absent.png"])
def test_a_picture_of_an_impossible_name_is_one_that_is_missing(tmp_path, name):
    folder = made.run(tmp_path / "run", metrics={"accuracy": 0.5})
    (folder / "plan.json").write_text('{"measured": {}, "pictures": ["training"]}')
    (folder / "drawn.json").write_text(json.dumps({"step": 30, "kinds": {"training": [name]}}))
    assert ending.undrawn(Run(folder), 30) == ["training"]


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_what_is_no_file_is_named_at_once(tmp_path, kind):
    folder = made.run(tmp_path / "run", metrics={"accuracy": 0.5})
    path = folder / "metrics.json"
    path.unlink()
    {"fifo": os.mkfifo, "folder": os.mkdir, "link": lambda path: os.symlink("nowhere", path)}[kind](path)
    run = Run(folder).read_all()
    assert run.metrics == {}
    assert [sentence for sentence in run.problems if sentence.startswith("metrics.json cannot be read: ")]


def test_where_no_file_stands_none_is_written(tmp_path):
    run = Run(made.run(tmp_path / "run"))
    writers = {
        "config.yaml": lambda: run.write_config("seed: 1"),
        "history.jsonl": lambda: run.write_history([]),
        "plan.json": lambda: run.write_plan({}, []),
        "drawn.json": lambda: run.write_drawn(1, {}),
        "data.json": lambda: run.write_data({}),
        "embeddings/epoch-1.npz": lambda: run.write_embeddings(1, {}),
        "metrics.json": lambda: run.evaluation_of("last", 1, 1).values("test", {}),
        "evaluation/last-test-roc.npz": lambda: run.evaluation_of("last", 1, 1).arrays("test", "roc", {}),
        ".lock": lambda: run.locked().__enter__(),
    }
    for name, write in writers.items():
        path = run.path / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        with pytest.raises(OSError, match=rf"Not a regular file: '.*{re.escape(name)}'"):
            write()
        assert path.is_fifo()


def test_values_are_merged_into_what_is_whole_of_a_damaged_file(tmp_path):
    folder = made.run(tmp_path / "run", metrics={"accuracy": 0.5})
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "best": 3}))
    Run(folder).evaluation_of("last", 3, 30).values("test", {"other": 1})
    assert json.loads((folder / "metrics.json").read_text()) == {
        "last": {"epoch": 3, "step": 30, "test": {"accuracy": 0.5, "other": 1}}
    }


def test_files_of_killed_writers_are_removed_and_those_of_living_ones_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    run = Run(made.run(tmp_path / "run"))
    left = [run.path / f".metrics.json.{dead.pid}", run.plots / f".norms.{dead.pid}.png"]
    kept = [run.path / f".metrics.json.{os.getpid()}", run.path / ".lock", run.plots / ".hidden.png"]
    for path in left + kept:
        path.touch()
    run.remove_temporary()
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    assert list(run.pictures) == ["embedding-test"]


def test_arrays_are_read_whole_or_named(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.arange(5), "name": np.array(["a", "b"])})
    assert reading.arrays(path)["x"].tolist() == [0, 1, 2, 3, 4]
    whole = path.read_bytes()
    single = tmp_path / "single.npy"
    np.save(single, np.arange(3))
    torn = [whole[:size] for size in range(0, len(whole), 37)]
    changed = [whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :] for place in range(0, len(whole), 5)]
    for content in [*torn, single.read_bytes(), b"PK\x03\x04", b"text"]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.npz must be a NumPy archive, got: .* Make it anew\."):
            reading.arrays(path)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as member:
        for _ in range(65):
            member.write(b"\0" * (1 << 24))
    path.write_bytes(bomb.getvalue())
    with pytest.raises(UserError, match=r"a\.npz must be a NumPy archive, got: arrays of 1,090,519,040 bytes\."):
        reading.arrays(path)
    for content in changed:  # some bytes of a zip file mean nothing
        path.write_bytes(content)
        try:
            reading.arrays(path)
        except UserError as error:
            assert "a.npz" in str(error)  # noqa: PT017


def test_a_processor_is_named_with_what_it_computes_with():
    """Virtual machines call several generations by one name, which differ in speed threefold and in the last bits."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    best = next((name for flag, name in environment.INSTRUCTIONS.items() if flag in flags), None)
    model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    assert environment.processor() == (f"{model} ({best})" if best else model)


def test_the_size_of_a_run_that_prunes_is_found(tmp_path):
    """Checkpoints come and go under the eyes of `lossbench runs`."""
    folder, ended = made.run(tmp_path / "run"), threading.Event()
    least = Run(folder).size
    assert least == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def train():
        step = 0
        while not ended.is_set():
            step += 1
            new, old = (folder / f"checkpoints/step-{number:08d}" for number in (step, step - 2))
            new.mkdir(parents=True)
            for name in ("backbone", "head", "optimizer", "regularizers"):
                (new / f"{name}.params").write_bytes(b"0" * 100)
            shutil.rmtree(old, ignore_errors=True)

    training = threading.Thread(target=train)
    training.start()
    try:
        sizes = [Run(folder).size for _ in range(1000)]
    finally:
        ended.set()
        training.join()
    assert min(sizes) >= least
    assert max(sizes) <= least + 3 * 400
