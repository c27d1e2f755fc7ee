"""Which fonts have a picture of their own of which characters."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np

from lossbench.glyphs.drawing import NONCHARACTER, draw

_ONE_DESIGN = 0.01  # share of a font's pictures that another one has, too; 一 alone may be alike by chance


@dataclass(frozen=True)
class Survey:
    """What there is to choose from, for F fonts and C characters."""

    has: np.ndarray
    """(F, C) bool: the font has a picture of the character that no font before it has."""
    left_out: list
    """Of each font: how many characters are `blank`, `tofu`, `duplicate`."""
    design: np.ndarray
    """(F,) int: fonts of one number are one design, in several weights or for several countries."""


def survey(fonts, characters, size, pixels, progress) -> Survey:
    """Draw every character in every font, and say what counts.

    Blank is a character without ink, or one that FreeType refuses. Tofu is a picture that the font draws for several
    characters, or for what no font has: its sign for a glyph that it lacks. A duplicate is the picture of a font
    before it, such as that of a font which borrows its glyphs. Fonts are one design where their family has one name,
    or where more than a hundredth of the pictures are duplicates of the other's.

    Parameters
    ----------
    fonts : list of Font
    characters : list of str
    size, pixels : int
        Of a picture's side, and of the font.
    progress : callable
        Called after each font.
    """
    has, left_out, borrowed = np.zeros((len(fonts), len(characters)), bool), [], Counter()
    first = [{} for _ in characters]  # of each character: picture -> font that had it first
    for f, font in enumerate(fonts):
        *found, absent = _pictures(font.opened(pixels), [*characters, NONCHARACTER], size)
        times, why = Counter([*found, absent]), Counter()
        for c, picture in enumerate(found):
            if picture is None:
                why["blank"] += 1
            elif times[picture] > 1:
                why["tofu"] += 1
            elif picture in first[c]:
                why["duplicate"] += 1
                borrowed[first[c][picture], f] += 1
            else:
                first[c][picture], has[f, c] = f, True
        left_out.append({reason: why[reason] for reason in ("blank", "tofu", "duplicate")})
        progress()
    return Survey(has, left_out, _designs(fonts, has, left_out, borrowed))


def _pictures(face, characters, size):
    for character in characters:
        picture = draw(face, character, size)
        yield None if picture is None else hashlib.blake2b(picture.tobytes(), digest_size=8).digest()


def _designs(fonts, has, left_out, borrowed):
    design = np.arange(len(fonts))

    def join(a, b):
        design[design == design[b]] = design[a]

    families = {}
    for f, font in enumerate(fonts):
        join(families.setdefault(font.family, f), f)
    for (a, b), shared in sorted(borrowed.items()):
        if shared > _ONE_DESIGN * (has[b].sum() + left_out[b]["duplicate"]):
            join(a, b)
    return np.unique(design, return_inverse=True)[1]
