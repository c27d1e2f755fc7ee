"""`figures.py`: the figures of the documentation, drawn anew."""

from __future__ import annotations

from lossbench import console

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

    import pathlib

    from lossbench import plots
    from lossbench.experiment import loss_figures

    known = loss_figures.FIGURES
    unknown = [name for name in options.names if name not in known]
    if unknown:
        raise ValueError(f"figures: NAME must be one of {', '.join(known)}, got {unknown[0]}.")
    for name in options.names or known:
        print(plots.save(known[name](), pathlib.Path(options.out) / f"{name}.png"))
