"""Options in a config against the classes that take them: the same names, defaults and ranges."""

from __future__ import annotations

import inspect
import math
from typing import Optional

import pytest
from pydantic import ValidationError

from lossbench import backbones, data, heads, regularizers
from lossbench.config.backbones import BACKBONES
from lossbench.config.data import SOURCES
from lossbench.config.heads import HEADS
from lossbench.config.regularizers import REGULARIZERS

NOT_IN_YAML = {"weight_initializer", "prefix", "params"}
VALUES = [-1, 0, 1e-4, 1e-3, 0.01, 0.5, 0.999, 1, 1.5, 1.5707, 1.5708, 1.9999, 2, 3, 4.0, 1e6, math.inf, math.nan]
VALUES += [True, False, None, "auto", "identity", "diagonal", "none", "1"]


def options(cls):
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in NOT_IN_YAML}


def all_options(section, head):
    given = {**options(head), "label_smoothing": 0.0} if issubclass(head, heads.Head) else options(head)
    stated = {name: field.default for name, field in section.model_fields.items() if name != "name"}
    if issubclass(head, heads.Head):
        stated.pop("loss_weight")  # the trainer's
    return given, stated


CASES = [(name, section, heads.HEADS[name]) for name, section in HEADS.items()]
CASES += [(name, section, regularizers.REGULARIZERS[name]) for name, section in REGULARIZERS.items()]


def test_the_tables_name_the_same():
    assert set(HEADS) == set(heads.HEADS)
    assert set(REGULARIZERS) == set(regularizers.REGULARIZERS)
    assert set(BACKBONES) == set(backbones.BACKBONES)
    assert set(SOURCES) == set(data.SOURCES)


@pytest.mark.parametrize(("name", "section", "cls"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_names_and_defaults(name, section, cls):
    given, stated = all_options(section, cls)
    assert stated == given


@pytest.mark.parametrize(("name", "section", "cls"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_scheduled_values(name, section, cls):
    block = cls(3, 2) if name != "ring" else cls()
    assert set(section(name=name).scheduled()) == set(block.scheduled())


@pytest.mark.parametrize(("name", "section", "cls"), CASES, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.filterwarnings("ignore::UserWarning")  # bounds: a loss that cannot be reached is allowed
def test_ranges(name, section, cls):
    """What a config lets through, the class takes; what it refuses, the class refuses, or YAML types are stricter."""
    sizes = () if name == "ring" else (3, 2)
    for option in all_options(section, cls)[1]:
        for value in VALUES:
            accepted = accepts(ValidationError, section.model_validate, {"name": name, option: value})
            taken = accepts(ValueError, cls, *sizes, **{option: value})
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
    if annotation in (bool, Optional[bool]):
        return not isinstance(value, bool)
    return annotation is int and (isinstance(value, float) and value == int(value))
