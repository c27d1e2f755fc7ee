"""What a method of evaluation may look at."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from lossbench.evaluation import neighbors, pairs
from lossbench.evaluation.checks import Unavailable
from lossbench.evaluation.decisions import predict

SEED = 0  # of pairs and clusters: not the run's, so that runs are judged by the same ones


@dataclass(frozen=True)
class Options:
    """What a caller of `measure` may ask for; None leaves it to the subject, whose config says it."""

    pairs: str | None = None
    """A list of pairs for the verification, or a file that holds their images; None draws them."""
    pair_count: int | None = None
    """How many pairs are drawn."""
    foreign: tuple = ()
    """Names of data sets whose images are to be told from the run's, `holdout` for its own held-out classes; none for
    the usual counterpart."""
    epsilon: tuple = ()
    """Sizes of the attacks in pixels of [0, 1], numbers or texts such as "8/255"; none for the usual ones."""
    limit: int | None = None
    """How many images are attacked, drawn by a fixed seed; None for all."""
    max_memory_gb: float | None = None
    """Bound on the arrays that a method makes on its way."""
    show: bool = False
    """Whether to show progress bars on the standard error."""


class Context:
    """One split of a model's data, evaluated: each thing is computed when it is first asked for, and once.

    Parameters
    ----------
    subject : Subject
    split : str
        `test`, `validation`, `train` or `holdout`.
    options : Options
    outputs : dict, optional
        Embeddings and logits of splits that were computed before; filled.
    """

    def __init__(self, subject, split: str, options: Options | None = None, outputs: dict | None = None):
        self.subject, self.split, self.options = subject, split, options or Options()
        self._outputs = {} if outputs is None else outputs
        self._predicted = {}
        self.kept = {}

    @property
    def is_known(self) -> bool:
        """Whether the split's classes are those that were trained on."""
        return self.split != "holdout"

    @property
    def show(self) -> bool:
        return self.options.show

    @property
    def max_memory_bytes(self) -> int:
        chosen = self.options.max_memory_gb
        return int(1e9 * (self.subject.max_memory_gb if chosen is None else chosen))

    def outputs(self, split: str | None = None) -> dict:
        """`embedding`, `logits` and `label` of a split, by default of the evaluated one, without augmentation."""
        split = split or self.split
        if split not in self._outputs:
            self._outputs[split] = self.outputs_of(self.subject.images(split))
        return self._outputs[split]

    def outputs_of(self, images) -> dict:
        """`outputs` of any images, computed anew."""
        return self.subject.outputs(images, self.show)

    @functools.cached_property
    def description(self) -> dict:
        """What the head, or the regularizer that learned centers, says of itself."""
        return self.subject.description()

    @property
    def metric(self) -> str:
        """How this model's embeddings are compared: cosine for normalized heads, else euclidean."""
        return "cosine" if self.description["metric"] == "cosine" else "euclidean"

    def require_known(self, method: str) -> None:
        """`Unavailable` where the split's classes were never trained on."""
        if not self.is_known:
            raise Unavailable(f"{method}: the classes must be trained ones, but those of {self.split} never were.")

    def predicted(self, method: str) -> np.ndarray:
        """Class ids (N,) that softmax, knn, centers or class_means names, or `Unavailable`."""
        self.require_known(method)
        if method == "knn":
            return self.neighbors[0]
        if method not in self._predicted:
            train = self.outputs("train") if method == "class_means" else None
            self._predicted[method] = predict(
                [method], self.outputs(), train, self.description, max_memory_bytes=self.max_memory_bytes
            )[method]
        found = self._predicted[method]
        if isinstance(found, dict):
            raise Unavailable(found["unavailable"])
        return found

    @functools.cached_property
    def neighbors(self) -> tuple:
        """What the k nearest training embeddings vote for (N,), and the share of votes that it got (N,)."""
        train, tested = self.outputs("train"), self.outputs()
        return neighbors.knn(
            train["embedding"],
            train["label"],
            tested["embedding"],
            self.subject.k,
            exclude_self=train is tested,
            metric=self.metric,
            max_memory_bytes=self.max_memory_bytes,
            with_share=True,
            progress=self.show,
        )

    @functools.cached_property
    def _pair_file(self):
        return self.subject.pair_file(self.options.pairs)

    @functools.cached_property
    def listed_pairs(self) -> pairs.Pairs:
        """The caller's pairs: a list, whose ids are the images' file names or else their numbers in the split, or a
        file that holds the images themselves."""
        if self._pair_file is not None:
            return pairs.in_turn(self._pair_file[1])
        images = self.subject.images(self.split)
        return pairs.read(self.options.pairs, range(len(images)) if images.names is None else images.names)

    @functools.cached_property
    def paired_embedding(self) -> np.ndarray:
        """Embeddings of the images that pairs are of."""
        if self.options.pairs and self._pair_file is not None:
            return self.outputs_of(self._pair_file[0])["embedding"]
        return self.outputs()["embedding"]

    def drawn_pairs(self) -> pairs.Pairs:
        """Pairs of the split, the same for every run on the same images."""
        count = self.options.pair_count or self.subject.pair_count
        return pairs.draw(self.outputs()["label"], count, seed=SEED)

    def keep(self, **arrays) -> None:
        """Have arrays written beside `metrics.json`, which are too large for it: those of the running method."""
        self.kept.update(arrays)
