"""Trained runs, opened again: to evaluate, predict and embed."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from lossbench import _mxnet, checkpoint, data, evaluation
from lossbench.errors import UserError
from lossbench.experiment import neighbors
from lossbench.experiment.model import Model
from lossbench.experiment.run_data import RunData
from lossbench.experiment.subject import measure
from lossbench.inference import Logits
from lossbench.runs import Run, write_arrays
from lossbench.training.position import Position

ATTEMPTS = 20


@dataclass
class OpenedRun:
    """A run folder's model with the parameters of one checkpoint."""

    run: Run
    model: Model
    checkpoint: str
    """`last`, `best` or the checkpoint's folder name."""
    epoch: int
    step: int
    damage: list

    def split_for(self, methods) -> str:
        """Held-out classes where there are any and only open-set methods are asked for, else the test split."""
        return evaluation.natural_split(methods, bool(self.model.dataset.holdout_names))

    def measure(self, split: str, methods, *, per_class=False, options=None, show=False) -> dict:
        """Evaluate a split by the named methods and merge the values into `metrics.json`, each as it is done."""
        record = self.run.evaluation_of(self.checkpoint, self.epoch, self.step)
        return measure(self.model, [split], methods, per_class=per_class, options=options, record=record, show=show)[
            split
        ]


def open_run(
    run_dir,
    which="last",
    *,
    device="auto",
    data_root=None,
    accept_changed_data=False,
) -> OpenedRun:
    """Open a trained run. Its data are not read before images of theirs are asked for.

    Parameters
    ----------
    run_dir : path
        A run folder, or a checkpoint's folder alone, which has all that other images need.
    which : str
        `last`, `best` (by validation accuracy) or the path or name of a checkpoint folder.
    device : str
    data_root : path, optional
        Where the data are now, in place of the config's `data.root`.
    accept_changed_data : bool
        Go on although the data have other checksums than those that the run was trained on.

    Raises
    ------
    UserError
        There is no such run or checkpoint. Where images are asked for later: the data are absent, or others than those
        of the training.
    checkpoint.Damaged
        The named checkpoint is not whole.
    """
    run = Run(run_dir)
    settings = run.load_config([] if data_root is None else [f"data.root={json.dumps(str(data_root))}"])
    _find(run, which)  # a mistake is said before anything takes long
    dataset = RunData(run, settings, data_root, accept_changed_data)
    model = Model(settings, dataset, _mxnet.devices(device))
    path, state, damage = _load(run, which, model)
    epoch = _position(path, state).epoch
    name = which if which in ("last", "best") else path.name
    return OpenedRun(run, model, name, epoch - 1, state["step"], damage)


def _load(run, which, model):
    """Path, state and damage of the checkpoint whose parameters the model then has.

    A training that goes on prunes: what it removes while it is read is looked for again.
    """
    for attempt in range(ATTEMPTS):
        before = run.steps()
        try:
            path, state, damage = _load_once(run, which, model)
        except UserError:  # of which checkpoint.Damaged is one
            if run.steps() == before or attempt == ATTEMPTS - 1:
                raise
        else:
            if not damage or run.steps() == before:
                break
    return path, state, damage


def _load_once(run, which, model):
    path, damage = _find(run, which)
    if path is not None:
        arrays, state = checkpoint.load(path)
        model.load(arrays, path)
        return path, state, damage
    return _newest(run, model)


def _newest(run, model=None):
    """Path, state and damage of the newest usable checkpoint, whose parameters a model then has."""

    def accept(path, arrays, state):
        _position(path, state)
        if model is not None:
            model.load(arrays, path)

    path, _, state, damage = checkpoint.newest(run.checkpoints, accept)
    if path is None:
        sentences = " ".join([*damage, *map(_other_than_kept, run.unlike_kept())])
        raise UserError(f"run: {run.path} must hold a usable checkpoint, got none. {sentences}")
    return path, state, damage


def _other_than_kept(kept):
    return f"{kept.parents[2] / kept.name} is not as {kept} has it: copy that one back if it is damaged."


def _position(path, state):
    return Position.from_dict(state.get("position"), f"checkpoint {path}")


def _find(run, which):
    """The folder of a checkpoint, None for the newest usable one, which only reading can tell; and what is damaged."""
    if which == "last" and run.is_checkpoint:
        return run.path, []
    if not run.steps():
        raise UserError(f"run: {run.path} must hold a usable checkpoint, got none.")
    if which == "last":
        return None, []
    if which == "best":
        newest, state, damage = _newest(run)
        best = _position(newest, state).best
        if best is None:
            raise UserError(
                f"run: {run.path} must have been trained with a validation split to have a best checkpoint, got "
                f"data.validation_fraction {run.value('data.validation_fraction')}. Use --checkpoint last."
            )
        path = checkpoint.of_step(run.checkpoints, best["step"])
        if not path.is_dir():
            raise UserError(f"run: {run.path} must hold its best checkpoint, got no {path.name}. {' '.join(damage)}")
        return path, damage
    path = pathlib.Path(which) if pathlib.Path(which).is_dir() else run.checkpoints / which
    if not path.is_dir():
        known = ", ".join(path.name for path in run.steps())
        raise UserError(
            f"run: --checkpoint must be last, best or a checkpoint's folder, got {which}. There are: {known}."
        )
    return path, []


