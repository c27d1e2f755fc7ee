"""The contract of a head: what every class of this package offers, whatever its paper."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np

from lossbench import _gluon, inputs, ops
from lossbench._mxnet import mx
from lossbench.block import LossBlock, check_array, check_sizes, initializer, with_parameters_of_nd
from lossbench.heads import bounds
from lossbench.options import Count, Flag, Number, require

COSINES = "It multiplies cosines, which lie in [-1, 1]."


class Predictor(mx.gluon.HybridBlock):
    """Embedding -> logits, from the parameters of a head: a second traced signature of the same weights."""

    def __init__(self, head: Head):
        super().__init__(prefix=head.prefix, params=head.params)
        self._logits = head.logits
        self._cast_embedding = head.cast_embedding
        self._takes = type(head).__name__, head.embedding_size
        own = _gluon.own_parameters(head)
        for name in inspect.signature(head.logits).parameters:
            if name in own:
                setattr(self, name, self.params.get(name))

    def forward(self, embedding):
        where, size = self._takes
        return inputs.as_given(embedding, super().forward(inputs.flat_embedding(where, embedding, size)))

    @with_parameters_of_nd
    def hybrid_forward(self, F, embedding, **parameters):
        return self._logits(F, self._cast_embedding(F, embedding), **parameters)


class Head(LossBlock):
    """Class parameters that turn an embedding into class scores and a loss.

    A head is an ordinary Gluon block: ``loss, logits = head(embedding, label)``, eager or hybridized, alone or inside
    another block.

    Attributes
    ----------
    metric : str
        What the logits compare by: ``euclidean`` (inner products), ``cosine`` or ``density``.
    figure : tuple of dict
        Options of each curve of the loss's picture; `length` is that of the embedding.
    changes_one_logit : bool
        Whether the loss is a cross-entropy that differs from that of the logits by the true class's logit alone; its
        picture is then that logit, else the loss.
    needs_all_classes : str
        Why the loss has no meaning where a step computes some of the classes alone; empty where it has one.
    takes_mixtures : bool
        Whether the loss is a cross-entropy that treats the label's class as any other, so that it can be that of an
        image with two labels.
    by_ranges : bool
        Whether the loss is a cross-entropy of logits, plus what the label's own class adds, of which each follows from
        its own class and the embedding: ranks can then share out the classes.
    is_range : bool
        Whether this head has the classes of one rank. It then returns what the loss adds to the cross-entropy (B,), the
        training logits (B, C) and the logits; a label outside of its classes is another rank's.

    Notes
    -----
    Inputs: embedding (B, D) or (B, D, 1, 1), of any float type; label (B,) or (B, 1), of any type of numbers. Outputs:
    loss (B,), one per sample; logits (B, C), which contain no margin and need no label. A row whose label is outside
    [0, C) has loss NaN. Arrays of `mx.np` give arrays of `mx.np`.

    A subclass declares ``names`` and ``options``, registers its parameters in ``setup`` and writes ``logits(F,
    embedding, <parameters>)``, ``loss(F, embedding, label, <parameters>)`` and ``prototypes()``.
    """

    metric = "euclidean"
    figure: tuple = ({},)
    must_write = ("logits", "loss", "prototypes")
    asked_for = ("predict", "prototypes", "describe", "metric", "scheduled", "set_scheduled", "check_labels")
    changes_one_logit = True
    needs_all_classes = ""
    takes_mixtures = False
    by_ranges = False
    is_range = False
    _left_open: Any = None

    options = {
        "label_smoothing": Number(
            0.0, "share of the target spread evenly over all classes", at_least=0, below=1, way_out="0 switches it off."
        ),
        "focusing": Number(
            0.0,
            "power of 1 - p on the cross-entropy (focal loss)",
            at_least=0,
            way_out="0 switches it off, the paper uses 2.",
        ),
    }

    def __init__(
        self, num_classes: int, embedding_size: int, *, weight_initializer=None, prefix=None, params=None, **options
    ):
        self._weight_initializer = weight_initializer
        self._class_rows: dict[str, int] = {}
        self.num_classes, self.embedding_size = check_sizes(type(self).__name__, num_classes, embedding_size)
        super().__init__(options, prefix=prefix, params=params)
        object.__setattr__(self, "_predictor", None)  # as an ordinary attribute it would become a child
        for sentence in self.shortcomings():
            warnings.warn(f"{type(self).__name__}: {sentence}", UserWarning, stacklevel=2)

    def _class_parameter(self, name: str, default=None, rows: int = 1, **options):
        """Register a parameter (C rows, D) that carries its own initializer, Xavier unless another is the default."""
        init = initializer(type(self).__name__, self._weight_initializer, default or mx.init.Xavier())
        self._register_rows(name, rows, (self.embedding_size,), init=init, **options)

    def _register_rows(self, name: str, rows: int, rest: tuple, **options):
        """Register a parameter (C rows, *rest), in which the rows of a class follow one another."""
        check_array(type(self).__name__, self.num_classes, rows, *rest)
        self._class_rows[name] = rows
        with self.name_scope():
            parameter = self.params.get(name, shape=(self.num_classes * rows, *rest), **options)
        setattr(self, name, parameter)

    def of_classes(self, count: int):
        """Return a head of its own for so many classes, with the same options; its class parameters are zeros."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it would speak of another number of classes
            return type(self)(count, self.embedding_size, weight_initializer="zeros", **self._values)

    def class_rows(self) -> dict:
        """Return the parameters that have rows for each class, name -> how many, those of a class side by side."""
        return dict(self._class_rows)

    def hybrid_forward(self, F, embedding, label, **parameters):
        label, known = ops.class_ids(F, label, self.num_classes)
        if self.is_range:
            return self._of_range(F, embedding, label, known, parameters)
        loss, logits = self.loss(F, self.cast_embedding(F, embedding), label, **parameters)
        return ops.nan_unless(F, known, loss), logits

    def _of_range(self, F, embedding, label, known, parameters):
        added, logits = self.loss(F, self.cast_embedding(F, embedding), label, **parameters)
        (trained, true_logit), self._left_open = self._left_open, None
        if true_logit is not None:
            true_logit = F.where(known, true_logit, ops.true_class(F, trained, label))
            trained = ops.with_true_class(F, trained, label, true_logit, self.num_classes)
        return F.where(known, added, F.zeros_like(added)), trained, logits

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
        if self.is_range:  # the sum over all classes is that of the ranks
            self._left_open = logits, true_logit
            return F.zeros_like(ops.true_class(F, logits, label))
        if true_logit is not None:
            logits = ops.with_true_class(F, logits, label, true_logit, self.num_classes)
        return ops.cross_entropy(F, logits, label, self.num_classes, self.label_smoothing, self.focusing)

    def predict(self, embedding):
        """Return the logits (B, C) of an embedding (B, D); hybridized when the head is."""
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

    def shortcomings(self) -> list:
        """Return a sentence for each thing that keeps the head, as it was built, from a loss near 0."""
        return []

    def bounds(self):
        """Return one line on the lowest loss that the head can reach, None where there is no such bound."""
        return None

    def check_labels(self, label) -> None:
        """Raise the error of the first label outside [0, C); NumPy array or NDArray."""
        ops.check_labels(type(self).__name__, label, self.num_classes)

    def prototypes(self):
        """Return one point or direction per class, NDArray (C, D)."""
        raise NotImplementedError

    def describe(self) -> dict:
        """Return what evaluation needs, as NumPy.

        ``prototypes`` (C, D), ``metric``, every number among the parameters (scale, margin, state), what a subclass
        adds, and ``score``, which maps embeddings (N, D) to scores (N, C) as `predict` does, by a copy of the head in
        float64.
        """
        numbers = {name: self._read(p) for name, p in _gluon.own_parameters(self).items() if p.shape == (1,)}
        return {**numbers, "prototypes": self.prototypes().asnumpy(), "metric": self.metric, "score": self.scorer()}

    def scorer(self):
        """Return a function of embeddings (N, D) that gives the scores (N, C), NumPy float64, of a copy of the head."""
        twin = self.copy("float64")

        def score(embedding):
            with mx.autograd.pause():
                return twin.predict(mx.nd.array(np.asarray(embedding, np.float64), dtype="float64")).asnumpy()

        return score

    def __repr__(self):
        scheduled = "".join(f", {name}={value:g}" for name, value in self.scheduled().items())
        return f"{type(self).__name__}(num_classes={self.num_classes}, embedding_size={self.embedding_size}{scheduled})"


