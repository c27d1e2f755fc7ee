"""Logits that are computed part by part where they are asked for: with very many classes (N, C) fits no memory."""

from __future__ import annotations

import functools

import numpy as np


def by_parts(function):
    """Decorator of a function of logits (N, C) that returns a value or several for each row.

    Logits with a method `parts`, which yields consecutive rows as arrays, are looked at part by part.
    """

    @functools.wraps(function)
    def called(logits, *arguments, **options):
        if not hasattr(logits, "parts"):
            return function(logits, *arguments, **options)
        found = [function(part, *arguments, **options) for part in logits.parts()]
        if isinstance(found[0], tuple):
            return tuple(np.concatenate(values) for values in zip(*found))
        return np.concatenate(found)

    return called
