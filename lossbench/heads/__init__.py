"""Heads: from an embedding (B, D) and a label (B,) to a loss (B,) and logits (B, C). One file per loss."""

from __future__ import annotations

from lossbench import contract, registry
from lossbench.heads.a_softmax import ASoftmax as ASoftmax
from lossbench.heads.a_softmax import SphereFace as SphereFace
from lossbench.heads.adacos import AdaCos as AdaCos
from lossbench.heads.adaface import AdaFace as AdaFace
from lossbench.heads.am_softmax import AMSoftmax as AMSoftmax
from lossbench.heads.am_softmax import CosFace as CosFace
from lossbench.heads.arcface import ArcFace as ArcFace
from lossbench.heads.base import Head as Head
from lossbench.heads.circle import CircleLoss as CircleLoss
from lossbench.heads.combined_margin import CombinedMargin as CombinedMargin
from lossbench.heads.curricularface import CurricularFace as CurricularFace
from lossbench.heads.l2_softmax import L2Softmax as L2Softmax
from lossbench.heads.l_softmax import LSoftmax as LSoftmax
from lossbench.heads.large_margin_in_softmax import LargeMarginInSoftmax as LargeMarginInSoftmax
from lossbench.heads.lgm import LGM as LGM
from lossbench.heads.logit_norm import LogitNorm as LogitNorm
from lossbench.heads.magface import MagFace as MagFace
from lossbench.heads.mv_softmax import MVSoftmax as MVSoftmax
from lossbench.heads.normface import NormFace as NormFace
from lossbench.heads.proxy_anchor import ProxyAnchor as ProxyAnchor
from lossbench.heads.softmax import Softmax as Softmax
from lossbench.heads.uniface import UniFace as UniFace

HEADS = registry.named(vars().values(), Head)


def build(config, num_classes: int, embedding_size: int):
    """Build the head that a config's ``head`` section describes, uninitialized.

    Parameters
    ----------
    config : the ``head`` section of a config, or a dict
        ``name`` and the head's options; ``loss_weight``, ``sample`` and ``parallel`` are the trainer's.
    num_classes, embedding_size : int
        C and D.

    Raises
    ------
    ValueError
        If the name is unknown or the head refuses an option.
    """
    options = dict(config) if isinstance(config, dict) else config.model_dump()
    name = options.pop("name")
    for of_the_trainer in ("loss_weight", "sample", "parallel"):
        options.pop(of_the_trainer, None)
    head = registry.HEADS.get(name)(num_classes, embedding_size, **options)
    contract.require_methods(head, Head, name)
    contract.give_name(head, name)
    return head