class LinearHead(Head):
    """A head whose class parameter is ``weight`` (C, D), or (C K, D) with K rows for each class."""

    sub_centers = 1

    def setup(self):
        self._class_parameter("weight", rows=self.sub_centers)

    def prototypes(self):
        return _gluon.value(self.weight).copy()


class BiasedHead(LinearHead):
    """A head whose logits are those of a linear layer, where asked for with a bias."""

    options = {"use_bias": Flag(False, "add a bias per class, started at 0")}

    def setup(self):
        super().setup()
        if self.use_bias:
            self._register_rows("bias", 1, (), init=mx.init.Zero())

    def logits(self, F, embedding, weight, bias=None):
        return ops.inner_product(F, embedding, weight, self.num_classes, bias)


class ScaledHead(LinearHead):
    """A head with a factor ``scale`` on unit embeddings: scheduled, or learned where that is asked for."""

    LOWEST_LEARNED_SCALE = 0.01

    learn_scale = False

    @classmethod
    def agree(cls, values):
        lowest = cls.LOWEST_LEARNED_SCALE
        if values.get("learn_scale"):
            rule = f"be at least {lowest} if it is learned"
            require(values["scale"] >= lowest, cls.__name__, "scale", rule, values["scale"], COSINES)

    @classmethod
    def schedulable(cls, values):
        return tuple(name for name in super().schedulable(values) if name != "scale" or not values.get("learn_scale"))

    def setup(self):
        super().setup()
        if self.learn_scale:
            init = mx.init.Constant(self._values["scale"])
            with self.name_scope():
                self.scale = self.params.get("scale", shape=(1,), init=init, wd_mult=0.0)

    def _effective_scale(self, F, scale):
        """Keep a learned scale from falling to 0, with the gradient of the scale itself so that it can come back."""
        if not self.learn_scale:
            return scale
        return scale + F.BlockGrad(F.clip(scale, self.LOWEST_LEARNED_SCALE, 1e30) - scale)

    def describe(self):
        return {**super().describe(), "scale": self._current_scale()}

    def _current_scale(self) -> float:
        scale = self._read(self.scale)
        return max(scale, self.LOWEST_LEARNED_SCALE) if self.learn_scale else scale


