"""Images changed so that a model errs: the fast gradient sign method. NumPy pixels in, NumPy pixels out."""

from __future__ import annotations

import json

import numpy as np
from tqdm import tqdm

from lossbench._mxnet import mx
from lossbench.errors import UserError


def fgsm(
    backbone, head, images, labels, epsilon: float, mean, std, *, batch_size: int = 256, progress: bool = False
) -> np.ndarray:  # fmt: skip
    r"""Move every pixel by epsilon in the direction that raises the loss (fast gradient sign method, FGSM).

    .. math::
        x' = \mathrm{clip}(x + \epsilon\,\mathrm{sign}(\nabla_x L(x, y)), 0, 1), \qquad L = -\log p_y

    with pixels :math:`x` in [0, 1], the true label :math:`y` and the softmax probability :math:`p_y` of the head's
    logits, which hold no margin. For L-GM that is the posterior of the mixture.

    Parameters
    ----------
    backbone : HybridBlock
        Normalized images (B, channels, H, W) -> embedding (B, D).
    head : Head
        Its ``predict`` maps an embedding (B, D) to logits (B, C) without a margin.
    images : (N, channels, H, W) array
        uint8, or floating point pixels in [0, 1]; not normalized.
    labels : (N,) array
        The true class ids.
    epsilon : float
        In pixels of [0, 1], in [0, 1].
    mean, std : sequence of float
        Per channel, of pixels in [0, 1]: the network sees ``(pixel - mean) / std``.
    batch_size : int, default 256
        Images at a time.
    progress : bool, default False
        Whether to show a progress bar on the standard error.

    Returns
    -------
    (N, channels, H, W) array
        Pixels in [0, 1], not rounded to 8 bits; float64 for a float64 network, else float32.

    Raises
    ------
    ValueError
        If an argument breaks its rule, a block cannot be traced, or a gradient is not finite.

    Notes
    -----
    See `input_gradient`, of which this takes the sign, for how the blocks are left untouched.

    References
    ----------
    I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR 2015, section 4.

    Examples
    --------
    >>> from lossbench.backbones import LeNet
    >>> from lossbench.heads import Softmax
    >>> backbone, head = LeNet((1, 28, 28), 2), Softmax(10, 2)
    >>> backbone.initialize(), head.initialize()
    (None, None)
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 1, 28, 28), dtype=np.uint8)
    >>> attacked = fgsm(backbone, head, images, [3, 1, 4, 1], 0.1, mean=[0.13], std=[0.31])
    >>> attacked.shape, float(abs(attacked - images / 255).max().round(4))
    ((4, 1, 28, 28), 0.1)
    """
    _check_epsilon(epsilon)
    gradient = input_gradient(backbone, head, images, labels, mean, std, batch_size=batch_size, progress=progress)
    return move(images, gradient, epsilon)


def move(images, gradient, epsilon: float) -> np.ndarray:
    """Return the pixels moved by epsilon along the sign of a gradient, and kept in [0, 1].

    Several epsilons need the gradient but once.

    Parameters
    ----------
    images : (N, channels, H, W) array
        uint8, or floating point pixels in [0, 1].
    gradient : (N, channels, H, W) array
        Of `input_gradient`; only its sign counts.
    epsilon : float
        In [0, 1].

    Returns
    -------
    (N, channels, H, W) array
        In [0, 1], of the gradient's type.

    Examples
    --------
    >>> move(np.array([0, 51, 255], np.uint8), np.array([-2.0, 0.0, 1e-9]), 0.1)
    array([0. , 0.2, 1. ])
    """
    _check_epsilon(epsilon)
    return np.clip(_pixels(np.asarray(images), gradient.dtype) + gradient.dtype.type(epsilon) * np.sign(gradient), 0, 1)


def input_gradient(
    backbone, head, images, labels, mean, std, *, batch_size: int = 256, progress: bool = False
) -> np.ndarray:  # fmt: skip
    r"""Return the gradient of the log odds of a mistake with respect to the pixels.

    .. math::
        u = \log\frac{1 - p_y}{p_y} = \log\sum_{k \ne y} e^{z_k} - z_y, \qquad
        L = \log(1 + e^u), \qquad \nabla_x L = (1 - p_y) \nabla_x u

    The cross-entropy :math:`L` rises with :math:`u`, so their gradients have the same sign. But once :math:`p_y` rounds
    to 1 in float32, that of :math:`L` loses its part through the true logit, :math:`p_y - 1`, and underflows where the
    network is surer still: an attack by it would go astray, and a confident network would seem robust. That of
    :math:`u` does neither.

    Parameters and errors are those of `fgsm`.

    Returns
    -------
    (N, channels, H, W) array
        float64 for a float64 network, else float32.

    Notes
    -----
    Batch normalization uses its running statistics and nothing is dropped, as in inference. Yet the graph runs in
    training mode, with these two switched off inside it: where a graph is recorded in inference mode, oneDNN's max
    pooling keeps no record of the maxima, and MXNet 1.9.1 returns wrong gradients without a word (and batch
    normalization does on a GPU, apache/mxnet issue 18209). The graph works on copies of the parameters: no parameter,
    gradient or running statistic of the blocks is touched, nor a recording around the call.
    """
    images, labels = _checked(images, labels, mean, std, batch_size)
    with mx.autograd.pause():  # else a recording around the call would hold the copies, and lose its own with them
        graph = _Graph(backbone, head)
    mean, std = (np.reshape(np.asarray(value, graph.dtype), (1, -1, 1, 1)) for value in (mean, std))
    gradient = np.empty(images.shape, np.promote_types(graph.dtype, np.float32))
    with tqdm(total=len(images), unit="image", disable=not progress, leave=False) as bar:
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            pixels = _pixels(images[rows], gradient.dtype)
            gradient[rows] = graph.gradient(((pixels - mean) / std).astype(graph.dtype), labels[rows]) / std
            bar.update(len(pixels))
    if not np.isfinite(gradient).all():
        raise UserError("attacks: the gradient must be finite, got NaN or infinity. The model has diverged.")
    return gradient


