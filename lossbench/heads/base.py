"""The contract of a head: what every class of this package offers, whatever its paper."""

from __future__ import annotations

import inspect
import warnings

import numpy as np

from lossbench import _gluon, ops
from lossbench._mxnet import mx
from lossbench.heads import bounds

SMALLEST = np.nextafter(0.0, 1.0)  # the lower end of a range that leaves out 0


class Predictor(mx.gluon.HybridBlock):
    """Embedding -> logits, from the parameters of a head: a second traced signature of the same weights."""

    def __init__(self, head: Head):
        super().__init__(prefix=head.prefix, params=head.params)
        self._logits = head.logits
        self._cast_embedding = head.cast_embedding
        own = _gluon.own_parameters(head)
        for name in inspect.signature(head.logits).parameters:
            if name in own:
                setattr(self, name, self.params.get(name))

    def hybrid_forward(self, F, embedding, **parameters):
        return self._logits(F, self._cast_embedding(F, embedding), **parameters)


class Head(ops.LossBlock):
    """Class parameters that turn an embedding into class scores and a loss.

    A head is an ordinary Gluon block: ``loss, logits = head(embedding, label)``, eager or hybridised, alone or inside
    another block.

    Parameters
    ----------
    num_classes : int
        C, at least 1.
    embedding_size : int
        D, at least 1.
    label_smoothing : float, default 0
        Share of the target that is spread over all classes, in [0, 1).

    Notes
    -----
    Inputs: embedding (B, D), float16, float32 or float64; label (B,), int32, int64 or float32. Outputs: loss (B,), one
    per sample; logits (B, C), which contain no margin and need no label. A row whose label is outside [0, C) has loss
    NaN.

    A subclass registers its parameters and writes ``logits(F, embedding, <parameters>)`` and ``loss(F, embedding,
    label, <parameters>)``.
    """

    metric = "euclidean"

    def __init__(
        self, num_classes: int, embedding_size: int, *, label_smoothing: float = 0.0, prefix=None, params=None
    ):
        super().__init__(prefix=prefix, params=params)
        where = type(self).__name__
        self.num_classes, self.embedding_size = ops.check_sizes(where, num_classes, embedding_size)
        good, rule, way_out = ops.is_number(label_smoothing, 0, 1), "be in [0, 1)", "0 switches it off."
        ops.require(good, where, "label_smoothing", rule, label_smoothing, way_out)
        self.label_smoothing = float(label_smoothing)
        object.__setattr__(self, "_predictor", None)  # as an ordinary attribute it would become a child

    def _class_parameter(self, name: str, initializer, default, **options):
        """Register a (C, D) parameter that carries its own initialiser."""
        shape, init = (
            (self.num_classes, self.embedding_size),
            ops.initializer(type(self).__name__, initializer, default),
        )
        with self.name_scope():
            parameter = self.params.get(name, shape=shape, init=init, **options)
        setattr(self, name, parameter)

    def forward(self, embedding, label):
        if isinstance(embedding, mx.nd.NDArray):
            self._check_inputs(embedding, label, self.embedding_size)
        return super().forward(embedding, label)

    def hybrid_forward(self, F, embedding, label, **parameters):
        label = ops.label_index(F, label)
        known = ops.known_labels(F, label, self.num_classes)
        label = F.where(known, label, F.zeros_like(label))
        loss, logits = self.loss(F, self.cast_embedding(F, embedding), label, **parameters)
        return ops.nan_unless(F, known, loss), logits

    def cast_embedding(self, F, embedding):
        """Bring an embedding to the type that the head computes in."""
        return F.cast(embedding, dtype=self._dtype)

    def logits(self, F, embedding, **parameters):
        """Return the scores (B, C), free of margin and label."""
        raise NotImplementedError

    def loss(self, F, embedding, label, **parameters):
        """Return the loss (B,) and the scores (B, C)."""
        raise NotImplementedError

    def cross_entropy(self, F, logits, label, true_logit=None):
        """Return the cross-entropy (B,) with the head's smoothing and, if one is given, another true logit (B,)."""
        if true_logit is not None:
            logits = ops.with_true_class(F, logits, label, true_logit, self.num_classes)
        return ops.cross_entropy(F, logits, label, self.num_classes, self.label_smoothing)

    def predict(self, embedding):
        """Return the logits (B, C) of an embedding (B, D); hybridised when the head is."""
        if isinstance(embedding, mx.nd.NDArray):
            self._check_inputs(embedding, None, self.embedding_size)
        if self._predictor is None:
            object.__setattr__(self, "_predictor", Predictor(self))
            _gluon.hybridize_like(self._predictor, self)
        return self._predictor(embedding)

    def hybridize(self, active=True, **kwargs):
        super().hybridize(active, **kwargs)
        if self._predictor is not None:
            self._predictor.hybridize(active, **kwargs)

    def cast(self, dtype) -> None:
        super().cast(dtype)
        object.__setattr__(self, "_predictor", None)

    def export(self, path: str, epoch: int = 0, remove_amp_cast: bool = True):
        """Write ``predict`` as ``<path>-symbol.json`` and ``<path>-<epoch>.params``, input ``data`` (B, D)."""
        predictor = Predictor(self)
        predictor.hybridize()
        context = self.collect_params().list_ctx()[0]
        with mx.autograd.pause():
            predictor(mx.nd.zeros((1, self.embedding_size), ctx=context, dtype=self._dtype))
        return predictor.export(path, epoch, remove_amp_cast)

    def bounds(self):
        """Return one line on the lowest loss that the head can reach, None where there is no such bound."""
        return None

    def check_labels(self, label) -> None:
        """Raise a ValueError that names the first label outside [0, C); NumPy array or NDArray."""
        ops.check_labels(type(self).__name__, label, self.num_classes)

    def prototypes(self):
        """Return one point or direction per class, NDArray (C, D)."""
        raise NotImplementedError

    def describe(self) -> dict:
        """Return what evaluation needs, as NumPy: ``prototypes`` (C, D), ``metric``, the class parameters, ``score``.

        ``score`` maps embeddings (N, D) to scores (N, C) in float64 as `predict` does.
        """
        values = {name: to_numpy(parameter) for name, parameter in _gluon.own_parameters(self).items()}
        description = {"prototypes": self.prototypes().asnumpy(), "metric": self.metric}
        return {**description, **self._describe(values)}

    def _describe(self, values: dict) -> dict:
        """Return ``score`` and what else this head has to tell, from its parameters as NumPy arrays."""
        raise NotImplementedError

    def __repr__(self):
        scheduled = "".join(f", {name}={value:g}" for name, value in self.scheduled().items())
        return f"{type(self).__name__}(num_classes={self.num_classes}, embedding_size={self.embedding_size}{scheduled})"


