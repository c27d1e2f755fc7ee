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


def require_outputs(head, embedding_size: int, num_classes: int, name: str, context) -> None:
    """Raise the error of a head, initialized, that does not return a loss (B,) and logits (B, C)."""
    with mx.autograd.pause():
        found = head(mx.nd.zeros((2, embedding_size), ctx=context), mx.nd.zeros((2,), ctx=context))
    shapes = [tuple(one.shape) for one in found] if isinstance(found, (list, tuple)) else [tuple(found.shape)]
    if shapes != [(2,), (2, num_classes)]:
        raise UserError(
            f"head {name}: `{type(head).__name__}` must return a loss (2,) and logits (2, {num_classes}) for 2 "
            f"embeddings, got {', '.join(map(str, shapes))}. Nothing is averaged inside."
        )
