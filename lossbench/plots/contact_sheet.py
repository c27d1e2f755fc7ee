"""A sheet of small images with a line of text below each; made by Pillow, without a figure."""

from __future__ import annotations

import numpy as np

from lossbench.plots import lettering

_SIDE, _LINE, _GAP, _LETTERS = 72, 14, 6, 12


def contact_sheet(images, texts, columns: int = 8):
    """Return a sheet as a Pillow image.

    Parameters
    ----------
    images : (N, channels, H, W) array of uint8
        Gray or color. Small ones are enlarged by whole factors, so that every pixel is seen.
    texts : sequence of str
        One below each image, cut to a dozen letters.
    columns : int
        Images in a row.

    Examples
    --------
    >>> contact_sheet(np.zeros((3, 1, 8, 8), np.uint8), ["a", "b", "c"], columns=2).size
    (162, 190)
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = images.shape[2:]
    scale = max(1, _SIDE // max(height, width)) if max(height, width) <= _SIDE else _SIDE / max(height, width)
    tile = max(1, round(width * scale)), max(1, round(height * scale))
    cell = max(tile[0], _SIDE) + _GAP, tile[1] + _LINE + _GAP
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(lettering.font_file(), 10)
    filter = Image.NEAREST if scale >= 1 else Image.BILINEAR
    for number, (image, text) in enumerate(zip(images, texts)):
        left, top = _GAP + number % columns * cell[0], _GAP + number // columns * cell[1]
        planes = np.ascontiguousarray(image.transpose(1, 2, 0))
        picture = Image.fromarray(planes[:, :, 0] if planes.shape[2] == 1 else planes)
        sheet.paste(picture.resize(tile, filter), (left, top))
        draw.text((left, top + tile[1] + 1), lettering.short(text, _LETTERS), fill="#222222", font=font)
    return sheet