class _Graph:
    """Normalized images, labels -> log odds of a mistake, on copies of the blocks' parameters."""

    def __init__(self, backbone, head):
        image, label = mx.sym.var("attacked_image"), mx.sym.var("attacked_label")
        self._logits = _traced(backbone, head, image)
        odds = _as_in_inference(_log_odds_of_a_mistake(self._logits, label))
        self._names = odds.list_inputs()
        parameters = {**backbone.collect_params(), **head.collect_params()}
        self._arrays = {name: parameters[name].list_data()[0].copy() for name in self._names if name in parameters}
        first = next(iter(self._arrays.values()))
        self._device, self.dtype = first.context, np.dtype(first.dtype)
        self._call = mx.nd.CachedOp(odds, [("static_alloc", True)])

    def gradient(self, images, labels):
        """Gradient with respect to the normalized images, NumPy."""
        count = self._logits.infer_shape(attacked_image=images.shape)[1][0][1]
        if labels.max() >= count:
            raise UserError(f"attacks: `labels` must be class ids below {count}, got {labels.max()}.")
        image = mx.nd.array(images, ctx=self._device, dtype=self.dtype)
        label = mx.nd.array(labels, ctx=self._device, dtype="float64")
        given = {**self._arrays, "attacked_image": image, "attacked_label": label}
        image.attach_grad()
        with mx.autograd.record(train_mode=True):
            odds = self._call(*(given[name] for name in self._names))
        (gradient,) = mx.autograd.grad([odds], [image], train_mode=True)
        return gradient.asnumpy()


def _traced(backbone, head, image):
    """The logits (B, C) as a symbol of the images."""
    try:
        logits = head.predict(backbone(image))
    except Exception as error:  # whatever a forward pass does that only arrays can
        logits = error
    if not isinstance(logits, mx.sym.Symbol):
        raise UserError(
            "attacks: `backbone` and `head` must be HybridBlocks that can be traced, got "
            f"{type(backbone).__name__} and {type(head).__name__}. Write their forward pass as hybrid_forward."
        ) from (logits if isinstance(logits, Exception) else None)
    return logits


def _log_odds_of_a_mistake(logits, label):
    """Symbol (B,) of logits (B, C): the logarithm of the sum of exp over the wrong classes, minus the true logit."""
    sym = mx.sym
    row = sym.cast(sym.slice_axis(logits, axis=0, begin=0, end=1), dtype="float64")  # float32 has no 2**24 + 1
    class_id = sym.reshape(sym.contrib.arange_like(row, axis=1), shape=(1, -1))
    is_true = sym.broadcast_equal(sym.reshape(label, shape=(-1, 1)), class_id)
    wrong = sym.where(is_true, sym.ones_like(logits) * -1e30, logits)
    largest = sym.BlockGrad(sym.max(wrong, axis=1, keepdims=True))
    total = sym.sum(sym.exp(sym.broadcast_sub(wrong, largest)), axis=1)
    return sym.log(total) + sym.reshape(largest, shape=(-1,)) - sym.pick(logits, label, axis=1)


def _as_in_inference(symbol):
    """The same graph with what training mode would change fixed to what inference does."""
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        if "BatchNorm" in node["op"]:
            node["attrs"]["use_global_stats"] = "True"
        elif node["op"] in ("Dropout", "RNN") and node["attrs"].get("mode") != "always":
            node["attrs"]["p"] = "0"
    return mx.sym.load_json(json.dumps(graph))


def _pixels(images, dtype):
    """Pixels in [0, 1]."""
    return images.astype(dtype) / dtype.type(255) if images.dtype == np.uint8 else images.astype(dtype)


def _checked(images, labels, mean, std, batch_size):
    images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim != 4 or len(images) == 0:
        raise UserError(
            f"attacks: `images` must have the shape (N, channels, height, width), N at least 1, got {images.shape}."
        )
    if images.dtype != np.uint8:
        if images.dtype.kind != "f":
            raise UserError(f"attacks: `images` must be uint8 or floating point, got {images.dtype}.")
        low, high = images.min(), images.max()
        if not 0 <= low <= high <= 1:
            raise UserError(
                f"attacks: `images` must hold pixels in [0, 1], got {low:g} to {high:g}. "
                "Pass them as they are before normalization."
            )
    if labels.shape != images.shape[:1]:
        raise UserError(f"attacks: `labels` must have the shape {images.shape[:1]}, got {labels.shape}.")
    if (labels < 0).any() or (labels != labels.astype(np.int64)).any():
        raise UserError("attacks: `labels` must be class ids 0, 1, 2, ... Pass the true ones.")
    for name, value in (("mean", mean), ("std", std)):
        if np.shape(value) != images.shape[1:2]:
            raise UserError(
                f"attacks: `{name}` must have {images.shape[1]} values, one a channel, got {np.size(value)}."
            )
    if np.min(std) <= 0:
        raise UserError(f"attacks: `std` must be above 0, got {np.min(std):g}.")
    if batch_size < 1:
        raise UserError(f"attacks: `batch_size` must be at least 1, got {batch_size}.")
    return images, labels


def _check_epsilon(epsilon):
    if not 0 <= epsilon <= 1:
        raise UserError(f"attacks: `epsilon` must be in [0, 1], got {epsilon:g}. Divide levels of 255 by 255.")
