"""Configs and overrides made at random: each ends in a config, or in one line that says what is wrong.

`make faults` tries 10,000 in all.
"""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from lossbench import config
from lossbench.config import yaml_file
from tests.faults import amount

WHOLE = """
data: {source: synthetic, augment: {pad: 1}, normalize: {std: [0.5]}}
backbone: {name: lenet, embedding_size: 2}
head: {name: arcface, margin: 0.2}
regularizers: [{name: center, alpha: 0.25}, {name: ring}]
optimizer: {name: nag, learning_rate: 1e-1, groups: [{name: slow, pattern: ^head, lr_mult: 0.1}]}
schedule: {name: step, epochs: [2, 3], warmup_epochs: 1}
anneal: {head.margin: {kind: linear, start: 0, end: 0.2, epochs: 1}}
freeze: [^nothing]
trainer: {epochs: 4, class_weights: null}
evaluation: {k: 5, methods: [knn]}
"""
KEYS = [
    key
    for section, held in yaml_file.parse(WHOLE).items()
    for key in (section, *(f"{section}.{inner}" for inner in (held if isinstance(held, dict) else ())))
] + [
    "regularizers.0.alpha",
    "regularizers.ring",
    "optimizer.groups.slow.lr_mult",
    "anneal.head.margin.end",
    "init_from",
]
tried = settings(max_examples=2500 if amount.ALL else 80, deadline=None, database=None, print_blob=True)

words = st.sampled_from(
    [
        "null",
        "~",
        "true",
        "nan",
        ".inf",
        "-.Inf",
        "1e999",
        "1e-999",
        "!!bool abc",
        "!!float ''",
        "!!set {a}",
        "&a 1",
        "*a",
        "<<",
    ]
    + [
        "9" * 30,
        "-0",
        "0x1F",
        "0o8",
        "²",
        "[[]]",
        "{}",
        "{a: {b: [c]}}",
        "'a{99999999999}'",
        "'('",
        "'" + "(.*)*" * 8 + "!'",
        '"\\ud800"',
        '"\\0"',
    ]
    + [
        "lgm",
        "adam",
        "cosine",
        "mnist",
        "linear",
        "resnet20",
        "'='",
        "- 1",
        "? a",
        "%YAML 1.1",
        "---",
        "...",
        "2024-01-31",
    ]
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 12),
    st.floats(),
    st.floats(0, 1),
    st.text(max_size=8),
    st.sampled_from(["head", "name", "lgm", "digits", "^head", "a{2,1}", "(?i", "knn", "step"]),
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=20,
)
sensible = st.sampled_from(["1", "2", "5", "0.25", "0.5", "1e-3", "true", "[]", "null", "[2]", "ab"])
texts = st.one_of(sensible, st.text(max_size=40), words, values.map(yaml_file.write))
keys = st.one_of(
    st.sampled_from(KEYS),
    st.sampled_from(KEYS),
    st.text(max_size=8),
    st.lists(
        st.sampled_from(["head", "name", "anneal", "regularizers", "0", "²", "-1", "center", "base", ""]), max_size=4
    ).map(".".join),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file whose neighbors a `base:` can name; what is imported at the first load is there."""
    path = tmp_path_factory.mktemp("configs") / "experiment.yaml"
    path.write_text(WHOLE)
    config.load(path)
    return path


def ends_well(path, content: bytes, overrides=()):
    path.write_bytes(content)
    began = time.process_time()
    try:
        loaded = config.load(path, overrides)
    except config.ConfigError as error:
        message = str(error)
        assert re.fullmatch(".{1,5000}", message)
        assert re.match("(config|command line).*: ", message), message
        assert not re.search("[\0-\x1f\x7f\ud800-\udfff]", message), message
        event("refused")
        amount.OUTCOMES["configs: one line"] += 1
    else:
        path.write_text(config.dump(loaded), encoding="utf-8")
        assert config.load(path) == loaded
        event("a config")
        amount.OUTCOMES["configs: a config"] += 1
    assert time.process_time() - began < 2


@tried
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\xef\xbb\xbf" + WHOLE.encode())
def test_any_bytes(path, content):
    ends_well(path, content)


@tried
@given(st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 6), texts), min_size=1, max_size=3))
def test_a_config_with_other_text_in_places(path, changes):
    text = WHOLE
    for start, length, new in changes:
        text = text[:start] + new + text[start + length :]
    ends_well(path, text.encode("utf-8", "surrogatepass"))


@tried
@given(
    st.dictionaries(st.sampled_from([*yaml_file.parse(WHOLE), "name", "base", "init_from", "seed"]), values, max_size=3)
)
def test_a_config_with_other_sections(path, sections):
    ends_well(path, yaml_file.write({**yaml_file.parse(WHOLE), **sections}).encode("utf-8", "surrogatepass"))


plausible = st.tuples(st.sampled_from([key for key in KEYS if "." in key]), sensible).map("=".join)
wild = st.tuples(keys, sensible | texts).map("=".join) | st.text(max_size=20)


@tried
@given(st.lists(plausible, min_size=1, max_size=2) | st.lists(wild, min_size=1, max_size=3))
def test_any_overrides(path, overrides):
    ends_well(path, WHOLE.encode(), overrides)
