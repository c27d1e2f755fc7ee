"""Stratified, seeded division of a training set."""

from __future__ import annotations

import numpy as np

from lossbench.errors import UserError

_TEST_SEED = 0  # one test set for all seeds


def with_test(train, fraction):
    """A split divided into training and test images, stratified, the same for every seed: {"train", "test"}."""
    kept, held_out = stratified_ids(train.labels, fraction, np.random.default_rng(_TEST_SEED))
    return {"train": train.take(kept), "test": train.take(held_out)}


def stratified_ids(labels, fraction, rng, keep_one=True):
    """Divide positions in two so that every class gives the same fraction of its members.

    A class of n members gives ``fraction * n`` of them, rounded down or up such that the total is
    ``round(fraction * len(labels))``; the largest remainders are rounded up.

    Parameters
    ----------
    labels : ndarray of int, (N,)
    fraction : float in [0, 1)
    rng : numpy.random.Generator
    keep_one : bool
        Whether every class keeps at least one member.

    Returns
    -------
    kept, held_out : ndarrays of int, ascending

    Raises
    ------
    ValueError
        If ``fraction`` is not in [0, 1).

    Examples
    --------
    >>> kept, held_out = stratified_ids(np.repeat([0, 1], [40, 20]), 0.1, np.random.default_rng(0))
    >>> len(kept), int((held_out < 40).sum()), int((held_out >= 40).sum())
    (54, 4, 2)
    """
    if not 0 <= fraction < 1:
        raise UserError(f"stratified_ids: `fraction` must be in [0, 1), got {fraction}. 0.1 is a tenth of the images.")
    counts = np.bincount(labels)
    share = np.round(fraction * counts, 9)  # 0.1 * 30 is 3.0000000000000004
    held = np.floor(share).astype(int)
    missing = int(round(fraction * len(labels))) - held.sum()
    held[np.argsort(held - share, kind="stable")[:missing]] += 1
    held = np.minimum(held, np.maximum(counts - keep_one, 0))
    members = [rng.permutation(own)[:n] for own, n in zip(members_of(labels), held)]
    mask = np.zeros(len(labels), bool)
    mask[np.concatenate(members) if members else []] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def members_of(labels):
    """Positions of each class in turn, ascending; sorted once, since a look at all labels for each class would be long.

    Examples
    --------
    >>> [own.tolist() for own in members_of(np.array([2, 0, 2]))]
    [[1], [], [0, 2]]
    """
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
