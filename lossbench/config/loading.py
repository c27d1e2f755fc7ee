"""From a file, its base and the command line to a config."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lossbench.config import shipped, yaml_file
from lossbench.config.errors import ConfigError, one_line
from lossbench.config.merging import Layers
from lossbench.config.mistakes import mistakes
from lossbench.config.schema import Config, validated

COMMAND_LINE = "command line"
LONGEST_CHAIN = 8


def load(path: str | Path, overrides: Iterable[str] = (), *, overrides_from: str = COMMAND_LINE) -> Config:
    """Read a config file, put it over its `base:`, the overrides over both, and validate.

    Parameters
    ----------
    path : str or Path
        A YAML file, or the name of a config that comes with lossbench, such as `lgm_digits`. `base: other.yaml` in it,
        relative to the file, names the file that it changes, which may have a base in turn.
    overrides : iterable of str
        `key=value`: a dotted key, a YAML value. Members of a list go by index or name:
        `optimizer.groups.0.lr_mult=2`, `regularizers.center.loss_weight=0.1`.
    overrides_from : str
        Where the overrides stand, for what is said of a mistake in them.

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
    Mappings are merged key by key, everything else is replaced. Where a section's `name` (`source`, `kind`) changes,
    the base's keys that belong to the former name alone are dropped. `null` removes an entry of
    `anneal`, `{}` all of them.
    """
    path = shipped.find(path)
    layers = _read(path)
    for keys, value in _parse(overrides, overrides_from):
        layers.assign(keys, value, overrides_from)
    settings = {"name": path.stem, **layers.settings}
    try:
        config = validated(settings)
    except ValidationError as error:
        found = mistakes(error, settings)
        raise one_line([(layers.source(m.path, str(path)), m.shown(settings), m.text) for m in found]) from None
    idle = _without_effect(config, layers)
    if idle:
        raise one_line([(layers.source(place, str(path)), key, text) for place, key, text in idle])
    return config


def _without_effect(config: Config, layers: Layers) -> list[tuple[tuple[Any, ...], str, str]]:
    """Values of `anneal`'s paths that were set over a file whose schedule moves them all the same."""
    names = [regularizer.name for regularizer in config.regularizers]
    found = []
    for key, course in config.anneal.items():
        *block, option = key.split(".")
        place = ("head", option) if block == ["head"] else ("regularizers", names.index(block[-1]), option)
        if not layers.is_later(place, ("anneal", key)):
            continue
        value = layers.at(place)
        if value in course.reached().values():
            continue
        last = next((name for name in ("end", "cap") if hasattr(course, name)), None)
        way_out = f"Write anneal.{key}.{last}={value}" if last else f"Change anneal.{key}"
        text = f"must be set where anneal.{key} moves it, got {value}. {way_out}, or anneal.{key}=null if it is to stay"
        found.append((place, key, text))
    return found


def _read(path: Path) -> Layers:
    chain = [(path, yaml_file.read(path))]
    while "base" in chain[-1][1]:
        chain.append(_read_base([above for above, _ in chain], chain[-1][1].pop("base")))
    layers = Layers()
    for layer_path, layer in reversed(chain):
        layers.lay(layer, str(layer_path))
    return layers


def _read_base(above: list[Path], named: Any) -> tuple[Path, dict[str, Any]]:
    path = above[-1]
    if not isinstance(named, str):
        raise ConfigError(f"config {path}: base: must be the path of a file, relative to this one, got {named!r}")
    base_path = path.parent / named
    if any(os.path.realpath(base_path) == os.path.realpath(other) for other in above):
        raise ConfigError(f"config {path}: base: must not come back to {base_path}, which it is the base of. Remove it")
    if len(above) > LONGEST_CHAIN:
        raise ConfigError(f"config {path}: base: must end a chain of {LONGEST_CHAIN} bases, got {named!r}. Join some")
    try:
        base = yaml_file.read(base_path)
    except ConfigError as error:
        raise ConfigError(f"config {path}: base: {error}") from None
    if "name" in base:
        got = f"got {base['name']!r}: an experiment has the name"
        raise ConfigError(f"config {base_path}: name: must not be in a base, {got}. Remove it")
    return base_path, base


def _parse(overrides: Iterable[str], source: str) -> list[tuple[list[str], Any]]:
    """Keys and values, in order; but one that chooses a model comes first, since it drops the former model's keys.

    It does not come before a whole section that it is in.
    """
    if isinstance(overrides, str):
        raise TypeError(
            f"load: overrides must be a list of key=value, got the text {overrides!r}. Write [{overrides!r}]"
        )
    where = source if source == COMMAND_LINE else f"config {source}"
    parsed = []
    for override in overrides:
        key, equals, text = override.partition("=")
        keys = [part.strip() for part in key.split(".")]
        if not equals or not all(keys):
            raise ConfigError(f"{where}: must be key=value, got {override!r}. Example: trainer.epochs=3")
        if len(keys) > yaml_file.DEEPEST:
            raise ConfigError(f"{where}: must be a key of at most {yaml_file.DEEPEST} parts, got {len(keys)}: {key}")
        if keys == ["base"]:
            raise ConfigError(f"{where}: base: must stand in the file, got {text!r}. Choose another file")
        try:
            parsed.append((keys, yaml_file.parse(text)))
        except yaml_file.YamlError as error:
            raise ConfigError(f"{where}: {key}: must be a YAML value, got {text!r:.80}; {error}") from None
    placed: list[tuple[list[str], Any]] = []
    for keys, value in parsed:
        place = len(placed)
        while _chooses_a_model(keys) and place and keys[: len(placed[place - 1][0])] != placed[place - 1][0]:
            place -= 1
        placed.insert(place, (keys, value))
    return placed


def _chooses_a_model(keys: list[str]) -> bool:
    return keys[-1] in ("name", "source", "kind") and (len(keys) == 2 or keys[0] == "anneal")
