"""Training splits for trials: fewer images, wrong labels, a long tail. Seeded, and said in the notes."""

from __future__ import annotations

import numpy as np

from lossbench.data.dataset import Split
from lossbench.data.split import members_of, stratified_ids

# Draws of their own, beside [seed] of the validation split and [seed, epoch, step] of the batches.
_LIMIT, _TAIL, _NOISE = ([2**32 - 2, number] for number in range(3))
_FIXED = 0  # validation and test images that a limit leaves are the same for every seed


def limited(dataset, limit, seed):
    """At most `limit` images of each split of trained classes, each class with its share of them."""
    splits, said = {}, []
    for name in ("train", "validation", "test"):
        split = getattr(dataset, name)
        if len(split) > limit:
            rng = np.random.default_rng([seed if name == "train" else _FIXED, *_LIMIT])
            splits[name] = split.take(stratified_ids(split.labels, limit / len(split), rng, keep_one=False)[1])
            said.append(f"{len(splits[name]):,} of {len(split):,} {name} images")
    if not said:
        return dataset
    return dataset.replace(**splits, notes=[*dataset.notes, f"data.limit {limit:,}: {', '.join(said)}"])


def long_tailed(dataset, ratio, seed):
    """Training classes of falling size: class k of C keeps ``n * ratio ** (-k / (C - 1))`` images.

    n is the size of the largest. No class grows, and each keeps one image.

    References
    ----------
    Y. Cui, M. Jia, T.-Y. Lin, Y. Song, S. Belongie: Class-Balanced Loss Based on Effective Number of Samples, CVPR
    2019, section 5.1.
    """
    train, rng = dataset.train, np.random.default_rng([seed, *_TAIL])
    counts = np.bincount(train.labels, minlength=dataset.num_classes)
    share = ratio ** (-np.arange(dataset.num_classes) / (dataset.num_classes - 1))
    kept = np.minimum(counts, np.maximum(1, np.floor(counts.max() * share + 1e-9).astype(int)))
    chosen = [rng.permutation(own)[:n] for own, n in zip(members_of(train.labels), kept)]
    ids = np.sort(np.concatenate(chosen))
    note = (
        f"data.class_imbalance {ratio:g}: {len(ids):,} of {len(train):,} training images; "
        f"{kept[0]:,} of the first class, {kept[-1]:,} of the last"
    )
    return dataset.replace(train=train.take(ids), notes=[*dataset.notes, note])


def mislabeled(dataset, fraction, seed):
    """A share of the training labels replaced by another class, each other class as likely as the next."""
    train, rng = dataset.train, np.random.default_rng([seed, *_NOISE])
    count = round(fraction * len(train))
    wrong = rng.permutation(len(train))[:count]
    labels = train.labels.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, dataset.num_classes, count)) % dataset.num_classes
    note = f"data.label_noise {fraction:g}: {count:,} of {len(train):,} training labels are those of another class"
    train = Split(train.images, labels, train.names, train.labels)
    return dataset.replace(train=train, notes=[*dataset.notes, note])
