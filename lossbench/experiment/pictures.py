"""Which pictures belong to a run, and their writing into a folder."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from lossbench import plots
from lossbench.evaluation import Unavailable
from lossbench.experiment import pictures_of_embeddings, pictures_of_losses, pictures_of_results

KINDS = {
    "training": pictures_of_results.training,
    "embedding": pictures_of_embeddings.embedding,
    "space": pictures_of_embeddings.space,
    "circle": pictures_of_embeddings.circle,
    "decisions": pictures_of_embeddings.decisions,
    "animation": pictures_of_embeddings.animation,
    "angles": pictures_of_losses.angles,
    "angles-per-class": pictures_of_losses.angles_per_class,
    "distances": pictures_of_losses.distances,
    "norms": pictures_of_losses.norms,
    "target-logit": pictures_of_losses.target_logit,
    "confusion": pictures_of_results.confusion,
    "roc": pictures_of_results.roc,
}
"""Name -> function of a `DrawnRun` that returns file stem -> figure, or raises `CannotDraw`.

`cli/plot.py` has a line of help on each.
"""

AFTER_TRAINING = ("training", "embedding", "norms", "confusion")
FORMATS = ("png", "svg", "pdf")


def write(run, kind: str, folder, *, format: str = "png", **options) -> Iterator[pathlib.Path]:
    """Draw one kind of picture of a run into a folder and yield the files.

    Parameters
    ----------
    run : DrawnRun
    kind : str
        Of `KINDS`.
    folder : path
    format : str
        png, svg or pdf; an animation is always a gif.
    **options
        `projection`: pca or tsne, for embeddings of more than two dimensions.

    Raises
    ------
    CannotDraw
        If this run cannot give the picture; the message says why.
    """
    try:
        drawn = KINDS[kind](run, **options)
    except Unavailable as error:
        raise plots.CannotDraw(str(error)) from error
    for name, figure in drawn.items():
        ending = "gif" if isinstance(figure, plots.Animation) else format
        yield plots.save(figure, pathlib.Path(folder) / f"{name}.{ending}")


def after_training(embedding_size: int) -> tuple:
    """Return the kinds that a training draws at its end: those that are cheap and fit any run."""
    return (*AFTER_TRAINING, *(["decisions"] if embedding_size == 2 else []))
