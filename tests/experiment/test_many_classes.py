"""The real command line with more classes than a step computes."""

import numpy as np
import pytest

from tests.experiment.test_distributed import SCRIPT, ended, start
from tests.experiment.test_run import assert_same, final, train

pytestmark = pytest.mark.slow  # real trainings in processes of their own

CONFIG = """\
data:
  {source: synthetic, num_classes: 60, image_size: 8, channels: 1, train_size: 240, test_size: 60, batch_size: 12,
  validation_fraction: 0.1}
backbone: {name: lenet, embedding_size: 8}
head: {name: adaface, scale: 16, sub_centers: 2, sample: 0.4}
optimizer: {name: nag, learning_rate: 0.02, weight_decay: 1e-3, clip_global_norm: 2}
trainer: {epochs: 3}
evaluation: {methods: [softmax, centers], pictures: []}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return tmp_path


def test_a_run_on_some_classes_goes_on_with_the_same_bits_and_repeats(folder):
    train(folder, "--run-dir", "whole")
    train(folder, "--run-dir", "parts", "trainer.epochs=1")
    train(folder, "--run-dir", "parts", "--resume")
    found = final(folder / "whole")
    assert_same(found, final(folder / "parts"))
    assert found[1]["head.weight"].shape == found[1]["optimizer.default/head.weight/0"].shape == (120, 8)


def test_a_share_that_comes_to_all_classes_has_the_bits_of_a_run_without_it(folder):
    train(folder, "--run-dir", "sampled", "head.sample=0.999", "trainer.epochs=1")
    train(folder, "--run-dir", "plain", "head.sample=1", "trainer.epochs=1")
    assert_same(final(folder / "sampled"), final(folder / "plain"))


def ranks(folder, count, *arguments):
    """Train on so many ranks; returns what was written to the standard error."""
    program = [
        *SCRIPT,
        "head={name: arcface, scale: 16, sample: 1, parallel: classes}",
        "optimizer.clip_global_norm=null",
    ]
    process = start(folder, *[[*program, "optimizer.learning_rate=0.002", *arguments]] * count)
    return ended(process, 0)[1]


def test_ranks_that_share_out_the_classes_go_on_in_any_number_and_alone(folder):
    plain = ("head={name: arcface, scale: 16, sample: 1, parallel: classes}", "optimizer.clip_global_norm=null")
    plain += ("optimizer.learning_rate=0.002",)
    ranks(folder, 2, "--run-dir", "two", "trainer.epochs=2")
    ranks(folder, 2, "--run-dir", "moving", "trainer.epochs=1")
    ranks(folder, 2, "--run-dir", "moving", "--resume", "trainer.epochs=2")
    assert_same(final(folder / "two"), final(folder / "moving"))

    err = ranks(folder, 3, "--run-dir", "moving", "--resume", "trainer.epochs=3")
    assert "Its batches were computed in 2 parts, now in 3" in err
    train(folder, *plain, "--run-dir", "moving", "--resume", "trainer.epochs=4")
    train(folder, *plain, "--run-dir", "alone", "trainer.epochs=4")
    found, expected = final(folder / "moving"), final(folder / "alone")
    assert found[0] == expected[0]
    assert found[1].keys() == expected[1].keys()
    for name, value in expected[1].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-4, atol=1e-4, err_msg=name)
    for row, other in zip(found[2], expected[2]):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_a_head_whose_classes_cannot_be_shared_out_is_refused(folder):
    program = [*SCRIPT, "optimizer.clip_global_norm=null", "head={name: uniface, sample: 1, parallel: classes}"]
    _, err = ended(start(folder, program, program), 2)
    assert (
        err.count("head.parallel: must be null for uniface with these options, got classes. Its loss is no plain") == 1
    )
    assert "Traceback" not in err
