"""`benchmark.py scaling`: time and memory of a head's step against batch, classes and embedding size."""

from __future__ import annotations

from lossbench import console
from lossbench.errors import UserError

HELP = "time and memory of a head's step against batch, classes and embedding size"
AXES = {"batch_size": "batch", "num_classes": "classes", "embedding_size": "embedding size"}


def add_arguments(parser):
    among = f"of {', '.join(AXES)} (default: all)"
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES), metavar="AXIS", help=among)
    parser.add_argument(
        "--what", nargs="+", choices=("time", "memory"), default=("time", "memory"), help="default: both"
    )
    parser.add_argument("--repetitions", type=int, default=7, metavar="N", help="of each, in turn (default: 7)")
    console.add_threads(parser)
    parser.add_argument(
        "--json", type=console.output_file, metavar="FILE", help="also keep the values there; others that it holds stay"
    )
    parser.add_argument(
        "--figure",
        type=console.output_file,
        metavar="FILE",
        help="draw all values of --json, or those measured (.png, .svg, .pdf)",
    )


def run(options):
    if options.repetitions < 1:
        raise UserError(f"benchmark: `repetitions` must be at least 1, got {options.repetitions}. The default is 7.")

    from tqdm import tqdm

    from lossbench import atomic
    from lossbench.benchmarks import earlier_rows, scaling

    before = earlier_rows.rows(options.json)
    total = len(scaling.NAMES) * sum(len(scaling.SIZES[axis]) for axis in options.axes)
    with tqdm(total=total, unit="point", disable=None, leave=False) as bar:
        rows = scaling.measure(
            axes=options.axes,
            repetitions=options.repetitions,
            time="time" in options.what,
            with_memory="memory" in options.what,
            progress=bar.update,
        )
    if options.json:
        rows = scaling.merged(before, rows)
        atomic.write_json(options.json, {"rows": rows})
    _print(rows, scaling)
    if options.figure:
        _draw(rows, options.figure)


def _lines(rows, axis, value):
    """Name -> (sizes, values) of a cost along an axis, as far as it was measured."""
    lines = {}
    for row in sorted((row for row in rows if row["axis"] == axis and value(row)), key=lambda row: row[axis]):
        sizes, values = lines.setdefault(row["label"], ([], []))
        sizes.append(row[axis])
        values.append(value(row))
    return lines


def _milliseconds(row):
    return row.get("milliseconds", {}).get("median")


def _megabytes(row):
    return (row.get("bytes") or 0) / 1e6


def _print(rows, scaling):
    table = [["against", "head", "sizes", "ms", "grows like size ^", "MB", "grows like size ^"]]
    for axis, spoken in AXES.items():
        times, memories = _lines(rows, axis, _milliseconds), _lines(rows, axis, _megabytes)
        for label in {**times, **memories}:
            costs = [(lines.get(label, ((), ())), digits) for lines, digits in ((times, 2), (memories, 0))]
            points = sorted({size for (sizes, _), _ in costs for size in sizes})
            cells = [spoken, label, " ".join(map(str, points))]
            for (sizes, values), digits in costs:
                at = {size: f"{value:.{digits}f}" for size, value in zip(sizes, values)}
                power = f"{scaling.exponent(sizes, values):.2f}" if len(values) > 1 else ""
                cells += [" ".join(at.get(size, "-") for size in points) if at else "", power]
            table.append(cells)
    console.print_columns(table)


def _draw(rows, path):
    from lossbench.plots import save
    from lossbench.plots.drawing.scaling import scaling

    panels = []
    for value, ylabel in ((_milliseconds, "ms a step"), (_megabytes, "MB beside parameters")):
        for axis, spoken in AXES.items():
            lines = _lines(rows, axis, value)
            if lines:
                panels.append({"xlabel": spoken, "ylabel": ylabel, "lines": lines})
    save(scaling(panels, title="Training step of a head"), path)
