"""A training with wrong labels: at its end, and asked later, it is said which of them were learned."""

import json
import shutil

import numpy as np
import pytest

from lossbench import config, data, experiment
from lossbench.cli import embed
from lossbench.cli import eval as command

CONFIG = """\
data: {source: digits, batch_size: 32, validation_fraction: 0.1, label_noise: 0.3}
backbone: {name: convnet, embedding_size: 8}
head: {name: softmax}
optimizer: {name: adam, learning_rate: 5e-3}
trainer: {epochs: 4, progress: none}
evaluation: {methods: [softmax, memorization], pictures: [], embeddings_every_epochs: null}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memorization")
    (folder / "noisy.yaml").write_text(CONFIG)
    experiment.run(config.load(folder / "noisy.yaml"), folder / "run", device="cpu")
    return folder / "run"


def stored(run):
    return json.loads((run / "metrics.json").read_text())


def test_the_training_images_are_asked_at_the_end_and_no_others(trained):
    for checkpoint in ("last", "best"):
        entry = stored(trained)[checkpoint]
        assert entry["train"].keys() == {"memorization"}
        assert entry["test"].keys() == entry["validation"].keys() == {"accuracy"}


def test_the_shares_are_those_of_the_written_logits(trained, tmp_path):
    arguments = ["--run", str(trained), "--split", "train", "--device", "cpu", "--out", str(tmp_path / "train.npz")]
    assert embed.main(arguments, "embed.py") == 0
    with np.load(tmp_path / "train.npz") as arrays:
        taken, given = arrays["logits"].argmax(axis=1), arrays["label"]
    section = config.load(trained / "config.yaml").data
    true = data.load(section.model_copy(update={"label_noise": 0.0}), 0).train.labels
    wrong = given != true
    assert wrong.sum() == round(0.3 * len(true))
    found = stored(trained)["last"]["train"]["memorization"]
    assert found == {
        "memorized": pytest.approx((taken == given)[wrong].mean()),
        "corrected": pytest.approx((taken == true)[wrong].mean()),
        "fitted": pytest.approx((taken == given)[~wrong].mean()),
        "wrong_labels": wrong.sum(),
    }
    assert found["corrected"] > 0.5 > found["memorized"]  # by far more than a guess: it has learned the digits


def test_a_run_is_asked_later(trained, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    metrics = stored(run)
    kept = metrics["last"].pop("train")
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert command.main(["--run", str(run), "--device", "cpu", "--method", "memorization"], "eval.py") == 0
    assert ", train:" in capsys.readouterr().out
    assert stored(run)["last"]["train"] == kept


def test_without_a_method_a_split_is_asked_what_it_can_be_asked_for(trained, tmp_path):
    """As at the end of the training, which asks training images alone whether they were memorized."""
    run = shutil.copytree(trained, tmp_path / "run")
    assert command.main(["--run", str(run), "--device", "cpu"], "eval.py") == 0
    assert "memorization" not in stored(run)["last"]["test"]


def test_what_it_cannot_say_is_one_sentence(trained, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    asked = ["--run", str(run), "--device", "cpu", "--method", "memorization"]
    assert command.main([*asked, "--split", "test"], "eval.py") == 0
    assert "the images must be those of train, got test. Take --split train." in capsys.readouterr().out
    assert command.main([*asked, "--method", "softmax"], "eval.py") == 0  # about both, so test images
    assert ", test:" in capsys.readouterr().out
    text = (run / "config.yaml").read_text()
    assert "label_noise: 0.3" in text
    (run / "config.yaml").write_text(text.replace("label_noise: 0.3", "label_noise: 0.0"))
    assert command.main(asked, "eval.py") == 0
    sentence = "some training labels must be known to be wrong, as by data.label_noise: 0.2."
    assert sentence in " ".join(capsys.readouterr().out.split())
    assert "memorized" in stored(run)["last"]["train"]["memorization"]  # what was measured stays
