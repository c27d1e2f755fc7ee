"""Pairs of images for verification: drawn from labels, or read from a list."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lossbench.errors import UserError
from lossbench.evaluation import checks, pair_list


class Pairs(NamedTuple):
    """Rows of a split in pairs, in the order of their folds."""

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    """Whether both are of one class, (P,) bool."""


def draw(label, count: int = 6000, *, folds: int = 10, seed: int = 0) -> Pairs:
    """Draw distinct pairs, half of one class and half of two, as many of each in every fold.

    Every pair of one class is as likely as every other, and so is every pair of two classes; an image may come in
    several pairs. Same and different pairs take turns.

    Parameters
    ----------
    label : (N,) array
        Class ids.
    count : int
        Number of pairs, a multiple of twice the number of folds.
    folds : int
        Number of equal parts that the pairs will be cut into, in order.
    seed : int

    Raises
    ------
    Unavailable
        If there are too few pairs of either kind.

    Examples
    --------
    >>> pairs = draw([0, 0, 0, 1, 1, 2], 4, folds=2)
    >>> pairs.same
    array([ True, False,  True, False])
    """
    (label,) = checks.labels("pairs", len(label), label=label)
    if count < 1 or count % (2 * folds):
        raise UserError(
            f"pairs: `count` must be a multiple of {2 * folds}, as many pairs of either kind in each of {folds} folds, "
            f"got {count}."
        )
    # With the rows sorted by class, the partners of a row are the rest of its class, or all rows behind its class.
    order = np.argsort(label, kind="stable")
    row, end = np.arange(len(label)), np.cumsum(np.bincount(label))[label[order]]
    rng = np.random.default_rng(seed)
    found = []
    for kind, first_partner, last_partner in (("one class", row + 1, end), ("two classes", end, len(label))):
        numbered = np.cumsum(last_partner - first_partner)
        available = int(numbered[-1]) if len(numbered) else 0
        if available < count // 2:
            raise checks.Unavailable(
                f"pairs: the split must have {count // 2} pairs of {kind}, got {available}. Ask for fewer pairs."
            )
        number = rng.choice(available, count // 2, replace=False)
        first = np.searchsorted(numbered, number, side="right")
        second = np.broadcast_to(last_partner, len(label))[first] - (numbered[first] - number)
        found.append((order[first], order[second]))
    first, second = np.stack(found, axis=2).reshape(2, -1)
    return Pairs(first, second, np.arange(count) % 2 == 0)


def read(path, ids) -> Pairs:
    """Read a list of pairs: one a line, two image ids and 1 (same class) or 0, between tabs, commas or spaces.

    Empty lines and lines that start with # are passed over, and so is a first line that names the columns. Ids may
    hold spaces, or stand in quotes; the end of an id is enough where no other has it. LFW's pairs.txt is known by its
    first line, which counts folds and pairs.

    Parameters
    ----------
    path : path
        UTF-8, or UTF-16 with or without its mark.
    ids : sequence
        Id of each row of the split, such as its number or its file name.

    Raises
    ------
    ValueError
        If the file is missing, or a line has another form or an unknown id; the message names the line.
    """
    rows = pair_list.read(path, ids)
    if not rows:
        raise UserError(f"pairs: {path} must hold at least one pair, got none.")
    first, second, same = np.array(rows, np.int64).T
    return Pairs(first, second, same == 1)


def in_turn(same) -> Pairs:
    """Pairs of rows 0 and 1, 2 and 3, and so on, with whether each is of one class.

    Examples
    --------
    >>> in_turn([True, False]).first, in_turn([True, False]).second
    (array([0, 2]), array([1, 3]))
    """
    same = np.asarray(same, bool)
    first = 2 * np.arange(len(same))
    return Pairs(first, first + 1, same)
