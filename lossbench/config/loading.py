"""From a file, its base and the command line to a config."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Union

import yaml
from pydantic import ValidationError

from lossbench.config import shipped, yaml_file
from lossbench.config.errors import ConfigError, one_line
from lossbench.config.merging import Layers
from lossbench.config.mistakes import mistakes
from lossbench.config.sections import Config

COMMAND_LINE = "command line"


def load(path: Union[str, Path], overrides: Iterable[str] = (), *, overrides_from: str = COMMAND_LINE) -> Config:
    """Read a config file, put it over its `base:`, the overrides over both, and validate.

    Parameters
    ----------
    path : str or Path
        A YAML file, or the name of a config that comes with lossbench, such as `lgm_digits`. `base: other.yaml` in it,
        relative to the file, names one file that it changes.
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
        return Config.model_validate(settings)
    except ValidationError as error:
        found = mistakes(error)
    raise one_line([(layers.source(m.path, str(path)), m.shown(settings), m.text) for m in found])


def _read(path: Path) -> Layers:
    layers, own = Layers(), yaml_file.read(path)
    if "base" in own:
        base_path, base = _read_base(path, own.pop("base"))
        layers.lay(base, str(base_path))
    layers.lay(own, str(path))
    return layers


def _read_base(path: Path, named: Any) -> tuple[Path, dict[str, Any]]:
    if not isinstance(named, str):
        raise ConfigError(f"config {path}: base: must be the path of a file, relative to this one, got {named!r}")
    base_path = path.parent / named
    try:
        base = yaml_file.read(base_path)
    except ConfigError as error:
        raise ConfigError(f"config {path}: base: {error}") from None
    for key, why in (("base", "inheritance goes one level"), ("name", "an experiment has the name")):
        if key in base:
            raise ConfigError(f"config {base_path}: {key}: must not be in a base, got {base[key]!r}: {why}. Remove it")
    return base_path, base


def _parse(overrides: Iterable[str], source: str) -> list[tuple[list[str], Any]]:
    """Keys and values; those that choose a model first, since they drop the former model's keys."""
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
        if keys == ["base"]:
            raise ConfigError(f"{where}: base: must stand in the file, got {text!r}. Choose another file")
        try:
            parsed.append((keys, yaml_file.parse(text)))
        except yaml.YAMLError as error:
            reason = " ".join(yaml_file.explain(error).split())
            raise ConfigError(f"{where}: {key}: must be a YAML value, got {text!r}; {reason}") from None
    return sorted(parsed, key=lambda pair: not _chooses_a_model(pair[0]))


def _chooses_a_model(keys: list[str]) -> bool:
    return keys[-1] in ("name", "source", "kind") and (len(keys) == 2 or keys[0] == "anneal")
