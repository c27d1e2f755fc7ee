r"""Classes shared out among ranks: each has the class parameters of its range, and computes the logits of these.

Between ranks travel the embeddings of a batch with their gradient, and a few numbers for each image: never logits or
class parameters. With the training logits z, a row's cross-entropy is that over all classes,

.. math:: L = \log \sum_r e^{l_r} - z_y, \qquad l_r = \log \sum_{j \in r} e^{z_j} \text{ on rank } r
"""

from __future__ import annotations

import numpy as np

from lossbench import _gluon
from lossbench._mxnet import mx


def range_of(num_classes: int, rank: int, size: int) -> tuple[int, int]:
    """Return the first class of a rank and the one after its last; they differ by at most one in their number.

    Examples
    --------
    >>> [range_of(10, rank, 3) for rank in range(3)]
    [(0, 4), (4, 7), (7, 10)]
    """
    each, more = divmod(num_classes, size)
    first = rank * each + min(rank, more)
    return first, first + each + (rank < more)


class Apart(mx.gluon.HybridBlock):
    """What a rank computes of its own images: embedding (B, D) and the regularizers' penalty (B,)."""

    def __init__(self, objective):
        super().__init__()
        with self.name_scope():
            self.backbone, self.regularizers = objective.backbone, objective.regularizers

    def hybrid_forward(self, F, image, label):
        embedding = self.backbone(image)
        penalty = F.zeros_like(F.cast(label, dtype="float32"))
        for regularizer in self.regularizers:
            penalty = penalty + regularizer(embedding, label)
        return embedding, penalty


