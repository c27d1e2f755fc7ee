"""`benchmark.py load`: training beside other work."""

from __future__ import annotations

from lossbench import console
from lossbench.errors import UserError

HELP = "images/s beside other work that the benchmark makes itself, by ways of waiting"
NOTE = """\
Whole training of a config, with and without busy processes beside it. lossbench: as installed; asleep, awake: OpenMP's
threads wait for their next loop without or with spinning (OMP_WAIT_POLICY=passive, libgomp's own default); one thread.
Each is a process of its own, stopped while it is not its turn. Images/s: median (smallest to largest) of n turns; the
shares are of the speed awake without a load and of the speed asleep under it, repetition by repetition.
"""


def add_arguments(parser):
    parser.epilog = NOTE
    parser.formatter_class = console.HelpFormatter
    parser.add_argument(
        "--config", default="configs/lgm_digits.yaml", metavar="FILE", help="default: configs/lgm_digits.yaml"
    )
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="busy ones (default: 2)")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of one turn, at least (default: 2)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="of each, in turn (default: 5)")
    parser.add_argument("--json", type=console.output_file, metavar="FILE", help="also write the values there")


def run(options):
    if min(options.processes, options.repetitions) < 1:
        raise UserError("benchmark: `processes` and `repetitions` must be at least 1. The defaults are 2 and 5.")

    from tqdm import tqdm

    from lossbench import atomic, config
    from lossbench.benchmarks import load
    from lossbench.benchmarks.timing import spoken

    config.load(options.config)
    with tqdm(total=2 * len(load.WAYS) * options.repetitions, unit="turn", disable=None, leave=False) as bar:
        rows = load.measure(
            options.config,
            processes=options.processes,
            seconds=options.seconds,
            repetitions=options.repetitions,
            progress=bar.update,
        )
    table = [["", "alone, images/s", "of awake", f"beside {options.processes} busy, images/s", "of asleep", "n"]]
    for row in rows:
        cells = [spoken(row[name], digits) for name, digits in (("idle", 0), ("idle_share", 2), ("loaded", 0))]
        table.append([row["way"], *cells, spoken(row["loaded_share"], 2), str(row["idle"]["n"])])
    console.print_columns(table)
    if options.json:
        atomic.write_json(options.json, {"method": " ".join(NOTE.split()), "rows": rows})
