"""The file of a sweep: which variants, seeds and data sets, what is compared with what, and what is tuned."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from lossbench.config import yaml_file
from lossbench.config.errors import one_line
from lossbench.config.mistakes import mistakes
from lossbench.config.section import Items, Plain, Section, rule
from lossbench.config.tuning import Tuning, without_seed
from lossbench.errors import did_you_mean
from lossbench.evaluation import METHODS

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
Overrides = dict[str, Any]


_SPLITS = ("test", "validation", "holdout")
RESERVED = ("trials", "logs", "README.md", "runs.csv", "results.json", "report.html")  # of a sweep's folder, no variant


def _is_of_training(metric: str) -> bool:
    return any(each.asks_about_training and each.key == metric.partition(".")[0] for each in METHODS.values())


def _folder_names(named: dict[str, Any]) -> dict[str, Any]:
    for name in named:
        if name in RESERVED:
            raise rule(f"must have other names than {', '.join(RESERVED)}, got {name!r}. A sweep's folder has these")
        if not _NAME.fullmatch(name):
            raise rule(f"must have names of letters, digits, `_`, `-` and `.`, got {name!r}. They name folders")
    return named


Named = AfterValidator(_folder_names)
Settings = Annotated[Overrides, AfterValidator(without_seed)]


class Variant(Section):
    """One side of a comparison."""

    config: str = Field(description="a config file, relative to this one; `{data}` in it is the data set's name")
    overrides: Settings = Field({}, description="dotted keys and values in place of the config's")
    grid: Annotated[dict[str, Items[Plain]], AfterValidator(without_seed)] = Field(
        {}, description="dotted keys and lists: a variant for every combination"
    )

    @field_validator("grid")
    @classmethod
    def _values(cls, grid: dict[str, tuple]) -> dict[str, tuple]:
        for key, values in grid.items():
            if not values or len(set(map(repr, values))) < len(values):
                raise rule(f"must be different values, at least one, got {list(values)}. Name each once", key)
        return grid


class Sweep(Section):
    """What a sweep file says, every key filled in."""

    name: str = Field(pattern=f"^{_NAME.pattern}$", description="name of the sweep's folder; by default the file's")
    title: str | None = Field(None, description="heading of its page; null: the name")
    seeds: Items[Annotated[int, Field(ge=0, lt=2**31)]] = Field(description="one run a variant for each, in [0, 2^31)")
    variants: Annotated[dict[str, Variant], Named] = Field(description="what is compared, by name")
    data_sets: Annotated[dict[str, Settings], Named] = Field(
        {}, description="overrides by the name of a data set; every variant is trained on each"
    )
    overrides: Settings = Field({}, description="dotted keys and values for every variant, such as trainer.epochs")
    baselines: Items[str] = Field((), description="variants that every other one is compared with")
    metrics: Items[str] = Field(
        ("accuracy",),
        description="keys of metrics.json, such as accuracy_knn or retrieval.cosine.map_at_r; `holdout.` or another "
        "split before one takes it from there",
    )
    split: Literal[_SPLITS] = Field(  # type: ignore[valid-type]
        "test", description="whose figures are compared"
    )
    checkpoints: Items[Literal["last", "best"]] = Field(
        ("last",), description="last: after the last epoch; best: the epoch that was best on validation images"
    )
    tune: Tuning | None = Field(None, description="settings that are searched on validation images first; null: none")

    @field_validator("seeds", "metrics", "checkpoints")
    @classmethod
    def _different(cls, values: tuple) -> tuple:
        if not values or len(set(values)) < len(values):
            raise rule(f"must be different, at least one, got {list(values)}. Name each once")
        return values

    @field_validator("metrics")
    @classmethod
    def _asked_of_training(cls, metrics: tuple) -> tuple:
        for metric in metrics:
            split, _, rest = metric.partition(".")
            if split in _SPLITS and _is_of_training(rest):
                raise rule(f"must not take from {split} what is of training images, got {metric}. Write {rest}")
        return metrics

    @field_validator("variants")
    @classmethod
    def _some(cls, variants: dict[str, Variant]) -> dict[str, Variant]:
        if not variants:
            raise rule("must name at least one variant, got none. Write a name with `config:` below it")
        return variants

    @model_validator(mode="after")
    def _agree(self) -> Sweep:
        bases = {name: base for name, base, _ in self.expanded()}
        names = [name for name, _, _ in self.expanded()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise rule(f"must have names of their own, but a grid makes {', '.join(twice)} too. Rename one", "variants")
        _require_known("baselines", self.baselines, names)
        if self.tune:
            if _is_of_training(self.tune.metric):
                raise rule(f"must be of validation images, got {self.tune.metric}. Take accuracy", "tune.metric")
            if any(value.better == 0 for method in METHODS.values() if (value := method.number(self.tune.metric))):
                raise rule(f"must be better high or better low, got {self.tune.metric}. Take accuracy", "tune.metric")
            _require_known("tune.ranges", self.tune.ranges, self.variants)
            if self.tune.seed in self.seeds:
                raise rule(
                    f"must not be among seeds, got {self.tune.seed}. What is chosen is trained on fresh ones",
                    "tune.seed",
                )
            untuned = [name for name in self.baselines if not self.tune.of(bases[name])]
            if untuned and any(map(self.tune.of, self.variants)):
                raise rule(
                    f"must name every baseline, got none for {', '.join(untuned)}. A tuned variant is compared with a "
                    "tuned baseline, after as many trials",
                    "tune.ranges",
                )
        return self

    @property
    def places(self) -> list[tuple[str, str]]:
        """(split, metric) of every figure that is compared."""
        named = [metric.partition(".") for metric in self.metrics]
        return [
            (first, rest) if first in _SPLITS else ("train" if _is_of_training(metric) else self.split, metric)
            for metric, (first, _, rest) in zip(self.metrics, named)
        ]

    def expanded(self) -> list[tuple[str, str, Variant]]:
        """Name, name in the file, variant: one with a grid once for every combination of its values."""
        found = []
        for name, variant in self.variants.items():
            for values in product(*variant.grid.values()):
                chosen = dict(zip(variant.grid, values))
                own = "".join(f"-{_short(key, variant.grid)}{_text(value)}" for key, value in chosen.items())
                overrides = {**{k: v for k, v in variant.overrides.items() if k not in chosen}, **chosen}
                found.append((name + own, name, variant.model_copy(update={"overrides": overrides, "grid": {}})))
        return found


def _require_known(key: str, named: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in named:
        if name not in known:
            hint = did_you_mean(name, known) or f". There are: {', '.join(known)}"
            raise rule(f"must name variants, got {name!r}{hint}", *key.split("."))


def _short(key: str, grid: Iterable[str]) -> str:
    """The last part of a key where no other key of the grid ends like it, else the whole."""
    last = key.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in grid) == 1 else key


def _text(value: Plain) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)


def load(path: Path) -> Sweep:
    """Read and validate a sweep file; `ConfigError` says in one line what is wrong where.

    The variants' own configs are not read here.
    """
    settings = {"name": path.stem, **yaml_file.read(path)}
    try:
        return Sweep.model_validate(settings)
    except ValidationError as error:
        found = mistakes(error, settings, Sweep)
    raise one_line([(str(path), mistake.shown(settings), mistake.text) for mistake in found])
