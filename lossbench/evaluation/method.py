"""What a method of evaluation declares: its name, its help, its function, and what its numbers mean."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """A number that a method returns.

    Parameters
    ----------
    name : str
        Its key; `*` stands for the rest of the key.
    text : str
        What people call it; its `*` is that of the name.
    better : int
        1 where higher is better, -1 where lower is, 0 where neither is said.
    unit : str
        `fraction` (in [0, 1], shown in percent), `count`, `degrees`, or empty for what has no unit.
    is_apart : bool
        Whether it lies in the method's result itself, beside the places that hold the others.
    """

    name: str
    text: str
    better: int = 0
    unit: str = "fraction"
    is_apart: bool = False

    @property
    def is_fraction(self) -> bool:
        return self.unit == "fraction"

    def called(self, key: str) -> str:
        """Return what people call the number with that key.

        Examples
        --------
        >>> Value("recall_at_*", "recall at *").called("recall_at_4")
        'recall at 4'
        """
        return self.text.replace("*", key[len(self.name) - 1 :])


@dataclass(frozen=True)
class Method:
    """A way to judge a split of a trained model.

    Parameters
    ----------
    name : str
        What `--method` and `evaluation.methods` call it.
    help : str
        What it measures, in a line.
    measure : callable
        Of a `Context`; returns what `metrics.json` can hold, a number or a dictionary, or raises `Unavailable`.
    values : tuple of Value
        The numbers that it returns, however deep they lie.
    key : str
        Where its result stands in the metrics. Default: its name.
    needs_trained_classes : bool
        Whether the classes must be those that were trained.
    asks_for_held_out_classes : bool
        Whether it is the better question where classes were held out from the training, if there are any.
    asks_about_training : bool
        Whether it is a question about training images, and no other split can be asked.
    within : tuple of str, optional
        Places of its result that hold the numbers, such as `cosine`, or patterns of them, such as ``?*`` where the data
        decide. Empty: the result itself holds them.
    """

    name: str
    help: str
    measure: Callable
    values: tuple = ()
    key: str = ""
    needs_trained_classes: bool = True
    asks_for_held_out_classes: bool = False
    asks_about_training: bool = False
    within: tuple = ()

    def __post_init__(self):
        object.__setattr__(self, "key", self.key or self.name)

    def suits(self, split: str) -> bool:
        """Return whether a split can be asked."""
        if self.asks_about_training:
            return split == "train"
        return split != "holdout" or not self.needs_trained_classes

    def value(self, key: str):
        """Return the `Value` with that key, None where the method declares none.

        Examples
        --------
        >>> method = Method("retrieval", "", None, (Value("recall_at_*", "recall at *", 1),))
        >>> method.value("recall_at_8").better, method.value("queries")
        (1, None)
        """
        return next((value for value in self.values if fnmatch.fnmatchcase(key, value.name)), None)

    def number(self, metric: str):
        """Return the `Value` with that dotted key in `metrics.json`, None where the method gives no such number.

        Examples
        --------
        >>> method = Method("retrieval", "", None, (Value("recall_at_*", "recall at *", 1),), within=("cosine",))
        >>> method.number("retrieval.cosine.recall_at_8").better, method.number("retrieval.recall_at_8")
        (1, None)
        """
        key, *rest = metric.split(".")
        is_alone = self.value(self.key) is not None  # a method that returns one number
        if key != self.key or is_alone == bool(rest):
            return None
        found = self.value(metric.rpartition(".")[2])
        place = ".".join(rest[:-1])
        places = ("",) if not self.within or (found and found.is_apart) else self.within
        return found if any(fnmatch.fnmatchcase(place, each) for each in places) else None

    @property
    def numbers(self) -> list:
        """Dotted keys in `metrics.json` of the numbers that it declares, or patterns of them.

        Examples
        --------
        >>> Method("retrieval", "", None, (Value("map_at_r", "MAP@R", 1),), within=("cosine",)).numbers
        ['retrieval.cosine.map_at_r']
        """
        if self.value(self.key) is not None:
            return [self.key]
        return [
            ".".join(filter(None, (self.key, place, value.name)))
            for value in self.values
            for place in ((() if value.is_apart else self.within) or ("",))
        ]
