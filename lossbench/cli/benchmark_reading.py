"""`benchmark.py reading`: a large record file, streamed, beside MXNet's and PyTorch's own way."""

from __future__ import annotations

from lossbench import console
from lossbench.errors import UserError

HELP = "reading a large record file: start, images/s of a core, memory"
NOTE = """\
JPEG records of 112 x 112, made in a temporary folder (or those of --records). Each contestant decodes with one thread
or worker, mirrors at random and normalizes batches of 128 in a random order, in a process of its own. Images/s are
those of a second of processor time, all threads and processes counted, so that other work changes them little. The
first start of lossbench scans the file; later ones take what was kept of the scan.
"""


def add_arguments(parser):
    parser.epilog = NOTE
    parser.formatter_class = console.HelpFormatter
    parser.add_argument("--records", metavar="FILE", help="a .rec file of 112 x 112 (default: one that is made)")
    parser.add_argument("--count", type=int, default=100_000, metavar="N", help="records to make (default: 100000)")
    parser.add_argument("--images", type=int, default=20_000, metavar="N", help="read in a turn (default: 20000)")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="of each, in turn (default: 3)")
    parser.add_argument("--json", type=console.output_file, metavar="FILE", help="also write the values there")


def run(options):
    if min(options.count, options.images, options.repetitions) < 1 or options.count < 1000:
        raise UserError(
            "benchmark: `images` and `repetitions` must be at least 1, and `count` at least 1000. See --help."
        )

    import tempfile
    from pathlib import Path

    from tqdm import tqdm

    from lossbench import atomic
    from lossbench.benchmarks import reading
    from lossbench.benchmarks.timing import spoken

    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.records or Path(folder, "made.rec"))
        if options.records is None:
            reading.write_records(path, options.count)
        size = path.stat().st_size
        total = len(reading.CONTESTANTS) * options.repetitions
        with tqdm(total=total, unit="turn", disable=None, leave=False) as bar:
            rows = reading.measure(path, images=options.images, repetitions=options.repetitions, progress=bar.update)
    table = [["", "start, seconds", "images/s of a core", "memory, MB", "growth, MB", "n"]]
    for row in rows:
        name = reading.CONTESTANTS[row["name"]]
        if "missing" in row:
            table.append([name, row["missing"], "", "", "", ""])
            continue
        bytes_ = [{key: value / 1e6 for key, value in row[name].items() if key != "n"} for name in ("memory", "growth")]
        cells = [spoken(row["start"], 1), spoken(row["rate"], 0), *(spoken(one, 0) for one in bytes_)]
        table.append([name, *cells, str(row["rate"]["n"])])
    console.print_columns(table)
    if options.json:
        atomic.write_json(options.json, {"bytes": size, "rows": rows})
