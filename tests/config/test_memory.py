"""The least that a training's arrays take is told from the config."""

from __future__ import annotations

import pytest

from lossbench import config
from lossbench.config import memory


def test_the_sum_and_its_parts_are_said(load):
    images = ["data.train_size=1000000", "data.test_size=1000000", "data.batch_size=100"]
    settings = load(*images, "data.num_classes=1000000", "backbone.embedding_size=512")
    expected = (
        "config experiment: arrays must fit the 8.0 GB of this machine, got at least 10.2 GB "
        "(batches 0.4 GB, class parameters 8.2 GB, images 1.6 GB). Take smaller sizes"
    )
    with pytest.raises(config.ConfigError) as caught:
        memory.require_enough(settings, 8 * 10**9)
    assert str(caught.value) == expected
    memory.require_enough(settings, 11 * 10**9)


@pytest.mark.parametrize(
    "source", ["{source: mnist}", "{source: folder, root: a, image_size: [3, 4]}", "{source: digits}"]
)
def test_every_source_has_a_least(load, source):
    memory.require_enough(load(f"data={source}"), 10**9)
