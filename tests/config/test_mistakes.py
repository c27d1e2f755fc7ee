"""Every mistake is one line that names the file, the key, the rule, the value and the way out."""

from __future__ import annotations

import math
import os
import random
import re
import time
from pathlib import Path

import pytest
import yaml

from lossbench import config, registry
from lossbench.config import yaml_file

HEADS = ", ".join(registry.HEADS.built_in())


def refusals():
    """(overrides, message) of each paragraph of refusals.txt."""
    text = (Path(__file__).parent / "refusals.txt").read_text(encoding="utf-8")
    for paragraph in text.split("\n\n"):
        *overrides, message = paragraph.strip().splitlines()
        if overrides and overrides[-1].startswith("> "):
            yield [line[2:] for line in overrides if line.startswith("> ")], message.replace("{HEADS}", HEADS)


@pytest.mark.parametrize(("overrides", "message"), list(refusals()), ids=str)
def test_on_the_command_line(refused, overrides, message):
    assert refused(*overrides) == (message if message.startswith("config ") else f"command line: {message}")


def test_the_refusals_are_read():
    assert len(list(refusals())) > 80


def test_in_a_file(refused):
    assert refused(text="head: {name: arcface, margn: 0.2}\n").startswith(
        "config experiment.yaml: data: must be given, got nothing (images and labels); backbone: must be given, "
    )  # fmt: skip


def test_the_message_of_the_style_guide(refused, write):
    write(
        "data: {source: mnist}\nbackbone: {name: lenet}\noptimizer: {name: nag, learning_rate: 1e-1}\n", "base/m.yaml"
    )
    text = "base: base/m.yaml\nhead: {name: arcface, margn: 0.2}\ntrainer: {epochs: 2}\n"
    assert refused(text=text) == "config experiment.yaml: head.margn: unknown key; did you mean `margin`?"


def test_each_mistake_is_laid_at_the_door_of_its_file(refused, write):
    base = "data: {source: mnist, batch_size: 0}\nbackbone: {name: lenet}\noptimizer: {name: nag, learning_rate: 0.1}\n"
    write(base, "base.yaml")
    text = "base: base.yaml\nhead: {name: arcface, margin: -1}\ntrainer: {epochs: 2}\n"
    assert refused("seed=a", text=text) == (
        "command line: seed: must be a whole number, got 'a' (every random draw follows from it, in [0, 2^31)); "
        "config base.yaml: data.batch_size: must be >= 1, got 0 (images a training step, >= 1); "
        "config experiment.yaml: head.margin: must be >= 0, got -1 "
        "(added to the true class's angle, radians in [0, pi/2))"
    )


def test_a_replaced_list_is_no_longer_the_bases(refused, write):
    groups = "groups: [{name: a, pattern: x}]"
    base = (
        f"data: {{source: mnist}}\nbackbone: {{name: lenet}}\noptimizer: {{name: nag, learning_rate: 0.1, {groups}}}\n"
    )
    write(base, "base.yaml")
    text = "base: base.yaml\nhead: {name: softmax}\ntrainer: {epochs: 2}\noptimizer: {groups: [{name: b}]}\n"
    expected = "config experiment.yaml: optimizer.groups.b.pattern: must be given, got nothing (regular expression"
    assert refused(text=text).startswith(expected)


MINIMAL = """
data: {source: mnist}
backbone: {name: lenet}
head: {name: softmax}
optimizer: {name: nag, learning_rate: 0.1}
trainer: {epochs: 2}
"""


