"""A set of many classes made of the fonts of this machine: a class a character, an image a font, written as records."""

from __future__ import annotations

from lossbench.glyphs.characters import SETS, read_characters
from lossbench.glyphs.fonts import FOLDERS, find
from lossbench.glyphs.making import make

__all__ = ["FOLDERS", "SETS", "find", "make", "read_characters"]
