"""The contract suite for everybody's loss: `check_head(MyHead)` and `check_regularizer(MyRegularizer)`.

Each rule is a function that builds the block anew and asserts one thing; the names of the rules are what ``exceptions``
name. Our own losses are held to the same rules.
"""

from __future__ import annotations

from collections.abc import Callable

from lossbench.errors import UserError
from lossbench.testing import behavior, numbers
from lossbench.testing.subject import LABEL as LABEL
from lossbench.testing.subject import B as B
from lossbench.testing.subject import C as C
from lossbench.testing.subject import D as D
from lossbench.testing.subject import Subject as Subject
from lossbench.testing.subject import assert_close as assert_close
from lossbench.testing.subject import assert_matches_reference as assert_matches_reference
from lossbench.testing.subject import central_differences as central_differences
from lossbench.testing.subject import gradients as gradients
from lossbench.testing.subject import learned as learned
from lossbench.testing.subject import values as values

_HEAD = (
    *(numbers.reference, numbers.differences, numbers.smoothing, numbers.focusing, numbers.small),
    *(behavior.predict, behavior.hybridized, behavior.state, behavior.devices),
    *(numbers.float16, numbers.float32, numbers.on_a_prototype, numbers.extremes, numbers.absent_class),
    *(behavior.forms, behavior.misfits, behavior.numpy_arrays, numbers.added),
    *(numbers.frozen, behavior.wrong_labels, behavior.fractional_labels, behavior.saved, behavior.exported),
    *(behavior.initializers, behavior.scheduled, behavior.described, behavior.arguments, behavior.memory),
)
_REGULARIZER = (
    *(numbers.reference, numbers.differences, behavior.hybridized, behavior.state, behavior.devices),
    *(behavior.forms, behavior.misfits, behavior.numpy_arrays, numbers.added),
    *(numbers.float16, numbers.float32, numbers.extremes, numbers.frozen, behavior.saved, behavior.scheduled),
)
HEAD_RULES = {rule.__name__: rule for rule in _HEAD}
REGULARIZER_RULES = {rule.__name__: rule for rule in _REGULARIZER}


def check_head(head, reference: Callable | None = None, options=({},), exceptions=(), seed: int = 0) -> None:
    """Hold a head to the contract.

    Parameters
    ----------
    head : class
        Built as ``head(num_classes, embedding_size, **options)``.
    reference : callable, optional
        A second implementation, see `Subject`; without it, gradients are held against differences of the loss itself.
    options : iterable of dict
        The ways to build it that are worth a check of their own.
    exceptions : iterable of str
        Rules that do not hold for it, by name, beside those that the class itself names.
    seed : int

    Raises
    ------
    AssertionError
        The first rule that is broken, by name.

    Examples
    --------
    >>> from lossbench.heads import Softmax
    >>> check_head(Softmax, exceptions=["small"])
    """
    _check(head, HEAD_RULES, reference, options, exceptions, seed)


def check_regularizer(regularizer, reference=None, options=({},), exceptions=(), seed: int = 0) -> None:
    """Hold a regularizer to the contract; the arguments are those of `check_head`."""
    _check(regularizer, REGULARIZER_RULES, reference, options, exceptions, seed)


def _check(block, rules, reference, options, exceptions, seed):
    left_out = {*exceptions, *getattr(block, "exceptions", ())}
    unknown = left_out - set(rules)
    if unknown:
        raise UserError(
            f"testing: exceptions must name rules ({', '.join(rules)}), got {', '.join(sorted(unknown))}. "
            "Each is a function of lossbench.testing.numbers or .behavior."
        )
    for chosen in options:
        subject = Subject(block, dict(chosen), reference, seed)
        for name, rule in rules.items():
            if name in left_out:
                continue
            try:
                rule(subject)
            except Exception as error:
                raise AssertionError(f"{subject} breaks the rule {name!r}: {rule.__doc__}\n{error}") from error
