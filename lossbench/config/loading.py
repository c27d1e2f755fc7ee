"""From a file, its base and the command line to a config, and back to YAML."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Union

import yaml
from pydantic import ValidationError

from lossbench.config import yaml_file
from lossbench.config.backbones import BACKBONES
from lossbench.config.data import SOURCES
from lossbench.config.errors import ConfigError, one_line
from lossbench.config.heads import HEADS
from lossbench.config.merging import Origins, assign, merge, split_key
from lossbench.config.mistakes import problems
from lossbench.config.sections import Config, flat, plain

COMMAND_LINE = "command line"


def load(
    path: Union[str, Path],
    overrides: Iterable[str] = (),
    heads: Iterable[str] = (),
    backbones: Iterable[str] = (),
    data: Iterable[str] = (),
) -> Config:
    """Read a config file, put it over its `base:`, the overrides over both, and validate.

    Parameters
    ----------
    path : str or Path
        A YAML file. `base: other.yaml` in it, relative to the file, names one file that it changes.
    overrides : iterable of str
        `key=value`: a dotted key, a YAML value. Members of a list go by index or name:
        `optimizer.groups.0.lr_mult=2`, `regularizers.center.loss_weight=0.1`.
    heads, backbones, data : iterable of str
        Names that the caller brings along; their options are not checked here.

    Returns
    -------
    Config
        Frozen, every key filled in.

    Raises
    ------
    ConfigError
        One line: file, key, rule, value, way out.

    Notes
    -----
    Mappings are merged key by key, everything else is replaced. Where a section's `name` (`source`, `kind`) changes, the
    base's keys that belong to the former name alone are dropped. `null` removes an entry of `anneal`.
    """
    path = Path(path)
    own = {"heads": tuple(heads), "backbones": tuple(backbones), "data": tuple(data)}
    _refuse_taken(own)
    raw, origins = _read(path)
    for key, value in _parse(overrides):
        assign(raw, key, value, COMMAND_LINE, origins)
    raw.setdefault("name", path.stem)
    try:
        return Config.model_validate(raw, context=own)
    except ValidationError as error:
        found = problems(error, raw)
    raise one_line([(origins.of(place, str(path)), key, text) for place, key, text in found])


def dump(config: Config) -> str:
    """The resolved config as YAML, every key in it; `load` reads it back equal."""
    return yaml_file.write(plain(config))


def differences(a: Config, b: Config) -> list[str]:
    """Dotted keys whose values differ, in the order of the file."""
    first, second = flat(plain(a)), flat(plain(b))
    missing = object()
    keys = list(first) + [key for key in second if key not in first]
    return [key for key in keys if first.get(key, missing) != second.get(key, missing)]


def _refuse_taken(own: dict[str, tuple[str, ...]]) -> None:
    for kind, table in (("heads", HEADS), ("backbones", BACKBONES), ("data", SOURCES)):
        for name in own[kind]:
            if name in table:
                raise ConfigError(f"{kind}: name must not be one that lossbench has, got {name!r}. Choose another")


def _read(path: Path) -> tuple[dict[str, Any], Origins]:
    own = yaml_file.read(path)
    origins = Origins()
    if "base" not in own:
        origins.record((), own, str(path))
        return own, origins
    named = own.pop("base")
    if not isinstance(named, str):
        raise ConfigError(f"config {path}: base: must be the path of a file, relative to this one, got {named!r}")
    base_path = path.parent / named
    try:
        base = yaml_file.read(base_path)
    except ConfigError as error:
        raise ConfigError(f"config {path}: base: {error}") from None
    for key, why in (("base", "inheritance goes one level"), ("name", "the experiment has the name")):
        if key in base:
            raise ConfigError(
                f"config {base_path}: {key}: must not be in a base file, got {base[key]!r}; {why}. Remove it"
            )
    origins.record((), base, str(base_path))
    return merge(base, own, Config, (), str(path), origins), origins


def _parse(overrides: Iterable[str]) -> list[tuple[list[str], Any]]:
    """Keys and values; those that choose a model first, since they drop the former model's keys."""
    if isinstance(overrides, str):
        raise TypeError(
            f"load: overrides must be a list of key=value, got the text {overrides!r}. Write [{overrides!r}]"
        )
    parsed = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise ConfigError(f"{COMMAND_LINE}: must be key=value, got {override!r}. Example: trainer.epochs=3")
        try:
            value = yaml_file.parse(text)
        except yaml.YAMLError as error:
            reason = " ".join(yaml_file.explain(error).split())
            raise ConfigError(f"{COMMAND_LINE}: {key}: must be a YAML value, got {text!r}; {reason}") from None
        if key.strip() == "base":
            raise ConfigError(f"{COMMAND_LINE}: base: must stand in the file, got {text!r}. Choose another --config")
        parsed.append((split_key(key.strip()), copy.deepcopy(value)))
    return sorted(parsed, key=lambda pair: (pair[0][-1] not in ("name", "source", "kind"), 0))
