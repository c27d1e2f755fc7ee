"""`eval.py`: metrics of a trained run."""

from __future__ import annotations

import sys
from fractions import Fraction

from lossbench import console
from lossbench.cli.metrics_table import print_tables
from lossbench.cli.opening import open_run
from lossbench.errors import UserError

DESCRIPTION = """\
Evaluate a trained run, or each of a folder of them, such as the seeds of one config. No label reaches the network.
Values are printed, and merged into the run's metrics.json; what the data cannot give is said in its place.

methods:
"""
EXAMPLES = """\
examples:
  eval.py --run runs/lgm_mnist/seed-0 --method softmax --method knn
  eval.py --run runs/lgm_mnist/seed-0 --method all --json values.json
  eval.py --run runs/lgm_mnist --method softmax                           (all its seeds; mean and deviation)
  eval.py --run runs/lgm_mnist_open/seed-0 --method verification          (images of the held-out classes)
  eval.py --run runs/lgm_mnist/seed-0 --method verification --pairs pairs.txt
  eval.py --run runs/arcface_faces/seed-0 --method verification --pairs lfw.bin
  eval.py --run runs/lgm_mnist/seed-0 --method detection --method adversarial --epsilon 0.1 0.3 --limit 2000
"""
ALL = "all"
OPTION_OF = {
    "pairs": "verification",
    "pair_count": "verification",
    "foreign": "detection",
    "epsilon": "adversarial",
    "limit": "adversarial",
}
SPLITS = ("test", "validation", "train", "holdout")


@console.guarded
def main(arguments, prog):
    from lossbench.evaluation import METHODS, Options, suiting
    from lossbench.evaluation.detection import FOREIGN

    meanings = {name: method.help for name, method in METHODS.items()}
    table = console.explained({**meanings, ALL: "all of them that the split can be asked for"})
    parser = console.parser(prog, DESCRIPTION + table, EXAMPLES)
    console.add_run(parser, help="run folder that train.py wrote, or one that holds several")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="which images; holdout: those of classes that were never trained on (default: holdout where the run has "
        "it and only verification, retrieval or clustering is asked for, else test)",
    )
    parser.add_argument(
        "--method",
        action="append",
        choices=(*METHODS, ALL),
        metavar="M",
        help="one of the methods above; may be given several times (default: those of the config)",
    )
    parser.add_argument("--per-class", action="store_true", help="also print the accuracy of every class")
    parser.add_argument(
        "--pairs",
        metavar="FILE",
        help="for verification: a pair a line, two image ids and 1 (one class) or 0; ids are the images' numbers in "
        "the split from 0 on, for image folders their paths below data.root; or insightface's .bin of images in pairs",
    )
    parser.add_argument(
        "--pair-count",
        type=_pair_count,
        metavar="N",
        help="draw so many pairs for verification, a multiple of 20 (default: evaluation.pairs of the config)",
    )
    parser.add_argument(
        "--foreign",
        nargs="+",
        choices=FOREIGN,
        metavar="SOURCE",
        default=(),
        help=f"for detection: whose images are foreign: {', '.join(FOREIGN)}; the last are the run's own held-out "
        "classes (default: of MNIST and Fashion-MNIST, and of CIFAR-10 and CIFAR-100, the other one)",
    )
    parser.add_argument(
        "--epsilon",
        nargs="+",
        type=_epsilon,
        metavar="E",
        default=(),
        help="for adversarial: sizes of the attacks in pixels of [0, 1], such as 0.1 or 8/255 (default: 0.1 0.2 0.3 "
        "for gray images, 2/255 4/255 8/255 for color)",
    )
    parser.add_argument(
        "--limit",
        type=_count,
        metavar="N",
        help="for adversarial: attack N images, the same ones of every run (default: all)",
    )
    parser.add_argument(
        "--max-memory-gb",
        type=_gigabytes,
        metavar="GB",
        help="bound on the arrays made beside the embeddings (default: evaluation.max_memory_gb of the config)",
    )
    parser.add_argument("--json", type=console.output_file, metavar="FILE", help="also write the values there")
    parser.add_argument("moved", nargs="?", metavar="data.root=DIR", help="the same as --data-root DIR")
    options = parser.parse_args(arguments)
    if options.moved is not None:
        key, _, options.data_root = options.moved.partition("=")
        if key != "data.root" or not options.data_root:
            parser.error(f"data.root=DIR is all that may change of the config, got {options.moved}")

    from lossbench import atomic, runs

    paths, measured = runs.to_open([options.run]), {}
    asked = Options(
        pairs=options.pairs,
        pair_count=options.pair_count,
        foreign=tuple(options.foreign),
        epsilon=tuple(options.epsilon),
        limit=options.limit,
        max_memory_gb=options.max_memory_gb,
        show=sys.stderr.isatty(),
    )
    for options.run in paths:
        opened = open_run(options)
        methods = options.method or list(opened.model.evaluation.methods)
        _require_asked(options, methods)
        split = options.split or opened.split_for(methods)
        methods = suiting(METHODS, split) if ALL in methods else list(dict.fromkeys(methods))
        methods = methods if options.method else suiting(methods, split) or methods
        found = opened.measure(split, methods, per_class=options.per_class, options=asked)
        print(f"{options.run}, checkpoint {options.checkpoint} (epoch {opened.epoch}, step {opened.step}), {split}:")
        console.print_table(found, opened.model.dataset.all_class_names)
        measured[options.run] = {options.checkpoint: {split: found}}
    if len(paths) > 1:
        _print_means(measured)
    if options.json:
        atomic.write_json(options.json, found if len(paths) == 1 else {str(path): v for path, v in measured.items()})


def _require_asked(options, methods):
    """Refuse an option of a method that is not asked for: it would do nothing."""
    for name, method in OPTION_OF.items():
        if getattr(options, name) and not {method, ALL} & set(methods):
            option = "--" + name.replace("_", "-")
            raise UserError(
                f"eval: {option} must come with the method {method}, got {', '.join(methods)}. Add --method {method}."
            )


def _print_means(measured):
    """Print mean and standard deviation over the seeds of each config."""
    from lossbench.report import groups
    from lossbench.runs import Run

    found = groups.group(map(Run, measured))
    print_tables([group.label for group in found], [[measured[run.path] for run in group.runs] for group in found])


def _pair_count(text) -> int:
    count = int(text)
    if count < 20 or count % 20:
        raise ValueError
    return count


def _gigabytes(text) -> float:
    size = float(text)
    if not 0 < size < float("inf"):
        raise ValueError
    return size


def _epsilon(text) -> str:
    try:
        good = 0 <= Fraction(text) <= 1
    except ZeroDivisionError:
        good = False
    if not good:
        raise ValueError
    return text


def _count(text) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


# As argparse says it.
_pair_count.__name__, _gigabytes.__name__ = "multiple of 20", "number of gigabytes"
_epsilon.__name__, _count.__name__ = "number in [0, 1] such as 0.1 or 8/255,", "number of images"
