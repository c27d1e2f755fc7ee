"""`lossbench glyphs`: characters of installed fonts as a set of many classes."""

from __future__ import annotations

import shlex
from pathlib import Path

from lossbench import config, console
from lossbench.errors import UserError

DESCRIPTION = """\
Draw characters in the fonts of this machine: a set of many classes, to train on some and be judged on others.

A class is a character, an image a font: gray, white on black, in the middle. The folder gets train.rec (the classes to
train on), test.rec (the same characters, and then those never trained on, in fonts of other designs), which
configs/glyphs_*.yaml read; fonts.json, which lists the fonts with their checksums and what was left out; and
glyphs.png, to look at.

Left out are characters without ink, pictures that a font draws for what it lacks, and pictures that another font has,
too. The characters that most fonts have are chosen. Weights of one family, and fonts that share pictures, are one
design: all trained on, or all kept for the test.

The same fonts, options and Pillow give the same files. The folder appears when it is whole.
"""
EXAMPLES = """\
examples:
  apt-get install fonts-noto-cjk fonts-arphic-ukai ...        (docs/glyphs.md names packages)
  lossbench glyphs                                            (2,000 kanji into the folder glyphs, some minutes)
  lossbench glyphs --characters hangul --out hangul
  lossbench glyphs --fonts ~/my-fonts --characters letters.txt --train-classes 40 --holdout-classes 12
  lossbench train glyphs_softmax                              (reads the folder glyphs of the current folder)
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION, EXAMPLES)
    parser.add_argument("--out", default="glyphs", metavar="DIR", help="folder to write, which must be new (glyphs)")
    parser.add_argument("--fonts", nargs="+", metavar="DIR", help="folders of fonts (default: those of this machine)")
    parser.add_argument(
        "--characters",
        default="kanji",
        metavar="SET",
        help="candidates: kanji (2,965), hanzi (3,755), hangul (2,350), or a text file that holds them (kanji)",
    )
    parser.add_argument("--train-classes", type=int, default=1500, metavar="N", help="to train on (1500)")
    parser.add_argument("--holdout-classes", type=int, default=500, metavar="N", help="never trained on (500)")
    parser.add_argument(
        "--test-share",
        type=float,
        default=0.2,
        metavar="S",
        help="most of the pictures of the chosen characters whose fonts are kept apart (0.2)",
    )
    parser.add_argument("--size", type=int, default=32, metavar="N", help="side of an image, pixels (32)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice of characters and fonts (0)")
    options = parser.parse_args(arguments)
    for name, low in (("train_classes", 2), ("holdout_classes", 1), ("size", 8), ("seed", 0)):
        if getattr(options, name) < low:
            raise UserError(
                f"glyphs: `{name}` must be at least {low}, got {getattr(options, name)}. Take a larger one."
            )
    if not 0 < options.test_share < 1:
        raise UserError(f"glyphs: `test_share` must be in (0, 1), got {options.test_share}. 0.2 is a fifth.")

    from tqdm import tqdm

    from lossbench import glyphs

    characters = glyphs.read_characters(options.characters)
    folders = options.fonts or glyphs.FOLDERS
    fonts, refused = glyphs.find(folders)
    if not fonts:
        raise UserError(
            f"glyphs: `fonts` must name folders with fonts below them, got none in {', '.join(map(str, folders))}. "
            "docs/glyphs.md names packages."
        )
    with tqdm(total=2 * len(fonts), unit="font", disable=None, leave=False) as bar:  # each is surveyed, then drawn
        said = glyphs.make(
            options.out,
            fonts,
            characters,
            train_classes=options.train_classes,
            holdout_classes=options.holdout_classes,
            test_share=options.test_share,
            size=options.size,
            seed=options.seed,
            refused=refused,
            progress=bar.update,
        )
    _report(said, options.out)


def _report(said, out):
    out = Path(out)
    rows, asked, classes = [["", "images", "classes", "fonts", "designs"]], said["asked"], said["classes"]
    for name, part, key, kind in (
        ("to train on", "train", "images", "train"),
        ("the same characters, other fonts", "test", "images", "test"),
        ("other characters, other fonts", "test", "held_out", "held_out"),
    ):
        fonts = [one for one in said["fonts"] if one["part"] == part and one[key]]
        numbers = (sum(one[key] for one in fonts), classes[kind], len(fonts), len({one["design"] for one in fonts}))
        rows.append([name, *(f"{number:,}" for number in numbers)])
    console.print_columns(rows)
    left_out = ", ".join(f"{number:,} {reason}" for reason, number in said["left_out"].items())
    print(f"Left out of {asked['characters']:,} candidates in {len(said['fonts']):,} fonts: {left_out}.")
    for name, reason in said["refused"].items():
        print(f"{name} is left out: {reason}")
    print(f"{out}/fonts.json lists the fonts; {out}/glyphs.png shows some.")
    for kind, key, name in (("test", "train_classes", "trained"), ("held_out", "holdout_classes", "other")):
        lacking = asked[key] - classes[kind]
        if lacking:
            print(f"{lacking:,} of {asked[key]:,} {name} characters have no picture to test; more fonts would help.")
    first, number = asked["train_classes"], asked["train_classes"] + asked["holdout_classes"]
    keys = [config.as_override("data.root", str(out))] * (out != Path("glyphs"))
    if (first, number) != (1500, 2000):
        held_out = f"{first}-{number - 1}" if number - first > 1 else first
        keys += [f"data.num_classes={number}", f"data.holdout_classes=[{held_out}]"]
    keys += [f"data.image_size={asked['size']}"] * (asked["size"] != 32)
    print(f"Train on it: {shlex.join(['lossbench', 'train', 'glyphs_softmax', *keys])}")
