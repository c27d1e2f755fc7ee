"""`benchmark.py heads`: a head's training step beside a plain layer's."""

from __future__ import annotations

import argparse
import re

from lossbench import console
from lossbench.benchmarks.timing import spoken
from lossbench.errors import UserError

HELP = "training step of every head beside a plain layer and beside other libraries"
SIZES = "128x2x10 128x512x1000 128x512x10000 256x512x100000"
NOTE = """\
A step is forward and backward, on an embedding that is in memory, hybridized with static memory. ms: median (smallest
to largest) of n repetitions; x plain: ratio to the plain layer, x ours: ratio of a peer to the head of the row's name,
both repetition by repetition; MB: peak of resident memory in a step above parameters, gradients and batch, in a
process of its own.
"""


def size(text):
    """BxDxC as three numbers."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"must be BxDxC (batch, embedding size, classes), got {text!r}")
    return tuple(map(int, text.split("x")))


def add_arguments(parser):
    parser.epilog = NOTE
    parser.formatter_class = console.HelpFormatter
    parser.add_argument(
        "--sizes", nargs="+", type=size, metavar="BxDxC", help=f"batch, embedding size, classes (default: {SIZES})"
    )
    parser.add_argument("--heads", nargs="+", metavar="NAME", help="rows to measure (default: all)")
    parser.add_argument("--repetitions", type=int, default=15, metavar="N", help="of each, in turn (default: 15)")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory out, which takes seconds a row")
    parser.add_argument("--no-peers", action="store_true", help="leave gluonfr and pytorch-metric-learning out")
    console.add_threads(parser)
    parser.add_argument("--json", type=console.output_file, metavar="FILE", help="also write the values there")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")


def run(options):
    if options.repetitions < 1:
        raise UserError(f"benchmark: `repetitions` must be at least 1, got {options.repetitions}.")

    from tqdm import tqdm

    from lossbench import atomic
    from lossbench.benchmarks import head_steps, heads, peers

    unknown = set(options.heads or ()) - set(head_steps.LABELS)
    if unknown:
        raise UserError(
            f"benchmark: `heads` must be among {', '.join(head_steps.LABELS)}, got {', '.join(sorted(unknown))}."
        )
    measured = []
    for chosen in options.sizes or heads.SIZES:
        with tqdm(unit="row", disable=None, leave=False) as bar:

            def show(done, name, bar=bar):
                bar.n = done
                bar.set_description(name, refresh=True)

            result = heads.measure(
                chosen,
                options.heads,
                repetitions=options.repetitions,
                libraries=() if options.no_peers else tuple(peers.PEERS),
                with_memory=not options.no_memory,
                progress=show,
            )
        measured.append(result)
        _print(result, options.markdown)
    if options.json:
        atomic.write_json(options.json, {"method": " ".join(NOTE.split()), "sizes": measured})


def _print(result, markdown):
    title = "B = {batch_size}, D = {embedding_size}, C = {num_classes:,}".format(**result["size"])
    rows = [["", "ms", "x plain", "x ours", "MB", "n"], *map(_cells, result["rows"])]
    if not markdown:
        print(title)
        console.print_columns(rows, indent="  ")
        return
    print(f"| {title} | {' | '.join(rows[0][1:])} |\n|---|{'---|' * (len(rows[0]) - 1)}")
    for row in rows[1:]:
        print(f"| {' | '.join(row)} |")
    print()


def _cells(row):
    name = row["label"] if row["library"] is None else f"{row['library']} {row['label']}".strip()
    name += f" ({row['name']})" if row["library"] and row["name"] else ""
    if "skipped" in row:
        return [name, row["skipped"], "", "", "", ""]
    memory = row.get("bytes")
    return [
        name,
        spoken(row["milliseconds"], 2),
        spoken(row["ratio"], 2),
        spoken(row["ours"], 2) if "ours" in row else "",
        "" if memory is None else f"{memory / 1e6:.0f}",
        str(row["milliseconds"]["n"]),
    ]
