"""`benchmark.py evaluation`: images/s of inference beside training, and the time of a k-NN search."""

from __future__ import annotations

from lossbench import console
from lossbench.errors import UserError

HELP = "images/s of inference beside training, and seconds of a k-NN search"


def add_arguments(parser):
    parser.add_argument("--images", type=int, default=10_000, metavar="N", help="to score (default: 10000)")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of a turn of training (default: 2)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="of each, in turn (default: 5)")
    parser.add_argument("--queries", type=int, default=10_000, metavar="N", help="of the k-NN search (default: 10000)")
    parser.add_argument("--references", type=int, default=50_000, metavar="N", help="searched among (default: 50000)")
    console.add_threads(parser)
    parser.add_argument("--json", type=console.output_file, metavar="FILE", help="also write the values there")


def run(options):
    if min(options.images, options.repetitions, options.queries) < 1 or options.references < 10:
        raise UserError("benchmark: the counts must be at least 1, and `references` at least 10. See --help.")

    from tqdm import tqdm

    from lossbench import atomic
    from lossbench.benchmarks import evaluation

    with tqdm(total=2 * (options.repetitions + 1) + options.repetitions, unit="turn", disable=None, leave=False) as bar:
        search = evaluation.measure_knn(
            queries=options.queries,
            references=options.references,
            repetitions=options.repetitions,
            progress=bar.update,
        )
        inference = evaluation.measure_inference(
            count=options.images, seconds=options.seconds, repetitions=options.repetitions, progress=bar.update
        )
    rows = [["", "median", "min", "max", "n"]]
    size = f"{options.queries:,} of {options.references:,} x {search['size']}"
    for label, values, digits in (
        (
            f"ResNet-20, scoring {inference['images']:,} images ({inference['data']}), images/s",
            inference["inference"],
            0,
        ),
        ("whole training, images/s", inference["training"], 0),
        ("scoring / training", inference["ratio"], 2),
        (f"k-NN, k = {search['k']}, {size}, seconds", search["seconds"], 2),
    ):
        rows.append([label, *(f"{values[key]:.{digits}f}" for key in ("median", "min", "max")), str(values["n"])])
    console.print_columns(rows)
    if options.json:
        atomic.write_json(options.json, {"inference": inference, "knn": search})
