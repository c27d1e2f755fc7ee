"""`plot.py`: pictures of trained runs."""

from __future__ import annotations

import pathlib
import sys

from lossbench import console, errors, terminal
from lossbench.errors import UserError

DESCRIPTION = """\
Draw pictures of trained runs, each into its own folder plots/.

Kinds:
"""


@console.guarded
def main(arguments, prog):
    from lossbench.plots import pictures

    table = console.explained({name: picture.help for name, picture in pictures.KINDS.items()})
    parser = console.parser(prog, DESCRIPTION + table)
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folder that train.py wrote, or one that holds several"
    )
    parser.add_argument("--kinds", nargs="+", metavar="KIND", help="what to draw (default: whatever the run can give)")
    parser.add_argument(
        "--checkpoint",
        default="last",
        metavar="C",
        help="last, best (by validation accuracy), or a checkpoint's folder; others than last are drawn into "
        "plots/C (default: last)",
    )
    parser.add_argument(
        "--out",
        type=console.output_folder,
        metavar="DIR",
        help="draw there instead; with several runs, into a folder for each in it",
    )
    parser.add_argument("--format", default="png", choices=pictures.FORMATS, help="default: png")
    parser.add_argument(
        "--projection",
        default="pca",
        choices=("pca", "tsne"),
        help="of embeddings with more than two dimensions: plane of the largest variance, or t-SNE of 3,000 images, "
        "which takes a minute (default: pca)",
    )
    console.add_data(parser, "draw")
    console.add_device(parser)
    options = parser.parse_args(arguments)
    kinds = _kinds(options.kinds, pictures.KINDS)

    from tqdm import tqdm

    from lossbench import experiment, plots
    from lossbench.runs import Run, to_open

    paths = to_open(options.runs)
    folders = _folders(paths, options.out, options.checkpoint)
    runs = [
        experiment.DrawnRun(Run(path), options.checkpoint, show=sys.stderr.isatty(), **console.opening(options))
        for path in paths
    ]
    status = console.DONE
    with tqdm(total=len(runs) * len(kinds), unit="kind", disable=None, leave=False) as bar:
        for path, folder in zip(paths, folders):
            run, written, said = runs.pop(0), 0, set()  # whose model and images then go
            for kind in kinds:
                bar.set_description(kind)
                try:
                    for file in pictures.write(run, kind, folder, format=options.format, projection=options.projection):
                        tqdm.write(str(file))
                        written += 1
                except plots.CannotDraw as reason:
                    if str(reason) not in said:  # several kinds may lack the same
                        tqdm.write(terminal.shown(f"{path}: {reason}"), file=sys.stderr)
                    said.add(str(reason))
                bar.update()
            for sentence in run.run.problems:
                tqdm.write(terminal.shown(f"{path}: {sentence}"), file=sys.stderr)
            if not written:
                status = errors.UserError.exit_status
    return status


def _kinds(asked, known):
    for kind in asked or ():
        if kind not in known:
            import difflib

            close = difflib.get_close_matches(kind, known, 1)
            way_out = f"Did you mean {close[0]}?" if close else "Name the runs before --kinds."
            raise UserError(f"plot: --kinds must be of {', '.join(known)}, got {kind}. {way_out}")
    return list(dict.fromkeys(asked or known))


def _folders(paths, out, checkpoint):
    """Return the folder of each run's pictures."""
    if out is None:
        folders = [path / "plots" for path in paths]
    elif len(paths) == 1:
        folders = [pathlib.Path(out)]
    else:
        folders = [pathlib.Path(out, "-".join(path.resolve().parts[-2:])) for path in paths]
        if len(set(folders)) < len(folders):
            raise UserError(
                f"plot: RUN must end in different names to be drawn into {out}, got {', '.join(map(str, paths))}."
            )
    return folders if checkpoint == "last" else [folder / pathlib.Path(checkpoint).name for folder in folders]
