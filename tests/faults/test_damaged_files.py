"""Files of runs damaged at random: every command that reads one names it in a line, or goes on with what is whole."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lossbench import cli, config, experiment
from tests.faults import amount, damage
from tests.faults.trainings import CONFIG, ENVIRONMENT

pytestmark = pytest.mark.slow

SECONDS = 120
MEMORY = 700 << 20
NEWEST = "checkpoints/step-00000016"
TRAIN = ["train", "--config", "tiny.yaml", "--run-dir", "run", "--resume", "--device", "cpu", "trainer.progress=lines"]
TRAIN += ["evaluation.pictures=[training]"]  # as quick a one as there is
COMMANDS = {
    "resume": TRAIN,
    "extend": [*TRAIN, "trainer.epochs=5"],
    "eval": ["eval", "--run", "run", "--method", "softmax"],
    "eval best": ["eval", "--run", "run", "--method", "softmax", "--checkpoint", "best"],
    "predict": ["predict", "--run", "run", "image.png"],
    "predict knn": ["predict", "--run", "run", "image.png", "--knn", "2"],
    "embed": ["embed", "--run", "run", "--split", "test", "--out", "test.npz"],
    "plot training": ["plot", "run", "--kinds", "training"],
    "plot animation": ["plot", "run", "--kinds", "animation"],
    "plot roc": ["plot", "run", "--kinds", "roc"],
    "report": ["report", "run", "other", "--out", "page.html"],
    "runs": ["runs", "."],
    "compare": ["compare", "run", "other"],
    "clean": ["clean", "run"],
}
READ_BY = {
    "config.yaml": ["resume", "eval", "predict", "plot training", "report", "runs", "compare", "clean"],
    "history.jsonl": ["resume", "extend", "plot training", "report", "runs", "compare", "clean"],
    "metrics.json": ["resume", "eval", "report", "runs", "compare"],
    "environment.json": ["resume", "extend", "eval", "plot training", "report", "runs"],
    "data.json": ["predict", "resume", "eval"],
    "plan.json": ["resume", "report", "runs", "compare", "clean"],
    "drawn.json": ["resume", "report", "runs", "clean"],
    f"{NEWEST}/checksums.json": ["extend", "eval", "eval best", "predict", "embed", "runs"],
    f"{NEWEST}/state.json": ["extend", "eval", "eval best", "predict", "embed", "runs", "report"],
    f"{NEWEST}/backbone.params": ["extend", "eval", "predict", "embed"],
    f"{NEWEST}/head.params": ["extend", "eval", "predict", "embed"],
    f"{NEWEST}/optimizer.params": ["extend", "eval", "predict"],
    "embeddings/epoch-2.npz": ["plot animation"],
    "evaluation/last-test-verification.npz": ["plot roc", "resume"],
    "evaluation/last-test-adversarial.npz": ["plot roc", "runs"],
    "evaluation/last-train-embedding.npz": ["predict knn"],
    "plots/norms.png": ["report", "runs"],
}
DAMAGE = {".npz": damage.archive, ".png": damage.picture}
"""How the content of a file is changed, by the ending of its name; others are text."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run that has every file, another run, and an image."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(CONFIG)
    settings = config.load(folder / "tiny.yaml")
    experiment.run(settings, folder / "run", device="cpu")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / "image.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        kept = ["--method", "verification", "--method", "adversarial", "--limit", "50"]
        assert cli.main(["eval", "--run", "run", *kept]) == 0
        assert cli.main(["embed", "--run", "run", "--keep"]) == 0
    shutil.copytree(folder / "run", folder / "other", ignore=shutil.ignore_patterns("*.png"))
    text = (folder / "other" / "config.yaml").read_text()
    (folder / "other" / "config.yaml").write_text(re.sub("margin: .*", "margin: 0.2", text))
    assert (folder / "run" / NEWEST).is_dir()
    return folder


