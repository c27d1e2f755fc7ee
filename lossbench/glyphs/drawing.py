"""A character in a font as a small gray picture."""

from __future__ import annotations

from PIL import Image

NONCHARACTER = "\U0010ffff"  # no font has it: what is drawn is the font's sign for what it lacks


def draw(face, character, size):
    """Return the character, white on black, in the middle of a square; None where nothing is drawn.

    Parameters
    ----------
    face : PIL.ImageFont.FreeTypeFont
    character : str
    size : int
        Side of the square, pixels. What is larger is made smaller.

    Returns
    -------
    PIL.Image.Image or None
    """
    try:
        mask = face.getmask(character, mode="L")
    except OSError:  # FreeType refuses the glyph
        return None
    box = mask.getbbox()
    if box is None:
        return None
    glyph = Image.frombytes("L", mask.size, bytes(mask)).crop(box)
    if max(glyph.size) > size:
        glyph.thumbnail((size, size), Image.Resampling.LANCZOS)
    picture = Image.new("L", (size, size))
    picture.paste(glyph, ((size - glyph.width) // 2, (size - glyph.height) // 2))
    return picture


def sheet(rows, size):
    """Return rows of pictures, None for a gap, as one picture."""
    picture = Image.new("L", (max(map(len, rows)) * size, len(rows) * size), 64)
    for y, row in enumerate(rows):
        for x, one in enumerate(row):
            if one is not None:
                picture.paste(one, (x * size, y * size))
    return picture
