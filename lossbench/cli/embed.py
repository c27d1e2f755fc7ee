"""`embed.py`: embeddings as a NumPy archive."""

from __future__ import annotations

import sys

from lossbench import console

SPLITS = ("test", "validation", "train", "holdout")
DESCRIPTION = """\
Write the embeddings of a split as a NumPy archive: arrays embedding (N, D), logits (N, C), label (N,) and the class
prototypes (C, D).
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    console.add_run(parser)
    parser.add_argument("--split", default="test", choices=SPLITS, help="default: test")
    parser.add_argument("--out", required=True, metavar="FILE.npz", help="NumPy archive to write")
    options = parser.parse_args(arguments)

    from lossbench import experiment

    opened = experiment.open_run(options.run, options.checkpoint, **console.opening(options))
    count = experiment.write_embeddings(opened, options.split, options.out, show=sys.stderr.isatty())
    print(f"{count:,} embeddings of the {options.split} split: {options.out}")
