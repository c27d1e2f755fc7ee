"""Sections of losses against the classes that they are made of: the same ranges, the same scheduled values."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from lossbench import backbones, data, registry
from lossbench._mxnet import mx
from lossbench.config.backbones import BACKBONES
from lossbench.config.data import SOURCES
from lossbench.config.losses import HeadSection, LossSection, section_of
from lossbench.heads import Softmax
from lossbench.options import Choice, Count, Flag, Number

VALUES = [-1, 0, 1e-4, 1e-3, 0.01, 0.5, 0.999, 1, 1.5, 1.5707, 1.5708, 1.9999, 2, 3, 4.0, 1e6, math.inf, math.nan]
VALUES += [True, False, None, "auto", "identity", "diagonal", "none", "1"]
CASES = [(name, section_of(cls, name, HeadSection), cls) for name, cls in registry.HEADS.built_in().items()]
CASES += [(name, section_of(cls, name, LossSection), cls) for name, cls in registry.REGULARIZERS.built_in().items()]
every_loss = pytest.mark.parametrize(("name", "section", "cls"), CASES, ids=[case[0] for case in CASES])


def built(cls, **options):
    return getattr(cls, "create", cls)(3, 2, **options)


def test_the_tables_name_the_same():
    assert set(BACKBONES) == set(backbones.BACKBONES)
    assert set(SOURCES) == set(data.SOURCES)


@every_loss
@pytest.mark.filterwarnings("ignore::UserWarning")  # bounds: a loss that cannot be reached is allowed
def test_scheduled_values_and_defaults(name, section, cls):
    loaded, block = section(name=name), built(cls)
    assert set(loaded.scheduled()) == set(block.scheduled())
    assert {key: getattr(loaded, key) for key in cls.options} == {k: o.default for k, o in cls.options.items()}


@every_loss
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ranges(name, section, cls):
    """What a config lets through, the class takes; what it refuses, the class refuses, or YAML types are stricter."""
    for option in cls.options:
        for value in VALUES:
            accepted = accepts(ValidationError, section.model_validate, {"name": name, option: value})
            taken = accepts(ValueError, built, cls, **{option: value})
            if accepted != taken and not (taken and stricter(section.model_fields[option].annotation, value)):
                pytest.fail(
                    f"{name}: {option} {value!r} is {'accepted' if accepted else 'refused'} by the config alone"
                )


def accepts(error, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except error:
        return False
    return True


def stricter(annotation, value):
    """Python takes 1 for True and 4.0 for 4; a config does not."""
    if annotation in (bool, bool | None):
        return not isinstance(value, bool)
    return annotation is int and (isinstance(value, float) and value == int(value))


class Tempered(Softmax):
    """Softmax of tempered logits."""

    options = {
        "temperature": Number(1.0, "what logits are divided by", "1 changes nothing", above=0, way_out="Try 1."),
        "rounds": Count(2, "how often", way_out="Try 1."),
        "harder": Flag(None, "whether to be harder"),
        "kind": Choice("a", "which way", choices=("a", "b"), way_out="Take a."),
    }


def test_an_own_class_has_its_options_checked_and_described(load, refused):
    with registry.added(heads={"tempered": Tempered}):
        anneal = "anneal.head.margin=null"
        loaded = load("head={name: tempered, temperature: 2, kind: b, use_bias: true}", anneal)
        assert (loaded.head.temperature, loaded.head.kind, loaded.head.rounds) == (2.0, "b", 2)
        assert refused("head={name: tempered, temperatur: 2}", anneal).endswith("did you mean `temperature`?")
        assert refused("head={name: tempered, temperature: 0}", anneal).endswith(
            "head.temperature: must be > 0, got 0 (what logits are divided by, > 0; 1 changes nothing)"
        )
        assert refused("head={name: tempered, kind: c}", anneal).endswith("head.kind: must be one of a, b, got 'c'")
        assert "rounds : int, default 2\n    How often, >= 1." in Tempered.__doc__
        with pytest.raises(ValueError, match="`rounds` must be an integer of at least 1, got 0. Try 1."):
            Tempered(3, 2, rounds=0)
    assert "must name a head" in refused("head.name=tempered", anneal)


class Plain(mx.gluon.HybridBlock):
    """A head that is nobody's child."""

    def __init__(self, num_classes, embedding_size, *, sharpness, shape=(1, 2), prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)


def test_a_plain_block_has_the_options_of_its_signature(load, refused):
    with registry.added(heads={"plain": Plain}):
        loaded = load("head={name: plain, sharpness: {a: [1, 2]}}")
        assert loaded.head.model_dump() == {
            "name": "plain",
            "loss_weight": 1.0,
            "sample": 1.0,
            "parallel": None,
            "sharpness": {"a": [1, 2]},
            "shape": (1, 2),
        }
        assert loaded.anneal["head.margin"].end == 0.2, "what a plain block schedules, it alone knows"
        assert refused("head={name: plain}").startswith("command line: head.sharpness: must be given")
        assert "head.sharpnes: unknown key; did you mean `sharpness`?" in refused("head={name: plain, sharpnes: 1}")


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match="HEADS: name must not be one that there is already, got 'softmax'. Choose"):
        registry.HEADS.add("softmax", Tempered)
