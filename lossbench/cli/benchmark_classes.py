"""`benchmark.py classes`: a training step with very many classes, all of them computed or a share."""

from __future__ import annotations

from lossbench import console
from lossbench.errors import UserError

HELP = "a step with very many classes: all of them, or a share (head.sample)"
NOTE = """\
A step is the head's forward and backward pass and the update (Nesterov), on embeddings at hand. Each share is a process
of its own. Seconds: median (smallest to largest) of n steps; memory: the peak of the whole process. With --ranks the
last row is of one of the processes, the last, which has a part of the classes, and says what it sends in a step.
"""


def add_arguments(parser):
    parser.epilog = NOTE
    parser.formatter_class = console.HelpFormatter
    parser.add_argument("--head", default="arcface", metavar="NAME", help="with its defaults (default: arcface)")
    parser.add_argument("--classes", type=int, default=1_000_000, metavar="C", help="default: 1000000")
    parser.add_argument("--embedding-size", type=int, default=128, metavar="D", help="default: 128")
    parser.add_argument("--batch-size", type=int, default=64, metavar="B", help="default: 64")
    shares = {"type": float, "nargs": "+", "metavar": "SHARE"}
    parser.add_argument("--samples", default=(1.0, 0.1, 0.01), help="of the classes (default: 1 0.1 0.01)", **shares)
    parser.add_argument("--ranks", type=int, metavar="N", help="also share the classes out among so many processes")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="steps of each (default: 5)")
    console.add_threads(parser)
    parser.add_argument("--json", type=console.output_file, metavar="FILE", help="also write the values there")


def run(options):
    sizes = {name: getattr(options, name) for name in ("classes", "embedding_size", "batch_size", "repetitions")}
    for name, value in sizes.items():
        if value < 1:
            raise UserError(f"benchmark: `{name}` must be at least 1, got {value}.")
    if not all(0 < share <= 1 for share in options.samples):
        raise UserError(
            f"benchmark: `samples` must be in (0, 1], got {options.samples}. They are shares of the classes."
        )

    from lossbench import atomic, registry
    from lossbench.benchmarks import classes
    from lossbench.benchmarks.timing import spoken

    reason = getattr(registry.HEADS.get(options.head), "needs_all_classes", "it does not derive from lossbench.Head")
    if reason and set(options.samples) != {1.0}:
        raise UserError(f"benchmark: `head` must be one that can be sampled, got {options.head}: {reason}.")
    sizes = options.classes, options.embedding_size, options.batch_size
    rows = classes.measure(options.head, *sizes, options.samples, options.repetitions)
    if options.ranks:
        rows.append(classes.measure_ranks(options.head, *sizes, options.ranks, options.repetitions))
    table = [["classes of a step", "CPU seconds", "seconds", "GB", "MB sent", "n"]]
    for row in rows:
        cells = spoken(row["cpu_seconds"], 3), spoken(row["seconds"], 3), f"{row['bytes'] / 1e9:.2f}"
        cells += (f"{row['sent'] / 1e6:.2f}" if row["sent"] else "",)
        table.append([f"{row['classes']:,}", *cells, str(row["seconds"]["n"])])
    console.print_columns(table)
    if options.json:
        atomic.write_json(options.json, {"method": " ".join(NOTE.split()), "rows": rows})