def harm(path, rng):
    """Damage one file of a run, that of a checkpoint often with the checksum that it then has.

    Returns whether every reader of it must notice.
    """
    before = path.read_bytes()
    if rng.integers(8) == 0:
        damage.entry(path, rng)
        return True
    if path.suffix == ".params":
        damage.parameters(path, rng)
    else:
        content = DAMAGE.get(path.suffix, damage.text)(path.read_bytes(), rng)
        path.unlink()
        path.write_bytes(content)
    checksums = path.with_name("checksums.json")
    if path != checksums and checksums.exists() and rng.integers(2):
        sums = {**json.loads(checksums.read_text()), path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
        checksums.unlink()
        checksums.write_text(json.dumps(sums))
        return False
    return path != checksums and path.read_bytes() != before  # a file that no checksum is of is no part of it


@contextlib.contextmanager
def bounded():
    """Raise where the block takes too long, or too much memory."""

    def late(number, frame):
        raise AssertionError(f"more than {SECONDS} seconds")

    pathlib.Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
    before = resident("VmRSS")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
    assert resident("VmHWM") - before < MEMORY


def resident(kind):
    return int(re.search(rf"{kind}:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) << 10


def attempt(name, command, capsys):
    """Run one command; returns how it answered to the damage of that file."""
    with bounded():
        try:
            status = cli.main(command)
        except SystemExit as exit:
            status = exit.code
    out, err = capsys.readouterr()
    assert not re.search("[\0-\x08\x0b-\x1f\x7f\u202a-\u202e\ud800-\udfff]", out + err), ascii(out + err)
    assert max(map(len, (out + err).splitlines()), default=0) < 5000
    is_named = pathlib.PurePath(name).name in err or (NEWEST in name and NEWEST in err)
    if status == 0:
        return "named, went on" if is_named else "went on"
    assert status in (1, 2)
    assert is_named, err
    return f"one line, status {status}"


@pytest.mark.parametrize("name", READ_BY)
def test_no_damage_is_more_than_a_line(trained, tmp_path, capsys, monkeypatch, name):
    """Two of the commands that read the file see each damage."""
    monkeypatch.chdir(tmp_path)
    for number in range(200 if amount.ALL else 2):
        folder = tmp_path / str(number)
        shutil.copytree(trained, folder, copy_function=os.link, symlinks=True)
        os.chdir(folder)
        rng = amount.seeded(name, number)
        is_certain = harm(folder / "run" / name, rng) and name.startswith(NEWEST)
        for called in rng.permutation(READ_BY[name])[:2]:
            before = {path for path in folder.rglob("*") if path.is_file()}
            try:
                outcome = attempt(name, COMMANDS[called], capsys)
                assert outcome != "went on" or not (is_certain and called in ("extend", "eval", "predict", "embed"))
            except BaseException as error:
                error.add_note(f"damage {number} of {name}, read by {called}")
                raise
            amount.OUTCOMES[f"{name}: {outcome}"] += 1
            if called == "extend":
                is_certain = False  # it makes the checkpoint anew
            if called not in ("resume", "extend"):
                assert [path for path in before if not os.path.lexists(path)] == []
        os.chdir(tmp_path)
        shutil.rmtree(folder)


def test_a_class_taken_out_of_the_description_is_not_laid_to_the_checkpoint(trained, tmp_path, capsys, monkeypatch):
    shutil.copytree(trained, tmp_path / "folder", symlinks=True)
    monkeypatch.chdir(tmp_path / "folder")
    description = json.loads(pathlib.Path("run/data.json").read_text())
    description["class_names"].pop()
    pathlib.Path("run/data.json").write_text(json.dumps(description))
    assert attempt("data.json", COMMANDS["predict"], capsys) == "one line, status 2"


@pytest.mark.skipif(not amount.ALL, reason="tried by make faults")
@pytest.mark.parametrize("name", READ_BY)
def test_so_it_is_in_a_process_of_its_own(trained, tmp_path, name):
    folder = tmp_path / "folder"
    shutil.copytree(trained, folder, symlinks=True)
    rng = amount.seeded(name, 1000)
    harm(folder / "run" / name, rng)
    command = COMMANDS[rng.choice(READ_BY[name])]
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from lossbench import cli; sys.exit(cli.main())", *command],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode in (0, 1, 2), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert pathlib.PurePath(name).name in done.stderr or NEWEST in done.stderr, done.stderr
