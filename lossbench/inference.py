"""Model and images to NumPy: embeddings and logits of a whole split. No label reaches the network."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
from tqdm import tqdm

from lossbench import _gluon, _mxnet, ahead
from lossbench._mxnet import mx
from lossbench.errors import UserError


class Scorer:
    """A second backbone and head, initialized, for everything but training.

    oneDNN rearranges a parameter's array in place when a network is used for inference, at a moment that threads
    decide, and the next training step's last bits depend on the arrangement. So inference never touches the parameters
    that are trained: runs repeat and resume bit for bit.
    """

    def __init__(self, backbone, head, image_shape, devices):
        self.backbone, self.head, self._devices = backbone, head, devices
        for device in devices:
            head.predict(backbone(mx.nd.zeros((1, *image_shape), ctx=device))).wait_to_read()
        self._compile()
        head.hybridize(static_alloc=True)

    def _compile(self):
        """On a CPU oneDNN joins convolution, batch normalization, ReLU and sum: a seventh faster for a ResNet."""
        backend = "MKLDNN" if _mxnet.has_onednn(self._devices) else None
        self.backbone.hybridize(static_alloc=True, backend=backend)

    def take_over(self, backbone, head) -> None:
        """Set the parameters to those of the trained ones."""
        for scoring, trained in ((self.backbone, backbone), (self.head, head)):
            values = _gluon.named_parameters(trained)
            for name, parameter in _gluon.named_parameters(scoring).items():
                parameter.set_data(values[name].list_data()[0])

    def training_embedding(self, images):
        """Embedding of one batch of normalized images as a training step would see it."""
        self.backbone.hybridize(False)  # compiled, it would be the network of inference
        with mx.autograd.train_mode():
            embedding = self.backbone(mx.nd.array(images, ctx=self._devices[0]))
        self._compile()
        return embedding


class Logits:
    """Logits (N, C) of embeddings (N, D), computed from them where they are asked for: all together fit no memory.

    Parameters
    ----------
    head : Head
        Its parameters must still be those of the embeddings when logits are asked for.
    embedding : (N, D) array
    num_classes : int
    max_memory_bytes : int
        Bound on what a part takes.
    device : mx.Context
    """

    _ARRAYS = 4  # of the size of the logits in a pass through the head, and one that is looked at

    def __init__(self, head, embedding, num_classes: int, max_memory_bytes: int, device):
        self._head, self._embedding, self._device = head, embedding, device
        self._max_memory_bytes = max_memory_bytes
        self.shape = len(embedding), num_classes

    def __len__(self):
        return len(self._embedding)

    def of(self, embedding):
        """Return the logits of other embeddings."""
        return Logits(self._head, embedding, self.shape[1], self._max_memory_bytes, self._device)

    def __getitem__(self, rows):
        return self.of(self._embedding[rows])

    def parts(self):
        """Yield consecutive rows, as arrays."""
        count = max(1, self._max_memory_bytes // (4 * self._ARRAYS * self.shape[1]))
        for start in range(0, len(self), count):
            with mx.autograd.pause(train_mode=False):
                embedding = mx.nd.array(self._embedding[start : start + count], ctx=self._device)
                yield self._head.predict(embedding).asnumpy().astype(np.float32, copy=False)


def outputs(
    backbone,
    head,
    split,
    mean,
    std,
    batch_size: int = 256,
    devices=None,
    progress: bool = False,
    num_classes: int = 0,
    max_memory_bytes: float = np.inf,
    workers: int = 1,
    total: int | None = None,
) -> dict:
    r"""Return the embedding and the logits of every image of a split, in its order.

    An image enters the network as :math:`(p / 255 - \mathrm{mean}) / \mathrm{std}`, per channel and without
    augmentation; floating point pixels as :math:`(p - \mathrm{mean}) / \mathrm{std}`. The short last batch is included.

    Parameters
    ----------
    backbone : Block
        Images (B, channels, H, W) -> embedding (B, D); its parameters live on `devices`.
    head : Head
        Its ``predict`` maps an embedding (B, D) to logits (B, C) without a margin.
    split : Split
        `images` (N, channels, H, W), uint8 or floating point in [0, 1], perhaps streamed, and `labels` (N,).
    mean, std : sequence of float
        Per channel, of pixels in [0, 1].
    batch_size : int
        Images at a time on one device; the result depends on it by rounding only.
    devices : list of mx.Context, optional
        Batches take turns on them. Default: the CPU.
    progress : bool
        Whether to show a progress bar on the standard error.
    num_classes : int
        C, where the logits may be too many.
    max_memory_bytes : float
        Where the logits of all images take more, they are `Logits`, computed part by part.
    workers : int
        Threads that prepare batches ahead, >= 0; 0: none.
    total : int, optional
        How many images there are where the split is a part of them. Default: N.

    Returns
    -------
    dict
        `embedding` (N, D), `logits` (N, C), both float32, and `label` (N,), NumPy arrays.

    Raises
    ------
    ValueError
        If the split is empty, or `batch_size` is below 1.
    """
    devices = list(devices or [mx.cpu()])
    count = len(split.images)
    if count == 0:
        raise UserError("inference: `split` must have at least one image, got none.")
    if batch_size < 1:
        raise UserError(f"inference: `batch_size` must be at least 1, got {batch_size}.")
    # One product and one difference, rounded as in training, where data.transforms.normalize does the same.
    mean, std = (np.asarray(value, np.float64).reshape(-1, 1, 1) for value in (mean, std))
    white = 255 if split.images.dtype == np.uint8 else 1
    factor, offset = (1 / (white * std)).astype(np.float32), (mean / std).astype(np.float32)
    in_parts = 4 * (total or count) * num_classes > max_memory_bytes

    def normalized(start):
        images = np.multiply(split.images[start : start + batch_size], factor, dtype=np.float32)
        images -= offset
        return images

    scoring = None if in_parts else head
    embedding, logits = [], []
    batches = ahead.results(normalized, range(0, count, batch_size), workers)
    with tqdm(total=count, unit="image", disable=not progress, leave=False) as bar, contextlib.closing(batches):
        while turn := list(itertools.islice(batches, len(devices))):
            pending = [_forward(backbone, scoring, images, device) for images, device in zip(turn, devices)]
            # Read before the next turn: a statically allocated network writes its next result into the same memory.
            for one_embedding, one_logits in pending:
                embedding.append(one_embedding.asnumpy().astype(np.float32, copy=False))
                if not in_parts:
                    logits.append(one_logits.asnumpy().astype(np.float32, copy=False))
                bar.update(len(embedding[-1]))
    embedding = np.concatenate(embedding)
    all_logits = (
        Logits(head, embedding, num_classes, int(max_memory_bytes), devices[0]) if in_parts else np.concatenate(logits)
    )
    return {"embedding": embedding, "logits": all_logits, "label": np.asarray(split.labels)}


def _forward(backbone, head, images, device):
    with mx.autograd.pause(train_mode=False):
        embedding = backbone(mx.nd.from_numpy(images).as_in_context(device))
        return embedding, head and head.predict(embedding)
