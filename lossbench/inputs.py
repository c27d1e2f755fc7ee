"""What a loss block is called with: embeddings and labels in the forms that Gluon people have them, made one form.

A block computes with arrays of `mx.nd`. What does not fit is refused here. In a compiled block MXNet alone sees the
shapes: there our sentence is the name of the node that does not fit, and MXNet's error, which says that name, becomes
ours.
"""

from __future__ import annotations

import re

import numpy as np

from lossbench._gluon import BFLOAT16, is_numpy
from lossbench._mxnet import mx
from lossbench.errors import UserError
from lossbench.options import MOST_NUMBERS, require

FLATTEN = "Flatten or project the backbone's output."
CLASS_IDS = "Pass class ids, not one-hot rows: label.argmax(axis=1)."
# Where the workers of a DataLoader leave arrays: memory of the CPU to read from, which no parameter is in.
LENT = ("cpu_shared", "cpu_pinned")
# The largest whole number up to which a type has them all.
EXACT = (("float16", np.dtype("float16"), 2048), ("bfloat16", BFLOAT16, 256), ("float32", np.dtype("float32"), 2**24))


def as_given(x, found):
    """Return arrays or symbols as those of `mx.np` where `x` is one, or ``npx.set_np()`` asks for them."""
    if not is_numpy(x) and not mx.util.is_np_array():
        return found
    return [one.as_np_ndarray() for one in found] if isinstance(found, (list, tuple)) else found.as_np_ndarray()


def flat_embedding(where: str, embedding, size):
    """Return an embedding (B, D) or (B, D, 1, 1) as (B, D), or raise the error of another one.

    ``size`` is D, None for any. In a graph, all but the first dimension become one, and nothing is checked.
    """
    embedding = _array(where, "embedding", embedding)
    if isinstance(embedding, mx.sym.Symbol):
        return mx.sym.flatten(embedding)
    if embedding.context.device_type in LENT:
        embedding = embedding.as_in_context(mx.cpu())
    shape = embedding.shape
    if shape[2:] == (1, 1):
        embedding, shape = embedding.reshape(shape[:2]), shape[:2]
    good = len(shape) == 2 and size in (None, shape[1])
    require(good, where, "embedding", _embedding_rule(size), shape, FLATTEN)
    return embedding


def flat(where: str, embedding, label, size, num_classes) -> tuple:
    """Return an embedding as `flat_embedding` does and labels (B,) or (B, 1) as (B,), or raise the error of others.

    ``num_classes`` is None where labels play no part. In a graph, the error is raised when the graph is called.
    """
    label = _array(where, "label", label)
    if isinstance(label, mx.sym.Symbol):
        return _flat_in_graph(where, _array(where, "embedding", embedding), label, size)
    embedding = flat_embedding(where, embedding, size)
    batch_size, shape = len(embedding), label.shape
    if shape == (batch_size, 1):
        label = label.reshape((batch_size,))
    elif shape != (batch_size,):
        require(False, where, "label", f"have shape ({batch_size},), {_ONE_EACH}", shape, CLASS_IDS)
    for name, dtype, largest in EXACT:
        if num_classes is not None and num_classes > largest + 1 and label.dtype == dtype:
            way_out = "Leave labels as integers."
            require(False, where, "label", f"have a type that holds {num_classes} classes", name, way_out)
    most = MOST_NUMBERS // (num_classes or 1)
    if batch_size > most:
        way_out = "MXNet has no array of 2^31 numbers: take smaller batches."
        require(False, where, "embedding", f"have at most {most} rows", batch_size, way_out)
    return embedding, label.as_in_context(embedding.context)


_ONE_EACH = "one class id per embedding"


def _embedding_rule(size) -> str:
    return f"have shape (batch size, {size or 'embedding size'})"


def _array(where: str, name: str, x):
    """Return an array or a symbol as one of `mx.nd` or `mx.sym`."""
    if not isinstance(x, (mx.nd.NDArray, mx.sym.Symbol)):
        way_out = f"Call mx.{'np' if mx.util.is_np_array() else 'nd'}.array({name})."
        require(False, where, name, "be an MXNet array", type(x).__name__, way_out)
    return x.as_nd_ndarray()


def _flat_in_graph(where: str, embedding, label, size) -> tuple:
    name = _sentence(where, "label", f"have shape (batch size,), {_ONE_EACH}", CLASS_IDS)
    label = mx.sym.reshape_like(label, embedding, lhs_begin=0, lhs_end=None, rhs_begin=0, rhs_end=1, name=name)
    if size is None:
        return mx.sym.flatten(embedding), label
    name = _sentence(where, "embedding", _embedding_rule(size), FLATTEN)
    corner = mx.sym.slice(embedding, begin=(0, 0), end=(1, 1), name=name)
    row = mx.sym.broadcast_axis(corner, axis=1, size=size)  # (1, D): zeros take no part in AMP's graphs
    return mx.sym.reshape_like(embedding, row, lhs_begin=1, lhs_end=None, rhs_begin=1, rhs_end=2, name=name), label


def _sentence(where: str, name: str, rule: str, way_out: str) -> str:
    return f"<lossbench {where}: `{name}` must {rule}, got another shape. {way_out}>"


def _error_of(message: str) -> Exception:
    """Return MXNet's error, or ours where a node that bears our sentence does not fit."""
    ours = re.search(r"<lossbench (.+?)>", message)
    if ours is None:
        return mx.MXNetError(message)
    shape = re.search(r"lhs with shape \[([\d,]+)\]", message)
    got = f"got {tuple(map(int, shape[1].split(',')))}" if shape else "got another shape"
    return UserError(ours[1].replace("got another shape", got))


mx.error.register("MXNetError", _error_of)
