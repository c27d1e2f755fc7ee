"""The one table of pictures of a run, and their writing into a folder."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from lossbench import plots
from lossbench.evaluation import Unavailable
from lossbench.plots.checks import CannotDraw
from lossbench.plots.pictures import embeddings, losses, results
from lossbench.plots.pictures.picture import FORMATS as FORMATS

_PICTURES = (
    results.TRAINING,
    embeddings.EMBEDDING,
    embeddings.SPACE,
    embeddings.CIRCLE,
    embeddings.DECISIONS,
    embeddings.ANIMATION,
    losses.ANGLES,
    losses.ANGLES_PER_CLASS,
    losses.DISTANCES,
    losses.NORMS,
    losses.TARGET_LOGIT,
    results.CONFUSION,
    results.ROC,
)
KINDS = {picture.name: picture for picture in _PICTURES}
"""Name -> `Picture`. A new one is a file, or a place in one, and a line here."""


def after_training(embedding_size: int) -> tuple:
    """Return the kinds that a training draws at its end, where its config names none."""
    return tuple(
        name for name, picture in KINDS.items() if picture.after_training and picture.size in (None, embedding_size)
    )


def draw(source, kind: str, **options) -> dict:
    """Return the figures of one kind by the stem of their file's name.

    Parameters
    ----------
    source : Source
        The run.
    kind : str
        Of `KINDS`.
    **options
        `projection`: pca or tsne, for embeddings of more than two dimensions.

    Raises
    ------
    CannotDraw
        If this run cannot give the picture; the message says why.
    """
    picture = KINDS[kind]
    if picture.size is not None and picture.size != source.size:
        raise CannotDraw(f"{kind} needs an embedding of {picture.size} dimensions; this run's has {source.size}.")
    try:
        return picture.draw(source, **options)
    except Unavailable as error:
        raise CannotDraw(str(error)) from error


def write(source, kind: str, folder, *, format: str = "png", **options) -> Iterator[pathlib.Path]:
    """Draw one kind of picture of a run into a folder and yield the files; arguments and errors as of `draw`.

    The format is one of `FORMATS`, or the picture's own where it has no such form.
    """
    formats = KINDS[kind].formats
    for name, figure in draw(source, kind, **options).items():
        ending = format if format in formats else formats[0]
        yield plots.save(figure, pathlib.Path(folder) / f"{name}.{ending}")
