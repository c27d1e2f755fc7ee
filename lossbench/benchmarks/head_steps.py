"""Training steps of every head and of a plain layer, on a batch that is in memory."""

from __future__ import annotations

import warnings

from lossbench import heads, registry, regularizers
from lossbench._mxnet import mx
from lossbench.options import Choice, options_of

PLAIN = "plain"


def _variants(head_class) -> dict:
    """Return the rows of a head, name -> (label, options): one for each word of an option that chooses among words."""
    name, label = head_class.names[0], head_class.__name__
    rows = {
        (name if word == option.default else f"{name}_{word}"): (f"{label}, {word}", {key: word})
        for key, option in options_of(head_class).items()
        if isinstance(option, Choice)
        for word in option.choices
    }
    return rows or {name: (label, {})}


# Row -> (how the table calls it, class, options).
_HEADS = {
    name: (label, head_class, options)
    for head_class in sorted(dict.fromkeys(registry.HEADS.table().values()), key=lambda one: one is not heads.Softmax)
    for name, (label, options) in _variants(head_class).items()
}
# Row -> how the table calls it.
LABELS = {
    PLAIN: "Dense + SoftmaxCrossEntropyLoss",
    **{name: label for name, (label, _, _) in _HEADS.items()},
    **{name: f"Softmax + {one.__name__}" for name, one in registry.REGULARIZERS.table().items()},
}


class Plain(mx.gluon.HybridBlock):
    """What anybody would write in Gluon: a `Dense` without bias, and its softmax cross-entropy."""

    def __init__(self, num_classes: int, embedding_size: int):
        super().__init__()
        with self.name_scope():
            self.dense = mx.gluon.nn.Dense(num_classes, use_bias=False, in_units=embedding_size)
            self.cross_entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()

    def hybrid_forward(self, F, embedding, label):
        logits = self.dense(embedding)
        return self.cross_entropy(logits, label), logits


class WithRegularizer(mx.gluon.HybridBlock):
    """A softmax head and a regularizer, as the trainer adds them up."""

    def __init__(self, head, regularizer):
        super().__init__()
        with self.name_scope():
            self.head, self.regularizer = head, regularizer

    def hybrid_forward(self, F, embedding, label):
        loss, logits = self.head(embedding, label)
        return loss + self.regularizer(embedding, label), logits


def build(name: str, num_classes: int, embedding_size: int):
    """Build the block of a row of the table, uninitialized: ``loss, logits = block(embedding, label)``."""
    if name == PLAIN:
        return Plain(num_classes, embedding_size)
    if name in registry.REGULARIZERS.table():
        (regularizer,) = regularizers.build([{"name": name}], num_classes, embedding_size)
        return WithRegularizer(heads.Softmax(num_classes, embedding_size), regularizer)
    _, head_class, options = _HEADS[name]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* keeps the (loss|cross-entropy)", category=UserWarning)
        return head_class(num_classes, embedding_size, **options)


def new_steps(name: str, batch_size: int, embedding_size: int, num_classes: int):
    """Return a function that runs so many training steps (forward, backward) and waits for the last.

    The block is hybridized as the trainer does it, with static memory. The embedding gets a gradient, too, as it does
    under a backbone.

    Examples
    --------
    >>> steps = new_steps("arcface", batch_size=4, embedding_size=3, num_classes=5)
    >>> steps(2)
    """
    block = build(name, num_classes, embedding_size)
    block.initialize()
    return repeated(block, batch_size, embedding_size, num_classes)


def repeated(block, batch_size: int, embedding_size: int, num_classes: int):
    """The same for a block at hand, initialized: ``block(embedding, label)`` returns the loss, or the loss first."""
    block.hybridize(static_alloc=True, static_shape=True)
    embedding = mx.nd.random.normal(shape=(batch_size, embedding_size))
    label = mx.nd.floor(mx.nd.random.uniform(0, num_classes, shape=(batch_size,)))
    embedding.attach_grad()
    mx.nd.waitall()

    def steps(count: int) -> None:
        for _ in range(count):
            with mx.autograd.record():
                outputs = block(embedding, label)
            loss = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
            loss.backward()
        mx.nd.waitall()

    return steps
