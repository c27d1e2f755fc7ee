"""`benchmark.py train`: images/s of training."""

from __future__ import annotations

from lossbench import console
from lossbench.errors import UserError

HELP = "images/s of whole training and of the bare step, beside Gluon's and PyTorch's usual way, or of one config"
ROWS = {"whole": "whole training, images/s", "bare": "bare step, images/s", "share": "whole / bare"}
NETWORKS, LOSSES = ("resnet20", "lenet"), ("softmax", "lgm")
CONTESTANTS = ("lossbench", "lossbench-bfloat16", "gluon-default", "gluon", "pytorch", "pytorch-bfloat16")
NOTE = """\
Without --config: ResNet-20 on 3x32x32 and LeNet++ on 1x28x28, for each batch size and loss, by lossbench; by Gluon as
its training scripts have it (gluoncv's network, DataLoader with transforms for each image), with the threads that
MXNet chooses and with all; by PyTorch on the CPU, channels last; by lossbench and PyTorch (autocast) in bfloat16, too.
What is not installed, or not a thing of this processor, is named in the table. Real images where they are on this
machine, else synthetic ones. Each runs in a process of its own, stopped while it is not its turn. whole: data path,
augmentation, step and metrics; bare: the step on one batch in memory. Images/s: median (smallest to largest) of n
turns; whole / bare and x lossbench (in float32) repetition by repetition.
"""


def add_arguments(parser):
    parser.epilog = NOTE
    parser.formatter_class = console.HelpFormatter
    parser.add_argument(
        "--config", metavar="FILE", help="measure this experiment alone, such as configs/lgm_mnist.yaml"
    )
    for name, known in (("networks", NETWORKS), ("losses", LOSSES), ("contestants", CONTESTANTS)):
        among = f"of {', '.join(known)} (default: all)"
        parser.add_argument(f"--{name}", nargs="+", choices=known, default=known, metavar="NAME", help=among)
    parser.add_argument(
        "--batch-sizes", nargs="+", type=int, default=(64, 128, 256), metavar="N", help="default: 64 128 256"
    )
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of one turn, at least (default: 2)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="of each, in turn (default: 5)")
    parser.add_argument(
        "--json",
        type=console.output_file,
        metavar="FILE",
        help="also keep the values there; rows that it holds of other tasks stay",
    )
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table, of all rows of --json")
    console.add_device(parser)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="with --config: values in place of its own")


def run(options):
    if options.repetitions < 1 or min(options.batch_sizes) < 1:
        raise UserError(
            "benchmark: `repetitions` and `batch_sizes` must be at least 1. The defaults are 5 and 64 128 256."
        )
    if options.config:
        return _run_config(options)
    if options.overrides:
        raise UserError(f"benchmark: key=value must come with --config, got {options.overrides[0]}. Name a config.")
    return _run_contest(options)


def _run_config(options):
    from lossbench import config

    settings = config.load(options.config, options.overrides)

    from tqdm import tqdm

    from lossbench import atomic
    from lossbench.benchmarks import training

    with tqdm(total=2 * (options.repetitions + 1), unit="turn", disable=None, leave=False) as bar:
        measured = training.measure(
            settings,
            seconds=options.seconds,
            repetitions=options.repetitions,
            device=options.device,
            progress=bar.update,
        )
    print(f"{settings.name}, batch {settings.data.batch_size}, n = {options.repetitions}:")
    rows = [["", "median", "min", "max"]]
    for name, label in ROWS.items():
        digits = 3 if name == "share" else 0
        rows.append([label, *(f"{measured[name][key]:.{digits}f}" for key in ("median", "min", "max"))])
    console.print_columns(rows, indent="  ")
    if options.json:
        atomic.write_json(options.json, measured)


def _run_contest(options):
    import itertools

    from tqdm import tqdm

    from lossbench import atomic
    from lossbench.benchmarks import contest, earlier_rows

    before = earlier_rows.rows(options.json)
    tasks = list(itertools.product(options.networks, options.losses, options.batch_sizes))
    turns = len(tasks) * len(options.contestants) * (1 + 2 * (options.repetitions + 1))
    with tqdm(total=turns, unit="turn", disable=None, leave=False) as bar:

        def show(name):
            bar.set_description(name, refresh=False)
            bar.update()

        rows = contest.measure(
            tasks, options.contestants, seconds=options.seconds, repetitions=options.repetitions, progress=show
        )
    if options.json:
        rows = contest.merged(before, rows)
        atomic.write_json(options.json, {"method": " ".join(NOTE.split()), "rows": rows})
    table = contest.table(rows)
    if options.markdown:
        print("\n".join(f"| {' | '.join(cells)} |" for cells in [table[0], ["---"] * len(table[0]), *table[1:]]))
    else:
        console.print_columns(table)
