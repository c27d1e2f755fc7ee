"""Draw the figures of docs/losses.md: what each loss makes of an angle, a distance or a length.

    python docs/tools/figures.py [NAME ...] [--out DIR]

A loss has the figure that its class describes: `figure` is a tuple of its options, a curve each (by default one curve,
of the defaults). The values are those of the class itself. A new loss is drawn without a change here.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lossbench import atomic, heads, plots, regularizers  # noqa: E402
from lossbench.heads import curves  # noqa: E402
from lossbench.plots.drawing.target_logit import ANGLE, LOGIT, Panel  # noqa: E402

LENGTHS = np.linspace(0, 20, 201)
DISTANCE, LENGTH = "distance to the class mean", "length of the embedding"
OVERVIEW = {
    "no margin (NormFace)": (heads.NormFace, {"scale": 1}),
    "AM-softmax, margin 0.35": (heads.AMSoftmax, {"scale": 1, "margin": 0.35}),
    "ArcFace, margin 0.5 rad": (heads.ArcFace, {"scale": 1, "margin": 0.5}),
    "A-softmax, margin 4, beta 5": (heads.ASoftmax, {"margin": 4, "beta": 5}),
}


def known() -> dict:
    """Return what can be drawn: name -> function without arguments that returns a figure."""
    drawn = {"target_logits": overview}
    for block in {**heads.HEADS, **regularizers.REGULARIZERS}.values():
        draw = of_head if issubclass(block, heads.Head) else of_regularizer
        drawn[block.config_name] = lambda draw=draw, block=block: draw(block)
    return drawn


def overview():
    drawn = {name: curves.at_angles(block, **options) for name, (block, options) in OVERVIEW.items()}
    panel = Panel(curves.DEGREES, drawn, ylabel=f"{LOGIT} / scale")
    return plots.target_logit([panel], title="What each margin makes of an angle")


def of_head(block):
    """Return the figure of a head class: the training logit of the true class, or the loss."""
    variants = block.figure
    found = [curves.curve(block, **variant) for variant in variants]
    drawn = dict(zip(_names(block, variants), (y for _, y in found)))
    ylabel = LOGIT if block.changes_one_logit else "training loss, ten classes"
    panel = Panel(found[0][0], drawn, xlabel=DISTANCE if block.metric == "density" else ANGLE, ylabel=ylabel)
    options = {name: value for name, value in variants[0].items() if name != "length"}
    fixed = curves.built(block, curves.OTHER_CLASSES + 1, **options).scheduled()
    return plots.target_logit([panel], title=_title(block, fixed, variants, {"likelihood_weight"}))


def of_regularizer(block):
    """Return the figure of a regularizer class: the penalty against a distance or a length."""
    variants = block.figure
    built = [block.create(1, 2, **variant) for variant in variants]
    drawn = dict(zip(_names(block, variants), (curves.penalty(one, LENGTHS) for one in built)))
    learns = built[0].prototypes() is not None
    panel = Panel(LENGTHS, drawn, xlabel="distance to the class center" if learns else LENGTH, ylabel="penalty")
    return plots.target_logit([panel], title=_title(block, built[0].scheduled(), variants, set()))


def _names(block, variants) -> list:
    """Return what tells each curve from the others."""
    common = set.intersection(*(set(variant.items()) for variant in variants)) if len(variants) > 1 else set()
    names = []
    for variant in variants:
        told = [_spoken(block, name, value) for name, value in variant.items() if (name, value) not in common]
        names.append(", ".join(told) or "defaults")
    return names


def _spoken(block, name, value) -> str:
    if value is True:
        return name
    unit = getattr(block.options.get(name), "unit", "")
    return " ".join([name, f"{value:g}" if isinstance(value, (int, float)) else str(value), *([unit] if unit else [])])


def _title(block, scheduled, variants, left_out) -> str:
    """Return the name of the class, and the values that all curves share."""
    moved = {name for variant in variants for name, value in variant.items() if value != variants[0].get(name)}
    shared = {**{n: v for n, v in scheduled.items() if n not in left_out}, **variants[0]}
    told = [_spoken(block, name, value) for name, value in shared.items() if name not in moved]
    return ": ".join([block.__name__, *([", ".join(told)] if told and len(variants) > 1 else [])])


def save(figure, path) -> pathlib.Path:
    """Write a figure."""
    plots.save(figure, path)
    return shrink(path)


def shrink(path, colors: int = 64) -> pathlib.Path:
    """Give a PNG a palette, which makes lines on white a quarter as large; points of ten colors need more of them."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(colors, dither=Image.Dither.NONE)
    content = io.BytesIO()
    small.save(content, "png", optimize=True)
    atomic.write_atomically(path, content.getvalue())
    return path


def main(arguments=None) -> None:
    figures = known()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(figures)} (default: all)")
    parser.add_argument("--out", default=ROOT / "docs/images", type=pathlib.Path, metavar="DIR")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in figures:
            parser.error(f"NAME must be one of {', '.join(figures)}, got {name}.")
    for name in options.names or figures:
        print(save(figures[name](), options.out / f"{name}.png"))


if __name__ == "__main__":
    main()
