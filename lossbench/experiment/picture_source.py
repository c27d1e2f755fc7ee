"""A run as its pictures need it: each thing is read or computed when it is first asked for, and once."""

from __future__ import annotations

import functools
import pathlib

import numpy as np

from lossbench import checkpoint
from lossbench.errors import UserError
from lossbench.evaluation import geometry
from lossbench.experiment.opening import open_run
from lossbench.heads import curves
from lossbench.plots import CannotDraw
from lossbench.runs import Run, reading

MAX_TRAINING_IMAGES = 10_000
"""So many training images, the same in every run, stand for all."""


class DrawnRun:
    """The `plots.pictures.source.Source` of a run that was just trained, with its `model`, or one in a folder.

    Parameters
    ----------
    run : Run
    which : str
        Checkpoint: `last`, `best`, or a folder's name or path.
    model : Model, optional
        Without it, the run is opened when a picture needs its parameters or images.
    outputs : dict, optional
        What the model gave for whole splits.
    device : str
    **opening
        What else `open_run` is asked for.
    show : bool
        Whether to show progress bars on the standard error.
    """

    def __init__(self, run: Run, which="last", *, model=None, outputs=None, show=False, **opening):
        run.require()
        self.run, self._which, self._opening, self._show = run, which, opening, show
        self.checkpoint = which if which in ("last", "best") else pathlib.Path(which).name
        self.settings = run.load_config()
        self.name, self.epochs = self.settings.name, self.settings.trainer.epochs
        self.head_name = self.settings.head.name
        self.embeddings, self.evaluation = run.embeddings, run.evaluation
        options = type(self.settings.head).options
        self.units = {f"head.{name}": getattr(option, "unit", "") for name, option in options.items()}
        self._model, self._reason = model, None
        self._outputs = dict(outputs or {})
        if len(self._outputs.get("train", {}).get("label", ())) > MAX_TRAINING_IMAGES:
            del self._outputs["train"]

    @property
    def model(self):
        """The model with the parameters of the checkpoint, or `CannotDraw` with the reason why it cannot be opened."""
        if self._model is None and self._reason is None:
            try:
                self._model = open_run(self.run.path, self._which, **self._opening).model
            except (ValueError, OSError, checkpoint.Damaged) as error:
                self._reason = str(error)
        if self._reason is not None:
            raise CannotDraw(self._reason)
        return self._model

    @functools.cached_property
    def history(self) -> list:
        return self.run.history

    def outputs(self, split: str) -> dict:
        """`embedding`, `logits` and `label` of a split; of the training images, at most 10,000."""
        if split not in self._outputs:
            self._outputs[split] = self._computed(split)
        return self._outputs[split]

    def _computed(self, split):
        try:
            images = self.model.images(split)
        except (ValueError, OSError) as error:
            raise CannotDraw(str(error)) from error
        if split == "train" and len(images) > MAX_TRAINING_IMAGES:
            chosen = np.random.default_rng(0).permutation(len(images))[:MAX_TRAINING_IMAGES]
            images = images.take(np.sort(chosen))
        return self.model.outputs(images, show=self._show)

    def points(self, split: str) -> tuple:
        """Embeddings and labels of a split."""
        outputs = self.outputs(split)
        return outputs["embedding"], outputs["label"]

    @property
    def step(self) -> int | None:
        """Of the checkpoint, None where nothing says it."""
        if self.checkpoint in ("last", "best"):
            place = self.run.end.checkpoints.get(self.checkpoint) if self.run.end else None
            return place and place["step"]
        number = self.checkpoint.removeprefix("step-")
        return int(number) if number.isdecimal() else None

    def arrays(self, path) -> dict:
        """The arrays of a file that the run kept."""
        try:
            return reading.arrays(path)
        except UserError as error:
            raise CannotDraw(str(error)) from error

    @functools.cached_property
    def description(self) -> dict:
        """What the head says of itself; `prototypes` are its own, also where a regularizer learned others."""
        return self.model.head.describe()

    @functools.cached_property
    def centers(self):
        """Centers (C, D) that a regularizer learned, None without one."""
        return self.model.centers()

    @functools.cached_property
    def prototype_kind(self) -> str:
        """`center`, `mean` or `weight`, as `Model.prototype_kind`."""
        return self.model.prototype_kind()

    @property
    def metric(self) -> str:
        """The head's: density (L-GM), cosine, or euclidean for a linear one."""
        return self.model.head.metric

    @property
    def size(self) -> int:
        """Number of dimensions of an embedding."""
        return self.model.backbone.embedding_size

    @property
    def class_names(self):
        return self.model.dataset.class_names

    @property
    def num_classes(self) -> int:
        return self.model.dataset.num_classes

    def target_logit(self) -> dict:
        """What `heads.curves.trained` computes, and the angles or distances of the training images as `values`."""
        model = self.model
        if curves.class_parameter(model.head) is None:
            raise CannotDraw(
                f"target-logit needs a head with class weights or means; {self.head_name} keeps them elsewhere."
            )
        if not getattr(model.head, "changes_one_logit", True):
            raise CannotDraw(f"target-logit is for losses with one changed logit; {self.head_name} changes more.")
        points, label = self.points("train")
        config, prototypes = self.settings.head.model_dump(), self.description["prototypes"]
        if self.metric == "density":
            precision = np.exp(-np.asarray(self.description.get("log_variance", np.zeros((1, 1))), np.float64))
            values = geometry.distances_to(points, label, prototypes, np.broadcast_to(precision, prototypes.shape))
            x, drawn = curves.trained(model.head, config, farthest=1.2 * np.quantile(values, 0.999))
        else:
            directions = self.description.get("directions", prototypes[:, None])
            values = geometry.angles_to_nearest(points, label, directions)
            length = np.median(np.linalg.norm(points, axis=1))
            x, drawn = curves.trained(model.head, config, length=length)
        return {"x": x, "curves": drawn, "values": values}

    def title(self, text: str) -> str:
        return titled(self.name, text, self.checkpoint)


def titled(name: str, text: str, checkpoint: str) -> str:
    """A picture's title: the run's name, the text, and the checkpoint if it is another than the last."""
    return f"{name}: {text}" + ("" if checkpoint == "last" else f", checkpoint {checkpoint}")
