"""A small valid config and the base it stands on, to be changed by each test."""

from __future__ import annotations

import textwrap

import pytest

from lossbench import config

EXPERIMENT = """
data: {source: synthetic, augment: {pad: 1}}
backbone: {name: lenet}
head: {name: arcface, margin: 0.2}
regularizers: [{name: center, alpha: 0.25}, {name: ring}]
optimizer: {name: nag, learning_rate: 1e-1, groups: [{name: slow, pattern: ^head, lr_mult: 0.1}]}
schedule: {name: step, epochs: [2, 3]}
anneal: {head.margin: {kind: linear, start: 0, end: 0.2, epochs: 1}}
trainer: {epochs: 4}
evaluation: {k: 5}
"""


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(text, name="experiment.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        return path

    return write


@pytest.fixture
def load(write):
    """Load the small config with overrides."""

    def load(*overrides, text=EXPERIMENT):
        return config.load(write(text), overrides)

    return load


@pytest.fixture
def refused(write):
    """The message with which a config is refused, the folder of its file left out."""

    def refused(*overrides, text=EXPERIMENT):
        path = write(text)
        with pytest.raises(config.ConfigError) as caught:
            config.load(path, overrides)
        message = str(caught.value)
        assert "\n" not in message
        return message.replace(f"{path.parent}/", "")

    return refused
