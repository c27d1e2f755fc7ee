"""`predict.py`: the class of image files."""

from __future__ import annotations

import sys

from lossbench import console
from lossbench.cli.opening import open_run

DESCRIPTION = """\
Name the class of images with a trained run.

A row per image: class, probability (softmax of the logits) and, for L-GM, the log density of the likeliest class, which
is low for images unlike any that was trained on. The run folder alone is needed, not the data it was trained on. Files
that cannot be read are named at the end, and the exit status is then 1.
"""
EXAMPLES = """\
examples:
  predict.py --run runs/photos/seed-0 photo.jpg
  predict.py --run runs/photos/seed-0 folder --top 3 --csv classes.csv
  find . -name '*.png' | predict.py --run runs/photos/seed-0 -
  predict.py --run runs/photos/seed-0 photo.jpg --knn 3       (after embed.py --run runs/photos/seed-0 --keep)
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION, EXAMPLES)
    console.add_run(parser)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image files, folders of them, lists of names that end in .txt, or - for names on the standard input",
    )
    parser.add_argument(
        "--top", type=console.count, default=1, metavar="K", help="name the K likeliest classes (default: 1)"
    )
    parser.add_argument(
        "--knn",
        type=console.count,
        default=0,
        metavar="N",
        help="name the N nearest training images, from embeddings that embed.py --keep has kept in the run",
    )
    parser.add_argument(
        "--csv",
        type=console.output_file,
        metavar="FILE",
        help="also write a table there; what would be a formula gets an apostrophe",
    )
    options = parser.parse_intermixed_args(arguments)

    from lossbench import experiment

    paths = experiment.image_files(options.images)
    opened = open_run(options)
    show, damaged = sys.stderr.isatty(), []
    rows = experiment.predict(opened, paths, top=options.top, nearest=options.knn, show=show, damaged=damaged)
    columns = list(rows[0])
    text = [[console.cell(row[column]) for column in columns] for row in rows]
    console.print_columns([columns, *text])
    if options.csv:
        _write(options.csv, [columns, *([_plain(row[column]) for column in columns] for row in rows)])
    return console.left_out(damaged)


def _plain(value):
    """A cell that no spreadsheet takes for a formula, whatever an image or a class is called."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _write(path, rows):
    import csv
    import io

    from lossbench import atomic

    table = io.StringIO()
    csv.writer(table).writerows(rows)
    atomic.write_atomically(path, table.getvalue())