def predict(opened: OpenedRun, paths, *, top=1, nearest=0, show=False, damaged=None) -> list[dict]:
    """Name the class of image files.

    Parameters
    ----------
    opened : OpenedRun
    paths : sequence of path
        Image files.
    top : int
        How many classes are named, the likeliest first.
    nearest : int
        How many of the nearest training images are named, from embeddings that the run keeps.
    show : bool
        Whether to show a progress bar on the standard error.
    damaged : list, optional
        Takes the errors of files that cannot be read, which then have no row; without it the first is raised.

    Returns
    -------
    list of dict
        A row per image: `image`, `class`, `probability` (softmax of the logits) and, for L-GM, `log_density` of the
        likeliest class (without the constant that all classes share). Further classes are `class_2`, `probability_2`
        and so on. Of a near training image `neighbor`, `neighbor_class`, and `cosine` or `distance`.
    """
    model = opened.model
    training = neighbors.kept_training(opened) if nearest else None
    is_density = model.description()["metric"] == "density"
    paths, outputs = file_outputs(model, paths, show, damaged)
    rows = []
    near = zip(*neighbors.nearest(opened, outputs["embedding"], training, nearest)) if training else repeat(((), ()))
    for path, logits, found in zip(paths, rows_of(outputs["logits"]), near):
        probability = np.exp(logits - logits.max())
        probability /= probability.sum()
        row = {"image": str(path)}
        for place, one in enumerate(np.argsort(-logits, kind="stable")[:top], 1):
            suffix = _suffix(place)
            row[f"class{suffix}"] = model.dataset.class_names[one]
            row[f"probability{suffix}"] = float(probability[one])
            if is_density:
                row[f"log_density{suffix}"] = float(logits[one])
        for place, (one, value) in enumerate(zip(*found), 1):
            suffix = _suffix(place)
            row[f"neighbor{suffix}"] = str(training.name[one])
            row[f"neighbor_class{suffix}"] = model.dataset.class_names[training.label[one]]
            row[f"{neighbors.MEASURES[neighbors.measure(opened)]}{suffix}"] = float(value)
        rows.append(row)
    return rows


def _suffix(place):
    return f"_{place}" if place > 1 else ""


def file_outputs(model, paths, show=False, damaged=None) -> tuple:
    """The files that were read, and embedding and logits of each; in batches, so that any number of them fits.

    Errors of files that cannot be read go into the list `damaged`; without it the first is raised.
    """
    from tqdm import tqdm

    size, shape, whole, parts = model.evaluation.batch_size, model.dataset.image_shape, [], []
    for start in tqdm(range(0, len(paths), size), desc="images", unit=" batches", disable=not show):
        images = []
        for path in paths[start : start + size]:
            try:
                images += list(data.read_images([path], shape, model.dataset.background))
                whole.append(path)
            except UserError as error:
                if damaged is None:
                    raise
                damaged.append(error)
        if images:
            split = data.Split(np.stack(images), np.zeros(len(images), np.int32))
            parts.append(model.outputs(split, total=len(paths)))
    if not parts:
        raise damaged[0]
    embedding, logits = (np.concatenate([part["embedding"] for part in parts]), [part["logits"] for part in parts])
    in_parts = isinstance(logits[0], Logits)
    return whole, {"embedding": embedding, "logits": logits[0].of(embedding) if in_parts else np.concatenate(logits)}


def rows_of(logits):
    """Yield the logits (C,) of each image, float64."""
    for part in logits.parts() if isinstance(logits, Logits) else [logits]:
        yield from part.astype(np.float64)


def write_embeddings(opened: OpenedRun, split: str, path, *, show=False) -> int:
    """Write a split's embeddings, logits, labels and the class prototypes to an `.npz` file; returns how many."""
    outputs = opened.model.outputs(opened.model.images(split), show=show)
    write_arrays(path, {**_kept(outputs), "prototypes": opened.model.description()["prototypes"]})
    return len(outputs["label"])


def embed_files(opened: OpenedRun, paths, path, *, show=False, damaged=None) -> int:
    """Write embeddings and logits of image files, names and class prototypes to an `.npz` file; returns how many."""
    prototypes = opened.model.description()["prototypes"]
    paths, outputs = file_outputs(opened.model, paths, show, damaged)
    write_arrays(path, {**_kept(outputs), "name": np.array([str(one) for one in paths]), "prototypes": prototypes})
    return len(paths)


def _kept(outputs) -> dict:
    """The outputs without logits that would fit no memory."""
    return {name: array for name, array in outputs.items() if not isinstance(array, Logits)}
