"""`figures.py`: the figures of the documentation, drawn anew."""

from __future__ import annotations

import io
import pathlib

from lossbench import atomic, console
from lossbench.errors import UserError

DESCRIPTION = """\
Draw the figures of docs/losses.md: what each loss makes of an angle, a distance or a length, computed by the losses
themselves.
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    parser.add_argument("--out", default="docs/images", metavar="DIR", help="folder to write (default: docs/images)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw, such as arcface (default: all)")
    options = parser.parse_args(arguments)

    from lossbench.experiment import loss_figures

    known = loss_figures.FIGURES
    unknown = [name for name in options.names if name not in known]
    if unknown:
        raise UserError(f"figures: NAME must be one of {', '.join(known)}, got {unknown[0]}.")
    for name in options.names or known:
        print(_save(known[name](), pathlib.Path(options.out) / f"{name}.png"))


def _save(figure, path):
    """Write a figure with a palette of 64 colors, which makes lines on white a quarter as large."""
    from PIL import Image

    from lossbench import plots

    plots.save(figure, path)
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    content = io.BytesIO()
    small.save(content, "png", optimize=True)
    atomic.write_atomically(path, content.getvalue())
    return path
