"""Heads: from an embedding (B, D) and a label (B,) to a loss (B,) and logits (B, C). One file per paper."""

from __future__ import annotations

from lossbench.errors import UserError
from lossbench.heads.a_softmax import ASoftmax, SphereFace
from lossbench.heads.am_softmax import AMSoftmax, CosFace
from lossbench.heads.arcface import ArcFace
from lossbench.heads.base import Head
from lossbench.heads.l2_softmax import L2Softmax
from lossbench.heads.l_softmax import LSoftmax
from lossbench.heads.lgm import LGM
from lossbench.heads.normface import NormFace
from lossbench.heads.softmax import Softmax

__all__ = [
    "HEADS",
    "LGM",
    "AMSoftmax",
    "ASoftmax",
    "ArcFace",
    "CosFace",
    "Head",
    "L2Softmax",
    "LSoftmax",
    "NormFace",
    "Softmax",
    "SphereFace",
    "build",
]

HEADS = {
    "softmax": Softmax,
    "l2_softmax": L2Softmax,
    "normface": NormFace,
    "am_softmax": AMSoftmax,
    "cosface": CosFace,
    "arcface": ArcFace,
    "l_softmax": LSoftmax,
    "a_softmax": ASoftmax,
    "sphereface": SphereFace,
    "lgm": LGM,
}


def build(config, num_classes: int, embedding_size: int, heads=None):
    """Build the head that a config's ``head`` section describes, uninitialised.

    Parameters
    ----------
    config : the ``head`` section of a config, or a dict
        ``name`` and the head's options; ``loss_weight`` is the trainer's.
    num_classes, embedding_size : int
        C and D.
    heads : dict, optional
        More heads by name, as callables ``(num_classes, embedding_size, **options)``.

    Raises
    ------
    ValueError
        If the name is unknown or the head refuses an option.
    """
    options = dict(config) if isinstance(config, dict) else config.model_dump()
    table = {**HEADS, **(heads or {})}
    name = options.pop("name")
    options.pop("loss_weight", None)
    if name not in table:
        raise UserError(f"heads: `name` must be one of {', '.join(sorted(table))}, got {name!r}.")
    return table[name](num_classes, embedding_size, **options)
