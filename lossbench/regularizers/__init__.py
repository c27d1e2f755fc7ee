"""Regularizers: a penalty (B,) on an embedding, added to any head. One file per loss."""

from __future__ import annotations

from lossbench import contract, registry
from lossbench.regularizers.base import Regularizer as Regularizer
from lossbench.regularizers.center import CenterLoss as CenterLoss
from lossbench.regularizers.ring import RingLoss as RingLoss

REGULARIZERS = registry.named(vars().values(), Regularizer)


def build(configs, num_classes: int, embedding_size: int) -> list:
    """Build the regularizers that a config lists, uninitialized.

    Parameters
    ----------
    configs : list of sections or dicts
        Each a ``name`` and that regularizer's options, ``loss_weight`` among them.
    num_classes, embedding_size : int
        C and D.

    Raises
    ------
    ValueError
        If a name is unknown or an option refused.
    """
    built = []
    for config in configs:
        options = dict(config) if isinstance(config, dict) else config.model_dump()
        name = options.pop("name")
        chosen = registry.REGULARIZERS.get(name)
        create = getattr(chosen, "create", None)  # a plain block of the user's own has none
        built.append(create(num_classes, embedding_size, **options) if create else chosen(**options))
        contract.require_methods(built[-1], Regularizer, name)
        contract.give_name(built[-1], name)
    return built
