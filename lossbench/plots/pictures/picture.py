"""What a picture of a run declares: its name, its help, its function, and what it fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True)
class Picture:
    """A kind of picture that a trained run can give.

    Parameters
    ----------
    name : str
        What `--kinds` calls it.
    help : str
        What it shows, in a line.
    draw : callable
        Of a `Source` and options; returns file stem -> figure, or raises `CannotDraw` or `Unavailable`.
    size : int, optional
        The number of dimensions that an embedding must have, where only one will do.
    after_training : bool
        Whether a training draws it at its end: what is cheap, and fits every run of that size.
    formats : tuple of str
        The first is taken where another is asked for.
    """

    name: str
    help: str
    draw: Callable
    size: int | None = None
    after_training: bool = False
    formats: tuple = FORMATS
