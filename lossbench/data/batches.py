"""Batches of a split, augmented and normalized ahead of the training in threads."""

from __future__ import annotations

import numpy as np

from lossbench import ahead
from lossbench.data import files, mixing, transforms
from lossbench.errors import RunFailed, UserError

# The order of an epoch is drawn like a step none reaches: NumPy pads seeds with zeros, so [seed, epoch] is step 0.
_ORDER = 2**32 - 1


class Batches:
    """The batches of every epoch over a split.

    Step i of an epoch delivers a function of (seed, epoch, i), whatever the number of workers and the step begun at.

    Parameters
    ----------
    split : Split
    batch_size : int
    seed : int, not negative
    mean, std : sequences of float, one a channel
        Of pixels in [0, 1]; see `lossbench.data.transforms.normalize`.
    shuffle : bool, default True
        A new order each epoch.
    drop_last : bool, default True
        Leave out the short last batch.
    workers : int, default 1
        Threads that prepare batches ahead; 0 prepares them in the caller.
    part : tuple of int, default (0, 1)
        (k, n) delivers the images of the k-th of n nearly equal parts of each batch, and prepares no others; labels are
        those of the whole batch.
    mixup, cutmix : float, default 0
        Parameters of the beta distribution by which images are mixed, see `lossbench.data.mixing`; 0: none.
    **augment
        Options of `lossbench.data.transforms.Augmentation`, all off by default. What is cut out takes the mean's value.

    Raises
    ------
    ValueError
        If a size is out of range, or the split does not fill one batch that is to be full.

    Examples
    --------
    >>> from lossbench.data.dataset import Split
    >>> split = Split(np.zeros((10, 1, 8, 8), np.uint8), np.arange(10, dtype=np.int32))
    >>> batches = Batches(split, 4, seed=0, mean=[0.5], std=[0.5], pad=1, flip=True)
    >>> [(images.shape, label.shape) for images, label in batches.epoch(0)]
    [((4, 1, 8, 8), (4,)), ((4, 1, 8, 8), (4,))]
    """

    def __init__(
        self,
        split,
        batch_size,
        *,
        seed,
        mean,
        std,
        shuffle=True,
        drop_last=True,
        workers=1,
        part=(0, 1),
        mixup=0,
        cutmix=0,
        **augment,
    ):
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("workers", workers, 0),
            *((name, value, 0) for name, value in {"mixup": mixup, "cutmix": cutmix, **augment}.items()),
        ):
            if value < least:
                raise UserError(f"Batches: `{name}` must be at least {least}, got {value}. Choose {least} or more.")
        if drop_last and len(split) < batch_size:
            raise UserError(
                f"Batches: `batch_size` must be at most the number of images, {len(split)}, got {batch_size}. "
                "Make it smaller, or keep the short last batch: data.drop_last=false."
            )
        self._split = split
        self._batch_size = batch_size
        self._seed = seed
        self._mean, self._std = mean, std
        fill = np.clip(np.rint(np.asarray(mean, float) * 255), 0, 255).astype(np.uint8)
        self._augmentation = transforms.Augmentation(**augment, fill=fill)
        self._mixing = mixup, cutmix
        self._shuffle = shuffle
        self._drop_last = drop_last
        self._workers = workers
        self._part = part

    def __len__(self):
        """Batches an epoch."""
        full, rest = divmod(len(self._split), self._batch_size)
        return full if self._drop_last or not rest else full + 1

    def updates(self, each=1):
        """Updates an epoch, of ``each`` batches; what is left of them makes a last one where a short last batch stays.

        Examples
        --------
        >>> from lossbench.data.dataset import Split
        >>> split = Split(np.zeros((10, 1, 8, 8), np.uint8), np.arange(10, dtype=np.int32))
        >>> [Batches(split, 2, seed=0, mean=[0], std=[1], drop_last=drop).updates(3) for drop in (True, False)]
        [1, 2]
        """
        full, rest = divmod(len(self), each)
        return full if self._drop_last or not rest else full + 1

    def notes(self, each=1):
        """What is to be said of an epoch with updates of ``each`` batches: that its order leaves images out."""
        taken = self.updates(each) * each * self._batch_size
        if not self._drop_last or taken == len(self._split):
            return []
        what = "the short last batch" if each == 1 else "what fills no update"
        return [
            f"{files.count(len(self._split) - taken, 'image')} of {len(self._split):,} left out of each epoch, {what}; "
            "data.drop_last=false trains on it"
        ]

    def epoch(self, epoch, start=0):
        """Iterate over one epoch's batches, from step ``start`` of it on.

        Parameters
        ----------
        epoch : int, not negative
        start : int, default 0

        Returns
        -------
        generator of (images, label), or of (images, label, other label, weight) where images are mixed
            float32 (B, channels, H, W), fewer than B where this is a part, and int32 (B,). It ends its threads when it
            is exhausted, closed or dropped. Weights, float32 (B,), are shares of the first label.

        Raises
        ------
        ValueError
            If ``epoch`` or ``start`` is out of range. An error in a worker is raised by the step that needed its batch.
        RunFailed
            An image cannot be decoded any more; names it and the step.
        """
        if epoch < 0 or not 0 <= start <= len(self):
            raise UserError(
                f"Batches: `epoch` must be 0 or more and `start` 0 to {len(self)}, got {epoch} and {start}. "
                "A run resumed with other data or another batch size has another number of steps."
            )
        order = self._order(epoch)
        steps = range(start, len(self))
        return ahead.results(lambda step: self._batch(epoch, order, step, self._part), steps, self._workers)

    def whole(self, epoch, step):
        """All images of a step, and their labels, also where this is a part."""
        return self._batch(epoch, self._order(epoch), step, (0, 1))

    def pictures(self, epoch, count):
        """The first images of an epoch as the network sees them but for their normalization: uint8, and labels."""
        images, labels, *_ = self._augmented(epoch, self._order(epoch), 0, (0, 1))
        return images[:count], labels[:count]

    def _order(self, epoch):
        order = np.arange(len(self._split))
        if self._shuffle:
            order = np.random.default_rng([self._seed, epoch, _ORDER]).permutation(order)
        return order

    def _batch(self, epoch, order, step, part):
        try:
            images, *rest = self._augmented(epoch, order, step, part)
        except UserError as error:
            raise RunFailed(f"{error} It was needed in epoch {epoch}, batch {step + 1}.") from error
        return (transforms.normalize(images, self._mean, self._std), *rest)

    def _augmented(self, epoch, order, step, part):
        """Draws are those of the whole batch, so that a part of it has the same images."""
        ids = order[step * self._batch_size : (step + 1) * self._batch_size]
        size, sides, labels = len(ids), self._split.image_shape[1:], self._split.labels[ids]
        rng = np.random.default_rng([self._seed, epoch, step])
        drawn = self._augmentation.draw(rng, size, sides)
        own = np.array_split(np.arange(size), part[1])[part[0]]
        if not any(self._mixing):
            return self._of(ids, drawn, own), labels
        mixture = mixing.draw(rng, size, sides, *self._mixing)
        needed, place = np.unique([own, mixture.partner[own]], return_inverse=True)
        first, second = self._of(ids, drawn, needed)[place.reshape(2, -1)]
        weights = np.full(size, mixture.weight, np.float32)
        return mixture.of(first, second), labels, labels[mixture.partner], weights

    def _of(self, ids, drawn, rows):
        """Some images of a batch, augmented."""
        return self._augmentation.apply(self._split.images[ids[rows]], {key: one[rows] for key, one in drawn.items()})
