"""The font of the figures: its file, the names that it can write, the length of what is written."""

from __future__ import annotations

import functools

MOST_LETTERS = 24  # of a class name


def short(text: str, letters: int = MOST_LETTERS) -> str:
    """Return a text of at most so many letters: its beginning and its end.

    Examples
    --------
    >>> short("a_class_of_a_long_name", 12)
    'a_clas\u2026_name'
    """
    return text if len(text) <= letters else f"{text[: letters // 2]}\u2026{text[letters // 2 + 1 - letters :]}"


def legible(class_names) -> list[str]:
    """Return the names that the font can write; `class <id>` in place of each other one."""
    found = []
    for number, name in enumerate(map(str, class_names)):
        found.append(name if {ord(letter) for letter in name} <= _letters() else f"class {number}")
    return found


def font_file() -> str:
    """Return the file of the font that figures are written in."""
    from matplotlib.font_manager import FontProperties, findfont

    return findfont(FontProperties())


@functools.lru_cache(maxsize=1)
def _letters() -> frozenset:
    from matplotlib.font_manager import get_font

    return frozenset(get_font(font_file()).get_charmap())
