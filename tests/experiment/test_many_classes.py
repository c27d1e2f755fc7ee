"""The real command line with more classes than a step computes."""

import pytest

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
evaluation: {methods: [softmax, centers]}
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
