"""What a method of evaluation may look at."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Optional

from lossbench import evaluation
from lossbench.evaluation import Unavailable


@dataclass(frozen=True)
class Options:
    """What a caller of `measure` may ask for beside the config's `evaluation` section; None leaves it to that."""

    max_memory_gb: Optional[float] = None
    """Bound on the arrays that a method makes on its way."""
    show: bool = False
    """Whether to show progress bars on the standard error."""


class Context:
    """One split of a model's data, evaluated: each thing is computed when it is first asked for, and once.

    Parameters
    ----------
    model : Model
    split : str
        `test`, `validation` or `train`.
    options : Options
    outputs : dict, optional
        Embeddings and logits of splits that were computed before; filled.
    """

    def __init__(self, model, split: str, options: Optional[Options] = None, outputs: Optional[dict] = None):
        self.model, self.split, self.options = model, split, options or Options()
        self._outputs = {} if outputs is None else outputs
        self._predicted = {}
        self.kept = {}

    @property
    def settings(self):
        """The whole config."""
        return self.model.settings

    @property
    def dataset(self):
        return self.model.dataset

    @property
    def max_memory_bytes(self) -> int:
        chosen = self.options.max_memory_gb
        return int(1e9 * (self.settings.evaluation.max_memory_gb if chosen is None else chosen))

    def outputs(self, split: Optional[str] = None) -> dict:
        """`embedding`, `logits` and `label` of a split, by default of the evaluated one, without augmentation."""
        split = split or self.split
        if split not in self._outputs:
            self._outputs[split] = self.model.outputs(self.model.images(split), show=self.options.show)
        return self._outputs[split]

    def outputs_of(self, images) -> dict:
        """`outputs` of any `data.Split`, computed anew."""
        return self.model.outputs(images, show=self.options.show)

    @functools.cached_property
    def description(self) -> dict:
        """What the head, or the regularizer that learned centers, says of itself."""
        return self.model.description()

    @property
    def metric(self) -> str:
        """How embeddings of this model are compared: cosine for normalised heads, else euclidean."""
        return "cosine" if self.description["metric"] == "cosine" else "euclidean"

    def predicted(self, method: str):
        """Class ids (N,) that softmax, knn, centers or class_means names, or `Unavailable`."""
        if method not in self._predicted:
            self._predicted[method] = evaluation.predict(
                [method],
                self.outputs(),
                self.outputs("train") if method in ("knn", "class_means") else None,
                self.description,
                self.settings.evaluation.k,
                max_memory_bytes=self.max_memory_bytes,
            )[method]
        found = self._predicted[method]
        if isinstance(found, dict):
            raise Unavailable(found["unavailable"])
        return found

    def keep(self, **arrays) -> None:
        """Have arrays written beside `metrics.json`, which are too large for it: those of the running method."""
        self.kept.update(arrays)
