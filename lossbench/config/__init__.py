"""YAML -> validated, frozen config. Validation imports MXNet, since the options of a loss are declared at its class.

>>> from lossbench import config
>>> config.load("softmax_digits", ["trainer.epochs=1"]).trainer.epochs
1
"""

from __future__ import annotations

from lossbench.config.dumping import as_override, changes, differences, dump, values
from lossbench.config.errors import ConfigError
from lossbench.config.loading import load
from lossbench.config.resuming import on_resume
from lossbench.config.schema import Config

__all__ = ["Config", "ConfigError", "as_override", "changes", "differences", "dump", "load", "on_resume", "values"]