class CosineHead(ScaledHead):
    """A head whose logits are ``scale`` times the cosine between embedding and class weight.

    With K ``sub_centers`` the rows of class j are j K to j K + K - 1, and the nearest of them gives the cosine.
    """

    metric = "cosine"

    options = {
        "sub_centers": Count(
            1, "directions of each class, of which the nearest counts", way_out="Noisy classes have 3 in the paper."
        ),
    }

    def _bounded_margin(self):
        """Return the margin, the same in units of the true class's cosine, and the largest that can be met or None."""
        return 0.0, 0.0, None

    def shortcomings(self):
        scale = self._current_scale()
        return bounds.shortcomings(self.num_classes, self.embedding_size, scale, *self._bounded_margin())

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
        return self._nearest(F, scaled, weight)

    def _nearest(self, F, embedding, weight):
        """Return the product (B, C) of embeddings (B, D) with the direction of each class, the nearest of several."""
        products = ops.product_with_unit_rows(F, embedding, weight, self.num_classes * self.sub_centers)
        return ops.largest_of_each(F, products, self.num_classes, self.sub_centers)

    def describe(self):
        """Where classes have several directions, `directions` (C, K, D) are these."""
        found = super().describe()
        if self.sub_centers > 1:
            directions = ops.unit_rows(mx.nd, _gluon.value(self.weight), self.embedding_size).asnumpy()
            found["directions"] = directions.reshape(self.num_classes, self.sub_centers, -1)
        return found

    def prototypes(self):
        """Return the direction of each class, NDArray (C, D); of several, that of their mean."""
        directions = ops.unit_rows(mx.nd, _gluon.value(self.weight), self.embedding_size)
        if self.sub_centers == 1:
            return directions
        mean = directions.reshape((self.num_classes, self.sub_centers, -1)).mean(axis=1)
        return ops.unit_rows(mx.nd, mean, self.embedding_size)


def scale_of(default: float) -> Number:
    """The option ``scale`` with a loss's own default."""
    return Number(default, "factor on the cosine", above=0, way_out=COSINES, scheduled=True)


UNIT_SCALE = Number(16.0, "factor on the unit embedding", above=0, way_out=COSINES, scheduled=True)
LEARN_SCALE = Flag(False, "train the scale (never below 0.01) instead of scheduling it")
