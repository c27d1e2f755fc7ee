"""Trained runs, opened again: to evaluate, predict and embed."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

import numpy as np

from lossbench import _mxnet, checkpoint, config, data, evaluation
from lossbench.errors import UserError
from lossbench.experiment.model import Model
from lossbench.experiment.run_folder import RunFolder
from lossbench.experiment.subject import measure
from lossbench.training.position import Position


@dataclass
class OpenedRun:
    """A run folder's model with the parameters of one checkpoint."""

    folder: RunFolder
    model: Model
    checkpoint: str
    """`last`, `best` or the checkpoint's folder name."""
    epoch: int
    step: int
    damage: list

    def split_for(self, methods) -> str:
        """Held-out classes where there are any and only open-set methods are asked for, else the test split."""
        return evaluation.natural_split(methods, bool(len(self.model.dataset.holdout)))

    def measure(self, split: str, methods, *, per_class=False, options=None, show=False) -> dict:
        """Evaluate a split by the named methods and merge the values into `metrics.json`, each as it is done."""
        record = self.folder.record(self.checkpoint, self.epoch, self.step)
        return measure(self.model, [split], methods, per_class=per_class, options=options, record=record, show=show)[
            split
        ]


def open_run(run_dir, which="last", *, device="auto", heads=None, backbones=None, data_sources=None) -> OpenedRun:
    """Open a trained run.

    Parameters
    ----------
    run_dir : path
    which : str
        `last`, `best` (by validation accuracy) or the path or name of a checkpoint folder.
    device : str
    heads, backbones, data_sources : dict
        The user's own, as they were given to `run`.

    Raises
    ------
    ValueError
        There is no such run or checkpoint.
    checkpoint.Damaged
        The named checkpoint is not whole.
    """
    folder = RunFolder(run_dir)
    folder.require_run()
    settings = config.load(folder.config, heads=heads or (), backbones=backbones or (), data=data_sources or ())
    path, damage = None, []
    if not checkpoint.steps(folder.checkpoints):
        raise UserError(f"run: {folder.path} must hold a usable checkpoint, got none.")
    if which == "best":
        state = checkpoint.newest(folder.checkpoints)[2]
        best = state and Position.from_dict(state.get("position"), f"run: {folder.path}").best
        if best is None:
            raise UserError(
                f"run: {folder.path} must have been trained with a validation split to have a best checkpoint, got "
                f"data.validation_fraction {settings.data.validation_fraction:g}. Use --checkpoint last."
            )
        path = checkpoint.of_step(folder.checkpoints, best["step"])
    elif which != "last":
        path = pathlib.Path(which) if pathlib.Path(which).is_dir() else folder.checkpoints / which
        if not path.is_dir():
            known = ", ".join(p.name for p in checkpoint.steps(folder.checkpoints))
            raise UserError(
                f"run: --checkpoint must be last, best or a checkpoint's folder, got {which}. There are: {known}."
            )
        which = path.name
    if path is not None:
        arrays, state = checkpoint.load(path)
    dataset = data.load(settings.data, settings.seed, data_sources or {})
    model = Model(settings, dataset, _mxnet.devices(device), own_heads=heads, own_backbones=backbones)
    if path is not None:
        model.load(arrays, path)
    else:
        path, _, state, damage = checkpoint.newest(
            folder.checkpoints, lambda path, arrays, state: model.load(arrays, path)
        )
        if path is None:
            raise UserError(f"run: {folder.path} must hold a usable checkpoint, got none. {' '.join(damage)}")
    epoch = Position.from_dict(state.get("position"), f"checkpoint {path}").epoch
    return OpenedRun(folder, model, which, epoch - 1, state["step"], damage)


def predict(opened: OpenedRun, paths) -> list[dict]:
    """Name the class of image files.

    Returns
    -------
    list of dict
        A row per image: `image`, `class`, `probability` (softmax of the logits) and, for L-GM, `log_density` of the
        likeliest class (without the constant that all classes share).
    """
    model = opened.model
    images = data.read_images(paths, model.dataset.image_shape, model.dataset.background)
    labels = np.zeros(len(images), np.int32)
    logits = model.outputs(data.Split(images, labels))["logits"].astype(np.float64)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    is_density = model.description()["metric"] == "density"
    rows = []
    for path, scores, probability in zip(paths, logits, probabilities):
        best = int(scores.argmax())
        row = {"image": str(path), "class": model.dataset.class_names[best], "probability": float(probability[best])}
        if is_density:
            row["log_density"] = float(scores[best])
        rows.append(row)
    return rows


def write_embeddings(opened: OpenedRun, split: str, path, *, show=False) -> int:
    """Write a split's embeddings, logits, labels and the class prototypes to an `.npz` file; returns how many."""
    outputs = opened.model.outputs(opened.model.images(split), show=show)
    with open(path, "wb") as file:
        np.savez_compressed(file, **outputs, prototypes=opened.model.description()["prototypes"])
    return len(outputs["label"])
