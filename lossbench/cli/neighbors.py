"""`lossbench neighbors`: a gallery of the training images that are nearest to others."""

from __future__ import annotations

import sys
from pathlib import Path

from lossbench import console
from lossbench.cli.opening import open_run

DESCRIPTION = """\
Draw the nearest training images of some test images, and of those that are taken for another class.

Two pictures in the run's plots/: neighbors-SPLIT.png and mistakes-SPLIT.png, a row for each image; of images of your
own, neighbors-own.png; of a checkpoint C other than last in plots/C. The training data are read for their pixels.
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    console.add_run(parser)
    parser.add_argument("--split", default="test", choices=("test", "validation", "holdout"), help="default: test")
    parser.add_argument(
        "--count", type=console.count, default=8, metavar="N", help="most rows of a picture (default: 8)"
    )
    parser.add_argument("--knn", type=console.count, default=6, metavar="N", help="neighbors in a row (default: 6)")
    parser.add_argument("--out", type=console.output_folder, metavar="DIR", help="draw there instead")
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="images of your own: files, folders, lists (.txt), or - for the input",
    )
    options = parser.parse_intermixed_args(arguments)

    from lossbench import experiment, plots

    paths = experiment.image_files(options.images) if options.images else None
    opened = open_run(options)
    gallery = experiment.Gallery(opened, options.knn, options.count, show=sys.stderr.isatty())
    folder = Path(options.out or opened.run.plots, "" if opened.checkpoint == "last" else opened.checkpoint)
    drawn = gallery.of_files(paths) if paths else gallery.of_split(options.split)
    for name, (figure, rows) in drawn.items():
        if figure is None:
            print(f"{name}: there are none")
            continue
        console.print_columns(rows)
        print(plots.save(figure, folder / f"{name}.png"))
