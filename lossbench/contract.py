"""What a loss of the user's own is checked for before anything is trained."""

from __future__ import annotations

from lossbench._mxnet import mx
from lossbench.errors import UserError


def require_methods(block, base: type, name: str) -> None:
    """Raise the error of a block that lacks what a training asks for.

    A subclass of `base` must write the methods that `base.must_write` names; a plain HybridBlock must have those that
    `base.asked_for` names.
    """
    kind, own = base.__name__.lower(), type(block).__name__
    way_out = f"Derive it from lossbench.{base.__name__}, which brings them."
    if isinstance(block, base):
        missing = [method for method in base.must_write if getattr(type(block), method) is getattr(base, method)]
        way_out = f"See the docstring of lossbench.{base.__name__}."
    elif isinstance(block, mx.gluon.HybridBlock):
        missing = [method for method in base.asked_for if not hasattr(block, method)]
    else:
        raise UserError(f"{kind} {name}: `{own}` must be a HybridBlock, got {block!r}. {way_out}")
    if missing:
        raise UserError(f"{kind} {name}: `{own}` must have {', '.join(missing)}, got none of its own. {way_out}")


def give_name(block, name: str) -> None:
    """Set a block's `config_name` where its class goes by none of this name: where a function built it."""
    if name not in getattr(block, "names", ()):
        block.config_name = name


def require_outputs(head, embedding_size: int, num_classes: int, name: str, context) -> None:
    """Raise the error of a head, initialized, that does not return a loss (B,) and logits (B, C)."""
    loss_and_logits = f"a loss (2,) and logits (2, {num_classes})"
    _require_shapes(head, embedding_size, context, [(2,), (2, num_classes)], f"head {name}", loss_and_logits)


def require_penalty(regularizer, embedding_size: int, context) -> None:
    """Raise the error of a regularizer, initialized, that does not return a penalty (B,)."""
    where = f"regularizer {regularizer.config_name}"
    _require_shapes(regularizer, embedding_size, context, [(2,)], where, "a penalty (2,)")


def _require_shapes(block, embedding_size, context, expected, where, described):
    with mx.autograd.pause():
        found = block(mx.nd.zeros((2, embedding_size), ctx=context), mx.nd.zeros((2,), ctx=context))
    shapes = [tuple(one.shape) for one in found] if isinstance(found, (list, tuple)) else [tuple(found.shape)]
    if shapes != expected:
        raise UserError(
            f"{where}: `{type(block).__name__}` must return {described} for 2 embeddings, got "
            f"{', '.join(map(str, shapes))}. Nothing is averaged inside."
        )
