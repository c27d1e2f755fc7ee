"""Options: what a loss may be built with, declared once at its class.

Everything else follows from the declaration: the check of a Python caller, the section of a config with its messages,
the docstring's parameters, the tables of the documentation, and what a schedule may move.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossbench.errors import UserError


def require(condition: bool, where: str, name: str, rule: str, value, way_out: str) -> None:
    """Raise the error of a bad argument, ``<where>: `<name>` must <rule>, got <value>. <way out>``."""
    if not condition:
        raise BadOption(where, name, rule, value, way_out)


class BadOption(UserError):
    """A bad argument, with its parts, from which a config makes a message of its own."""

    def __init__(self, where: str, name: str, rule: str, value, way_out: str):
        super().__init__(f"{where}: `{name}` must {rule}, got {value!r}. {way_out}")
        self.name, self.rule, self.value, self.way_out = name, rule, value, way_out


MOST_NUMBERS = 2**31 - 1  # of an MXNet array
MOST_OF_PIXELS = 1e12  # means of pixels in [0, 1] are at most that large; deviations, and one over them, too


def is_number(value, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether ``value`` is a finite number in [low, high)."""
    is_real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return bool(is_real and math.isfinite(value) and low <= value < high)


def is_count(value, low: int = 1) -> bool:
    """Whether ``value`` is an integer of at least ``low``."""
    return bool(isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= low)


NOT_IN_CONFIGS = ("weight_initializer", "prefix", "params")


@dataclass(frozen=True, eq=False)
class Option:
    """One option. Two classes whose option is the same object mean the same by its name.

    Attributes
    ----------
    default
        Its value where nothing is said.
    help : str
        What it is, in a few words, without its range.
    note : str
        What else is worth a word, shown after the range.
    way_out : str
        What the error of a Python caller advises.
    scheduled : bool
        Whether a schedule may move it while training.
    """

    default: Any
    help: str
    note: str = ""
    way_out: str = ""
    scheduled: bool = False

    type_name = "object"

    @property
    def range(self) -> str:
        """The range in a few signs, such as ``> 0`` or ``in [0, 1)``; empty where there is none."""
        return ""

    @property
    def description(self) -> str:
        """One line: what it is, its range, and what else is worth a word."""
        said = f"{self.help}, {self.range}" if self.range else self.help
        return f"{said}; {self.note}" if self.note else said

    def check(self, where: str, name: str, value):
        """Return the value in its type, or raise the error that names class, option, rule, value and way out."""
        return value


@dataclass(frozen=True, eq=False)
class Number(Option):
    """A finite number between two bounds, or a word that stands for one.

    ``unit="radians"`` makes the errors ask whether a value that is too large was in degrees.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    unit: str = ""
    word: str = ""

    type_name = "float"

    def holds(self, value) -> bool:
        """Whether this is a number within the bounds."""
        return (
            is_number(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    @property
    def interval(self) -> str:
        """The range as an interval; empty where one side is open."""
        low, high = (self.at_least, self.above), (self.at_most, self.below)
        if low == (None, None) or high == (None, None):
            return ""
        left = f"[{text(low[0])}" if low[0] is not None else f"({text(low[1])}"
        right = f"{text(high[0])}]" if high[0] is not None else f"{text(high[1])})"
        return f"in {left}, {right}"

    @property
    def range(self) -> str:
        if self.interval:
            return f"{self.unit} {self.interval}".strip()
        bounds = ((">=", self.at_least), (">", self.above), ("<=", self.at_most), ("<", self.below))
        sign = next((f"{sign} {text(bound)}" for sign, bound in bounds if bound is not None), "")
        return " ".join(filter(None, (sign, self.unit))) + (f", or {self.word}" if self.word else "")

    @property
    def rule(self) -> str:
        """What an error says after "must"."""
        if self.interval:
            return f"be {self.interval} {self.unit}".strip()
        bounds = (("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below))
        said = next((f"be {name} {text(bound)}" for name, bound in bounds if bound is not None), "be a finite number")
        return f"{said} or {self.word!r}" if self.word else said

    def looks_like_degrees(self, value) -> bool:
        """Whether this is too much for an angle in radians and would be right for one in degrees."""
        most = self.below if self.unit == "radians" else None
        return most is not None and is_number(value, most, math.degrees(most))

    def check(self, where, name, value):
        if self.word and isinstance(value, str) and value == self.word:
            return value
        way_out = self.way_out
        if self.unit == "radians":
            is_degrees = self.looks_like_degrees(value)
            way_out = f"If that is degrees, pass math.radians({value!r})." if is_degrees else "0.5 is 28.6 degrees."
        require(self.holds(value), where, name, self.rule, value, way_out)
        return float(value)


@dataclass(frozen=True, eq=False)
class Count(Option):
    """A whole number of at least ``at_least``."""

    at_least: int = 1

    type_name = "int"

    @property
    def range(self) -> str:
        return f">= {self.at_least}"

    def check(self, where, name, value):
        good = is_count(value, self.at_least)
        require(good, where, name, f"be an integer of at least {self.at_least}", value, self.way_out)
        return int(value)


@dataclass(frozen=True, eq=False)
class Flag(Option):
    """True or False; with ``default=None`` also None, which leaves the choice to the loss."""

    type_name = "bool"

    def check(self, where, name, value):
        if value is None and self.default is None:
            return value
        good = isinstance(value, (bool, np.bool_, int, np.integer)) and value in (0, 1)
        require(good, where, name, "be True or False", value, "Any other value counts as true in Python.")
        return bool(value)


@dataclass(frozen=True, eq=False)
class Choice(Option):
    """One of a few words."""

    choices: tuple = ()

    type_name = "str"

    @property
    def range(self) -> str:
        return f"one of {', '.join(self.choices)}"

    def check(self, where, name, value):
        require(value in self.choices, where, name, f"be {self.range}", value, self.way_out)
        return value


def text(bound: float | None) -> str:
    """A bound as people write it.

    Examples
    --------
    >>> text(0.0), text(math.pi / 2), text(0.001)
    ('0', 'pi/2', '0.001')
    """
    return {math.pi: "pi", math.pi / 2: "pi/2", None: ""}.get(bound) or f"{bound:g}"


def options_of(block) -> dict:
    """The options of a class or function: those that it declares, and the other keyword-only ones of its signature."""
    declared = getattr(block, "options", {})
    found = dict(declared) if isinstance(declared, dict) else {}
    for name, parameter in inspect.signature(block).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and name not in (*found, *NOT_IN_CONFIGS):
            found[name] = Option(parameter.default, "option of the user's own class")
    return found


def parameters(options: dict) -> str:
    """Options as entries of a docstring's ``Parameters`` section."""
    entries = []
    for name, option in options.items():
        kind = f"{option.type_name}, default {option.default!r}"
        moved = " Scheduled." if option.scheduled else ""
        described = option.description
        entries.append(f"{name} : {kind}\n    {described[:1].upper()}{described[1:]}.{moved}")
    return "\n".join(entries)
