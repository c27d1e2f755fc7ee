"""The loss of mixtures: that of the mixed target, eager and compiled; which heads take them; whole runs."""

import json

import numpy as np
import pytest

from lossbench import config, registry
from lossbench._mxnet import mx
from lossbench.training.step import MixedObjective, Objective
from tests.experiment.test_own_images import call
from tests.experiment.test_run import assert_same, final

TAKING = [name for name, block in registry.HEADS.built_in().items() if block.takes_mixtures]
CONFIG = """\
data: {source: digits, batch_size: 64, limit: 300, augment: {mixup: 0.4, cutmix: 1}}
backbone: {name: lenet, embedding_size: 3}
head: {name: softmax}
optimizer: {name: nag, learning_rate: 0.01}
trainer: {epochs: 2, progress: none}
evaluation: {methods: [softmax], pictures: []}
"""


class Same(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, x):
        return x


def objective(kind, name, **options):
    head = registry.HEADS.get(name)(num_classes=5, embedding_size=3, weight_initializer=mx.init.Xavier())
    made = kind(Same(), head, **options)
    mx.random.seed(4)
    made.initialize()
    return made


def test_the_heads_whose_loss_treats_all_labels_alike_take_mixtures():
    assert sorted(TAKING) == ["l2_softmax", "logit_norm", "normface", "softmax"]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", TAKING)
def test_the_loss_is_the_cross_entropy_of_the_mixed_target(name, compiled, rng):
    options = {"loss_weight": 0.7, "class_weights": [1, 2, 0.5, 1, 3]}
    mixed, plain = (objective(kind, name, **options) for kind in (MixedObjective, Objective))
    if compiled:
        mixed.hybridize(static_alloc=True, static_shape=True)
    x = mx.nd.array(rng.normal(size=(7, 3)))
    label, other = (mx.nd.array(rng.integers(0, 5, 7), dtype="int32") for _ in range(2))
    weight = mx.nd.array(rng.uniform(size=7))
    loss, right = mixed(x, label, other, weight)
    # the loss of each class as if it were the label: the target's share of each is what they are weighed by
    each = np.stack([plain(x, mx.nd.full(7, k, dtype="int32"))[0].asnumpy() for k in range(5)], axis=1)
    target = np.zeros((7, 5))
    np.add.at(target, (np.arange(7), label.asnumpy()), weight.asnumpy())
    np.add.at(target, (np.arange(7), other.asnumpy()), 1 - weight.asnumpy())
    np.testing.assert_allclose(loss.asnumpy(), (each * target).sum(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(right.asnumpy(), plain(x, label)[1].asnumpy())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (["head={name: arcface}"], "the head arcface, whose loss is for one label; .*softmax.* take two"),
        (["head={name: lgm}"], "the head lgm, whose loss is for one label"),
        (["regularizers=[{name: ring}]"], "the regularizer ring, which is for one label"),
        (["head.sample=0.5"], "head.sample below 1"),
    ],
)
def test_what_takes_no_mixtures_is_refused(tmp_path, change, reason):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    with pytest.raises(ValueError, match=rf"data.augment.mixup: must be 0 with {reason}.*, got 0.4"):
        config.load(tmp_path / "tiny.yaml", change)


def test_a_run_on_mixtures_resumes_in_an_epoch_with_the_same_bits(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    call("train", "--config", "tiny.yaml", "--run-dir", "whole", cwd=tmp_path)
    stops = ["trainer.checkpoint_every_steps=1", "trainer.keep_checkpoints=100"]
    call("train", "--config", "tiny.yaml", "--run-dir", "again", *stops, cwd=tmp_path)
    for path in sorted((tmp_path / "again" / "checkpoints").iterdir())[6:]:
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    for name in ("metrics.json", "history.jsonl"):
        (tmp_path / "again" / name).unlink()
    call("train", "--config", "tiny.yaml", "--run-dir", "again", *stops, "--resume", cwd=tmp_path)
    one, other = (final(tmp_path / name) for name in ("whole", "again"))
    assert_same((*one[:2], one[2][1:], *one[3:]), (*other[:2], other[2][-1:], *other[3:]))
    assert json.loads((tmp_path / "again" / "metrics.json").read_text())
