"""`embed.py`: embeddings as a NumPy archive."""

from __future__ import annotations

import sys

from lossbench import console
from lossbench.cli.opening import open_run

SPLITS = ("test", "validation", "train", "holdout")
DESCRIPTION = """\
Write embeddings as a NumPy archive: arrays embedding (N, D), logits (N, C), label (N,) and the class prototypes (C, D).

Logits that would exceed evaluation.max_memory_gb are left out.
Of a split of the run's data; or of image files, which have a name (N,) in place of a label and need no data of the run.
--keep keeps those of the training images in the run, by which predict.py --knn names the nearest ones without the data.
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    console.add_run(parser)
    parser.add_argument("--split", choices=SPLITS, help="default: test")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=console.output_file, metavar="FILE.npz", help="NumPy archive to write")
    where.add_argument("--keep", action="store_true", help="keep those of the training images in the run")
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="image files, folders of them, lists of names that end in .txt, or - for names on the standard input",
    )
    options = parser.parse_intermixed_args(arguments)
    if options.images and options.split:
        parser.error("--split must be left out where images are named")
    if options.keep and (options.images or options.split):
        parser.error("--keep is for the training images: leave images and --split out")

    from lossbench import experiment

    show = sys.stderr.isatty()
    if options.images:
        paths = experiment.image_files(options.images)
        opened = open_run(options)
        damaged = []
        count = experiment.embed_files(opened, paths, options.out, show=show, damaged=damaged)
        print(f"{count:,} embeddings of images: {options.out}")
        return console.left_out(damaged)
    split = options.split or "test"
    opened = open_run(options)
    if options.keep:
        count, path = experiment.keep_training(opened, show=show)
        print(f"{count:,} embeddings of the training images are kept: {path}")
        return console.DONE
    count = experiment.write_embeddings(opened, split, options.out, show=show)
    print(f"{count:,} embeddings of the {split} split: {options.out}")
    return console.DONE