def test_overrides_are_a_list(write):
    with pytest.raises(TypeError, match="overrides must be a list of key=value, got the text 'seed=1'"):
        config.load(write(MINIMAL), "seed=1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: must hold sections such as `head:`, got an empty file"),
        ("# only words\n", "line 1: must hold sections such as `head:`, got an empty file"),
        ("- 1\n", "line 1: must be a mapping of sections, got a list. Write `key: value`"),
        ("words\n", "line 1: must be a mapping of sections, got text. Write `key: value`"),
        ("seed: 1\nhead: {name: lgm\n", "must be YAML; line 3: expected ',' or '}', but got '<stream end>'"),
        ("seed: 1\n\thead: 2\n", "must be YAML; line 2: found character '\\t' that cannot start any token"),
        ("seed: 1\nhead:\n  margin: 1\n  margin: 2\n", "must be YAML; line 4: key `margin` is there twice; remove one"),
        ("seed: 1\nseed: 1\n", "must be YAML; line 2: key `seed` is there twice; remove one"),
        ("seed: 1\n3: 1\n", "must be YAML; line 2: key 3 must be text; quote it"),
        ("a: &x 1\nb: *x\n", "must be YAML; line 2: alias *x is not supported; write the value out, or use base:"),
        ("a: !!python/name:os.system 1\n", "must be YAML; line 1: could not determine a constructor for the tag "
         "'tag:yaml.org,2002:python/name:os.system'"),
        ("seed: 1\n---\nseed: 2\n", "must be YAML; line 2: but found another document"),
        ("seed: 1\nfreeze: !!bool abc\n", "must be YAML; line 2: tag !!bool must have such a value, got 'abc'; "
         "leave it out"),
        ("{!!float '': 1}\n", "must be YAML; line 1: tag !!float must have such a value, got ''; leave it out"),
        (f"seed: {'9' * 5000}\n", "must be YAML; line 1: a whole number must have at most 64 bits; write it with `e`, "
         "or quote it as text"),
        ("seed: -9223372036854775809\n", "must be YAML; line 1: a whole number must have at most 64 bits; write it "
         "with `e`, or quote it as text"),
        ('name: "a\\ud800"\n', "must be YAML; line 1: text must be without null characters and halves of surrogate "
         "pairs; remove them"),
        ('\ninit_from: "a\\0"\n', "must be YAML; line 2: text must be without null characters and halves of surrogate "
         "pairs; remove them"),
        ('name: "\\UFFFFFFFF"\n', "must be YAML; line 1: an escape or a version is out of range"),
        ("seed: 1\n\nname: \1\n", "must be YAML; line 3: character 0x0001: special characters are not allowed"),
        ("a:\n" + "[" * 1000, "must be YAML; line 2: lists and mappings must nest at most 32 deep; write less into one "
         "value"),
        ("\n" + "{a: " * 1000, "must be YAML; line 2: lists and mappings must nest at most 32 deep; write less into "
         "one value"),
        ("# 10 MB\n" + "a" * 10**7, "file must have at most 200,000 bytes, got more. Is it a config?"),
        (b"seed: 1\nname: \xff\n", "line 2: must be YAML in UTF-8, got other bytes. Is it a config?"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_config(refused, text, message):
    assert refused(text=text) == f"config experiment.yaml: {message}"


def test_a_base_that_is_no_config(refused, write):
    assert refused(text="base: nothing.yaml\n").startswith(
        "config experiment.yaml: base: config nothing.yaml: file must exist. There are: experiment.yaml"
    )
    write("seed: 1\nseed: 2\n", "base.yaml")
    assert refused(text="base: base.yaml\n") == (
        "config experiment.yaml: base: config base.yaml: must be YAML; line 2: key `seed` is there twice; remove one"
    )
    write("base: other.yaml\n", "base.yaml")
    assert refused(text="base: base.yaml\n") == (
        "config base.yaml: base: config other.yaml: file must exist. Did you mean base.yaml?"
    )
    write("name: other\n", "base.yaml")
    assert refused(text="base: base.yaml\n") == (
        "config base.yaml: name: must not be in a base, got 'other': an experiment has the name. Remove it"
    )
    assert refused(text="base: [a]\n") == (
        "config experiment.yaml: base: must be the path of a file, relative to this one, got ['a']"
    )


def test_bases_that_go_round(refused, write):
    write("base: b.yaml\n", "a.yaml")
    write("base: ./a.yaml\n", "b.yaml")
    expected = "config b.yaml: base: must not come back to a.yaml, which it is the base of. Remove it"
    assert refused(text="base: a.yaml\n") == expected
    assert refused(text="base: experiment.yaml\n") == (
        "config experiment.yaml: base: must not come back to experiment.yaml, which it is the base of. Remove it"
    )


def test_bases_without_end(refused, write):
    for number in range(20):
        write(f"base: {number + 1}.yaml\n", f"{number}.yaml")
    expected = "config 7.yaml: base: must end a chain of 8 bases, got '8.yaml'. Join some"
    assert refused(text="base: 0.yaml\n") == expected


def test_what_is_no_file_is_not_waited_for(write, tmp_path):
    os.mkfifo(tmp_path / "fifo.yaml")
    for path in (tmp_path / "fifo.yaml", Path("/dev/zero")):
        with pytest.raises(config.ConfigError) as caught:
            config.load(path)
        assert str(caught.value) == f"config {path}: file must be readable, got: Not a regular file. Name a YAML file"
        with pytest.raises(config.ConfigError) as caught:
            config.load(write(f"base: {path}\n"))
        assert str(caught.value).endswith(f"base: config {path}: file must be readable, got: Not a regular file. "
                                          "Name a YAML file")  # fmt: skip


def test_what_is_cited_stays_one_short_line(refused):
    assert refused("a\x1b\nb=[").startswith(r"command line: a\x1b\nb: must be a YAML value, got '['; line 1: ")
    assert refused("head.margin=" + "a" * 100_000).count("a") < 4000
    assert refused(*[f"k{number}=1" for number in range(100)]).count("unknown key") == 20
    assert refused("a." * 40 + "a=1").startswith("command line: must be a key of at most 32 parts, got 41: a.a.a.")


def test_ten_thousand_mistakes_take_no_second(refused, write):
    write("".join(f"k{number}: {{a: 1}}\n" for number in range(10_000)), "base.yaml")
    text = "base: base.yaml\n" + "".join(f"k{number}: 1\n" for number in range(10_000))
    began = time.process_time()
    assert "k0: unknown key" in refused(text=text)
    assert time.process_time() - began < 8  # 0.7 on a machine of 2020, 20 and more where time grows with the square


def test_a_file_that_is_not_there(write, tmp_path):
    write(MINIMAL, "lgm_cifar10.yaml")
    for name, way_out in (
        ("lgm_cifar_10.yaml", f"Did you mean {tmp_path}/lgm_cifar10.yaml?"),
        ("zzz", "There are: lgm_cifar10.yaml"),
        ("none/zzz.yaml", f"There is no folder {tmp_path}/none"),
    ):
        with pytest.raises(config.ConfigError) as caught:
            config.load(tmp_path / name)
        assert str(caught.value) == f"config {tmp_path}/{name}: file must exist. {way_out}"
    with pytest.raises(config.ConfigError, match="file must be readable, got: Is a directory. Name a YAML file"):
        config.load(tmp_path)


WHOLE = [
    [f"head={{name: {name}}}", "anneal={head.margin: null}"]
    for name in HEADS.split(", ")
] + [
    ["data={source: digits}", "backbone={name: zoo, model: resnet18_v1}", "optimizer.name=adam"],
    ["data={source: record, train: a, test: b, image_size: 3, num_classes: 4}", "schedule={name: cosine}"],
    ["data={source: folder, root: a, image_size: 3}", "schedule={name: one_cycle}"],
    ["anneal.head.margin={kind: doubling, start: 0.1, cap: 1, every_steps: 3}", "data.source=cifar10"],
    ["anneal.head.margin={kind: exponential, start: 0.1, factor: 0.5}"],
    ["anneal.head.margin={kind: inverse_power, base: 0.1, gamma: 1, power: 2}", "schedule={name: constant}"],
]  # fmt: skip


def typo(key, rng):
    """A letter doubled, dropped, replaced, or swapped with the next."""
    i = rng.randrange(len(key))
    typos = [key[:i] + key[i] + key[i:]]
    if len(key) > 2 and not key[-1].isdigit():  # beta1 without its digit may as well be beta2
        j = min(i, len(key) - 2)
        typos += [key[:i] + key[i + 1 :], key[:i] + "q" + key[i + 1 :], key[:j] + key[j + 1] + key[j] + key[j + 2 :]]
    return rng.choice([word for word in typos if word != key])


def places(value, path=()):
    """The path of every key, at every level, that is a word of the schema."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        if isinstance(value, dict) and path != ("anneal",):
            yield (*path, key)
        yield from places(inner, (*path, key))


def renamed(value, path, new):
    if len(path) == 1:
        return {new if key == path[0] else key: inner for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, path[1:], new) if i == path[0] else inner for i, inner in enumerate(value)]
    return {key: renamed(inner, path[1:], new) if key == path[0] else inner for key, inner in value.items()}


def test_a_misspelled_key_is_refused_with_the_right_one_at_every_level(load, write, seed):
    rng = random.Random(seed)
    tried = set()
    for overrides in WHOLE:
        whole = yaml_file.parse(config.dump(load(*overrides)))
        for path in places(whole):
            chosen = [value for value in (whole.get(path[0]),) if isinstance(value, dict)]
            case = (path, *(value.get(key) for value in chosen for key in ("name", "source")))
            if case in tried:
                continue
            tried.add(case)
            wrong = typo(path[-1], rng)
            changed = write(yaml_file.write(renamed(whole, path, wrong)), "changed.yaml")
            with pytest.raises(config.ConfigError) as caught:
                config.load(changed)
            wanted = rf"config \S+: (\S+\.)?{re.escape(wrong)}: unknown key; did you mean `{re.escape(path[-1])}`\?"
            assert re.fullmatch(wanted, str(caught.value)), (path, wrong, str(caught.value))
    assert len(tried) > 150


def test_what_was_read_may_be_changed_without_a_trace():
    yaml_file.parse("head: {of: [1]}")["head"]["of"].append(2)
    assert yaml_file.parse("head: {of: [1]}") == {"head": {"of": [1]}}


def test_numbers_are_read_as_yaml_1_2_has_them():
    for text in ("1e-3", "1E-3", "1.0e-3", ".001", "+1e-3", "10e-4", "0.1e-2", "1.e-3"):
        assert yaml_file.parse(text) == 0.001
    assert [yaml_file.parse(text) for text in ("010", "0o10", "0x10", "-7", "1_0", "1:30")] == [
        10,
        8,
        16,
        -7,
        "1_0",
        "1:30",
    ]
    assert [yaml_file.parse(text) for text in ("yes", "on", "no", "True", "~", "=", "<<")] == [
        *("yes", "on", "no", True, None, "=", "<<")
    ]
    assert [yaml_file.parse(text) for text in ("1e3", "1E+3", "-.inf", "1.", "e3")] == [1000, 1000, -math.inf, 1, "e3"]


@pytest.mark.parametrize(
    "value", [1e-3, 1e-300, 1e22, 0.1, -5e-4, 7, True, None, "1e-3", "no", "~", "", "a: b", "#", "0o7", "é"]
)
def test_what_is_written_is_read_back(value):
    again = yaml_file.parse(yaml_file.write({"key": value, "list": [value]}))
    assert again == {"key": value, "list": [value]}
    assert type(again["key"]) is type(value)
    if isinstance(value, float):
        assert float(yaml.safe_load(yaml_file.write({"key": value}))["key"]) == value
