"""Regularizers: a penalty (B,) on an embedding, added to any head."""

from __future__ import annotations

from lossbench.errors import UserError
from lossbench.regularizers.base import Regularizer
from lossbench.regularizers.center import CenterLoss
from lossbench.regularizers.ring import RingLoss

__all__ = ["REGULARIZERS", "CenterLoss", "Regularizer", "RingLoss", "build"]

REGULARIZERS = {
    "center": CenterLoss,
    "ring": RingLoss,
}


def build(configs, num_classes: int, embedding_size: int, regularizers=None) -> list:
    """Build the regularizers that a config lists, uninitialised.

    Parameters
    ----------
    configs : list of sections or dicts
        Each a ``name`` and that regularizer's options, ``loss_weight`` among them.
    num_classes, embedding_size : int
        C and D.
    regularizers : dict, optional
        More regularizers by name.

    Raises
    ------
    ValueError
        If a name is unknown or an option refused.
    """
    table = {**REGULARIZERS, **(regularizers or {})}
    built = []
    for config in configs:
        options = dict(config) if isinstance(config, dict) else config.model_dump()
        name = options.pop("name")
        if name not in table:
            raise UserError(f"regularizers: `name` must be one of {', '.join(sorted(table))}, got {name!r}.")
        built.append(table[name].create(num_classes, embedding_size, **options))
    return built
