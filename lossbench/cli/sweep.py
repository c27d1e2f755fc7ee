"""`sweep.py`: many runs, compared."""

from __future__ import annotations

import sys

from lossbench import console
from lossbench.errors import UserError

DESCRIPTION = """\
Train every variant of a sweep file with every seed and on every data set, and compare them seed by seed.

A run that is finished is not trained again, an interrupted one goes on, a failed one is noted with its reason and does
not stop the others. The same command goes on after Ctrl-C or a kill, and trains what is new in a file that has grown.
Where the file has `tune:`, settings are searched on validation images first, with as many trials for every variant.

The folder gets README.md, runs.csv, results.json, report.html and a drawing of the paired differences.
"""
EXAMPLES = """\
examples:
  sweep.py configs/sweeps/digits.yaml --dry-run               (the runs, what there is of each, how long they take)
  sweep.py digits                                             (by name, as lossbench has it)
  sweep.py configs/sweeps/digits.yaml --only "lgm*" --jobs 2
  sweep.py configs/sweeps/digits.yaml --publish docs/results/digits
  sweep.py configs/sweeps/digits.yaml --out docs/results/digits --tables
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION, EXAMPLES)
    parser.add_argument("sweep", metavar="FILE", help="sweep file, or the name of one that lossbench has")
    parser.add_argument("--out", metavar="DIR", help="the sweep's folder (default: sweeps/<name>)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help='variants or runs, such as "lgm*" or "lgm*/seed-0"; repeated: what any of them names',
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs at a time, each with its share of the cores"
    )
    parser.add_argument("--retry-failed", action="store_true", help="train those again that failed")
    console.add_device(parser)
    todo = parser.add_mutually_exclusive_group()
    todo.add_argument(
        "--dry-run", action="store_true", help="list the runs with their estimated time; a few steps are timed for it"
    )
    todo.add_argument("--tables", action="store_true", help="train nothing; write the tables of what is there")
    parser.add_argument("--publish", metavar="DIR", help="then copy the runs' small files and the tables there")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    if options.publish and options.dry_run:
        parser.error("--publish does not go with --dry-run")

    from lossbench import sweep

    plan = sweep.load(options.sweep)
    work = sweep.Work(plan, options.out or plan.home, options.only or ["*"], options.retry_failed)
    sweep.require_own(work.out)
    if options.publish:
        sweep.require_target(work.out, options.publish)
    if options.tables and not work.out.is_dir():
        raise UserError(f"sweep: --tables must find the sweep's folder, got {work.out}, which is not there.")
    notes = []
    try:
        if options.dry_run:
            return _list(sweep, work, options)
        if not options.tables:
            notes = sweep.train(work, jobs=options.jobs, device=options.device)
    except sweep.Interrupted as interrupted:
        if not options.dry_run:
            print("Interrupted; what was under way is saved. Go on with the same command.", file=sys.stderr)
        return 128 + interrupted.signal
    status = _finish(sweep, work, options)
    for note in notes:
        console.note(note)
    return console.FAILED if notes else status


def _list(sweep, work, options):
    timing, reasons = sweep.pace(work, jobs=options.jobs, device=options.device)
    for reason in reasons:
        console.note(f"Not timed: {reason}")
    console.print_columns(sweep.overview(work, options.jobs, timing))
    return console.DONE


def _finish(sweep, work, options):
    results = work.results()
    written = sweep.write(results, work.out)
    if options.publish:
        size = sweep.publish(results, work.out, options.publish)
        written = sweep.write(sweep.Work(work.plan, options.publish, work.only).results(), options.publish)
        print(f"{options.publish}: {size / 1024:,.0f} KiB of the runs' small files")
    for line in sweep.summary(results):
        print(line)
    print(f"Written: {', '.join(map(str, written))}")
    failed = [f"{row.planned.name} failed: {row.state.reason}" for row in results.rows if row.state.kind == "failed"]
    failed += [f"{name}: every trial failed, and nothing of it is trained" for name in results.hopeless]
    for sentence in failed:
        console.note(sentence)
    if failed and not (options.retry_failed or options.tables):
        console.note("What failed is trained again with --retry-failed.")
    return console.FAILED if failed and not options.tables else console.DONE