class ScaledHead(Head):
    """A head with a factor ``scale`` on unit embeddings: scheduled, or learned where that is asked for."""

    LOWEST_LEARNED_SCALE = 0.01

    def _register_scale(self, scale: float, learn_scale: bool = False) -> None:
        where, way_out = type(self).__name__, "It multiplies cosines, which lie in [-1, 1]."
        self._learn_scale = bool(learn_scale)
        if not learn_scale:
            self._schedule("scale", scale, SMALLEST, np.inf, "be above 0", way_out)
            return
        lowest = self.LOWEST_LEARNED_SCALE
        rule = f"be at least {lowest} if it is learned"
        ops.require(ops.is_number(scale, lowest), where, "scale", rule, scale, way_out)
        with self.name_scope():
            self.scale = self.params.get("scale", shape=(1,), init=mx.init.Constant(float(scale)), wd_mult=0.0)

    def _effective_scale(self, F, scale):
        """Keep a learned scale from falling to 0, with the gradient of the scale itself so that it can come back."""
        if not self._learn_scale:
            return scale
        return scale + F.BlockGrad(F.clip(scale, self.LOWEST_LEARNED_SCALE, 1e30) - scale)

    def _current_scale(self) -> float:
        scale = self._read(self.scale)
        return max(scale, self.LOWEST_LEARNED_SCALE) if self._learn_scale else scale


class CosineHead(ScaledHead):
    """A head whose logits are ``scale`` times the cosine between embedding and class weight."""

    metric = "cosine"

    def _register(self, scale: float, weight_initializer, learn_scale: bool = False) -> None:
        self._class_parameter("weight", weight_initializer, mx.init.Xavier())
        self._register_scale(scale, learn_scale)

    def _bounded_margin(self):
        """Return the margin, the same in units of the true class's cosine, and the largest that can be met or None."""
        return 0.0, 0.0, None

    def _warn_of_bounds(self) -> None:
        scale = float(self.scale.init.value)
        for sentence in bounds.shortcomings(self.num_classes, self.embedding_size, scale, *self._bounded_margin()):
            warnings.warn(f"{type(self).__name__}: {sentence}", UserWarning, stacklevel=3)

    def bounds(self) -> str:
        """Return one line on the lowest loss that this head can reach with its present scale and margin."""
        scale = self._current_scale()
        _, cosine_margin, _ = self._bounded_margin()
        lowest = bounds.lowest_loss(self.num_classes, self.embedding_size, scale, cosine_margin)
        return (
            f"{type(self).__name__}: {self.num_classes} classes in {self.embedding_size} dimensions with scale "
            f"{scale:g} cannot bring the cross-entropy below {lowest:.3g}."
        )

    def logits(self, F, embedding, weight, scale):
        scaled = ops.unit_rows(F, embedding, self.embedding_size, self._effective_scale(F, scale))
        return ops.product_with_unit_rows(F, scaled, weight, self.num_classes)

    def prototypes(self):
        return ops.unit_rows(mx.nd, self.weight.list_data()[0], self.embedding_size)

    def _describe(self, values: dict) -> dict:
        weight, scale = unit_rows(values["weight"]), self._current_scale()
        return {"scale": scale, "score": lambda embedding: scale * unit_rows(embedding) @ weight.T}


def to_numpy(parameter):
    """Return a parameter's value on its first context as NumPy."""
    return parameter.list_data()[0].asnumpy()


def unit_rows(matrix):
    """Return a NumPy matrix with its rows scaled to length 1, as heads do."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return matrix / np.sqrt((matrix**2).sum(axis=1, keepdims=True) + ops.NORM_EPSILON)
