"""`benchmark.py ranks`: training on one process and on several."""

from __future__ import annotations

from lossbench import console
from lossbench.errors import UserError

HELP = "images/s on one process and on several of one thread each (mpiexec), and what the exchange costs"
NOTE = """\
Whole training of a config, with data path; each turn is a job of its own, by turns. Images/s, its ratio to the first
number of ranks (turn by turn), and processor time of one rank in a step, with that of the exchange in it: median
(smallest to largest) of n turns. Where other work keeps the cores busy, the processor time is what to look at.
"""


def add_arguments(parser):
    parser.epilog = NOTE
    parser.formatter_class = console.HelpFormatter
    parser.add_argument(
        "--config", default="configs/lgm_digits.yaml", metavar="FILE", help="default: configs/lgm_digits.yaml"
    )
    parser.add_argument("--ranks", nargs="+", type=int, default=(1, 2), metavar="N", help="default: 1 2")
    parser.add_argument("--steps", type=int, default=30, metavar="N", help="of a turn (default: 30)")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="turns of each (default: 3)")
    parser.add_argument("--json", type=console.output_file, metavar="FILE", help="also write the values there")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="values in place of the config's own")


def run(options):
    if min(options.repetitions, options.steps, *options.ranks) < 1:
        raise UserError(
            "benchmark: `ranks`, `steps` and `repetitions` must be at least 1. The defaults are 1 2, 30 and 3."
        )

    from tqdm import tqdm

    from lossbench import atomic, config
    from lossbench.benchmarks import ranks
    from lossbench.benchmarks.timing import spoken

    config.load(options.config, options.overrides)
    with tqdm(total=len(options.ranks) * options.repetitions, unit="turn", disable=None, leave=False) as bar:
        rows = ranks.measure(
            options.config,
            options.overrides,
            options.ranks,
            steps=options.steps,
            repetitions=options.repetitions,
            progress=bar.update,
        )
    table = [["ranks", "images/s", "of the first", "CPU ms a step, one rank", "of it, the exchange", "n"]]
    digits = {"images_per_second": 0, "ratio": 2, "cpu_milliseconds": 1, "exchange_milliseconds": 1}
    for row in rows:
        cells = [spoken(row[name], count) for name, count in digits.items()]
        table.append([str(row["ranks"]), *cells, str(row["ratio"]["n"])])
    console.print_columns(table)
    if options.json:
        atomic.write_json(options.json, {"method": " ".join(NOTE.split()), "rows": rows})