class Ranges:
    """The classes of this rank in a training.

    Parameters
    ----------
    objective : Objective
        Its `window`, or where there is none its `head`, has the classes of this rank.
    num_classes : int
        All.
    communicator : communication.MPI
    device : Context
    """

    def __init__(self, objective, num_classes: int, communicator, device):
        self._communicator, self._device, self._num_classes = communicator, device, num_classes
        self.first, _ = range_of(num_classes, communicator.rank, communicator.size)
        self.head = objective.head if objective.window is None else objective.window
        self.head.is_range = True
        self._objective, self._apart = objective, Apart(objective)
        self._apart.hybridize(static_alloc=True, static_shape=True)
        self._rows = self.head.class_rows()
        self.states = {}
        """On rank 0, what a checkpoint held of all classes, until it is handed out."""
        own = _gluon.own_parameters(self.head)
        self.parameters = [own[name] for name in self._rows]
        """Those of which every rank has rows of its own."""

    def backward(self, parts: list, label, start: int) -> list:
        """Compute the gradients of a batch with these labels; returns the sums of loss and right answers of this rank's
        part, which is the only one of `parts`, or none, and begins with image `start`."""
        outputs = []
        with mx.autograd.record():
            outputs = [self._apart(*part) for part in parts]
        embedding = self._exchanged(outputs[0][0].asnumpy() if outputs else None, len(label), start)
        embedding = mx.nd.array(embedding, ctx=self._device)
        embedding.attach_grad()
        label = np.asarray(label, np.int64)
        local = mx.nd.array(label - self.first, ctx=self._device, dtype="int64")
        with mx.autograd.record():
            extra, trained, logits = self.head(embedding, local)
        weight = self._weights(label)
        loss, right, gradient = self._cross_entropy(extra, trained, logits, label, weight)
        mx.autograd.backward([trained, extra], [gradient, mx.nd.array(weight, ctx=self._device)])
        whole = self._communicator.sum(embedding.grad.asnumpy().ravel()).reshape(embedding.shape)
        if not outputs:
            return []
        (own_embedding, penalty) = outputs[0]
        rows = slice(start, start + len(own_embedding))
        mx.autograd.backward(
            [own_embedding, penalty], [mx.nd.array(whole[rows], ctx=self._device), mx.nd.ones_like(penalty)]
        )
        total = loss[rows].sum() + float(penalty.sum().asscalar())
        return [tuple(mx.nd.array([value], ctx=self._device) for value in (total, right[rows].sum()))]

    def _exchanged(self, own, count, start):
        """Return the embeddings (B, D) of the whole batch."""
        whole = np.zeros((count, self.head.embedding_size), np.float32)
        if own is not None:
            whole[start : start + len(own)] = own
        return self._communicator.sum(whole.ravel()).reshape(whole.shape)

    def _weights(self, label):
        """Return the factor (B,) on the loss of each image."""
        weights = self._objective.class_weights
        factor = np.ones(len(label)) if weights is None else weights.list_data()[0].asnumpy()[label]
        return factor * self._objective.loss_weight

    def _cross_entropy(self, extra, trained, logits, label, weight):
        """Return loss and right answers (B,), NumPy, and the gradient (B, classes here) of the training logits."""
        with mx.autograd.pause():
            gradient = mx.nd.softmax(trained, axis=1).asnumpy()
        # In NumPy: MXNet's own reductions take twenty times as long.
        trained, logits = trained.asnumpy(), logits.asnumpy()
        own = trained.max(axis=1) - np.log(gradient.max(axis=1).astype(np.float64))  # log of the sum over this range
        (rows,) = np.nonzero((label >= self.first) & (label < self.first + self.head.num_classes))
        place = label[rows] - self.first
        true = np.zeros((2, len(label)))
        true[0, rows], true[1, rows] = trained[rows, place], logits[rows, place]
        numbers = [own, logits.max(axis=1), *true, extra.asnumpy()]
        table = self._communicator.gather(np.concatenate(numbers)).reshape(-1, 5, len(label))
        highest = table[:, 0].max(axis=0)
        total = highest + np.log(np.exp(table[:, 0] - highest).sum(axis=0))
        true_trained, true_plain, added = table[:, 2:].sum(axis=0)
        gradient *= (weight * np.exp(own - total))[:, None].astype(np.float32)
        gradient[rows, place] -= weight[rows]
        loss = weight * (total - true_trained + added)
        return loss, true_plain >= table[:, 1].max(axis=0), mx.nd.array(gradient, ctx=self._device)

    def rows_of(self, name: str):
        """The number of rows of each class of a parameter `head.…`, or of a state of it; None for any other."""
        found = [part[len("head.") :] for part in name.split("/") if part.startswith("head.")]
        return self._rows.get(found[0]) if found else None

    def first_rows(self, name: str, array):
        """The rows of rank 0, of an array with those of all classes."""
        return array[: self.rows_of(name) * range_of(self._num_classes, 0, self._communicator.size)[1]]

    def handed_out(self, name: str, array) -> np.ndarray:
        """The rows of this rank, of an array that rank 0 has; the others' tells how wide it is."""
        return self._by_ranges(name, array.shape[1:], lambda first, end: array[first:end], 0)[self._communicator.rank]

    def collected(self, name: str, array) -> np.ndarray:
        """The whole array on rank 0, from the rows that each rank has; the others get their own."""
        parts = self._by_ranges(name, array.shape[1:], lambda first, end: array, None)
        return np.concatenate(parts) if self._communicator.rank == 0 else array

    def _by_ranges(self, name, width, rows, root):
        """The rows of each rank's range, of those that this rank wants: sent by rank `root`, or by the range's own."""
        communicator, each, found = self._communicator, self.rows_of(name), []
        for rank in range(communicator.size):
            first, end = (each * number for number in range_of(self._num_classes, rank, communicator.size))
            sender = rank if root is None else root
            is_mine = communicator.rank == sender
            content = rows(first, end) if is_mine else np.empty((end - first, *width), np.float32)
            content = communicator.broadcast_array(content, sender)
            found.append(content if communicator.rank in (0, rank) else None)
        return found

    def collect(self) -> None:
        """Bring the class parameters of all ranks, and what the ranks have in common, into the head of rank 0."""
        whole, part = (_gluon.own_parameters(head) for head in (self._objective.head, self.head))
        for name, parameter in part.items():
            array = parameter.list_data()[0].asnumpy()
            if name in self._rows:
                array = self.collected(f"head.{name}", array)
            if self._communicator.rank == 0:
                whole[name].set_data(mx.nd.array(array))
