"""`eval.py`: metrics of a trained run."""

from __future__ import annotations

import sys

from lossbench import console

DESCRIPTION = """\
Evaluate a trained run. No label reaches the network. Values are printed, and merged into the run's metrics.json.

methods:
"""
ALL = "all"


@console.guarded
def main(arguments, prog):
    from lossbench.config.evaluation import METHODS

    parser = console.parser(prog, DESCRIPTION + console.explained({**METHODS, ALL: "all of them"}))
    console.add_run(parser)
    parser.add_argument("--split", default="test", choices=("test", "validation", "train"), help="default: test")
    parser.add_argument(
        "--method",
        action="append",
        choices=(*METHODS, ALL),
        metavar="M",
        help="one of the methods above; may be given several times (default: those of the config)",
    )
    parser.add_argument("--per-class", action="store_true", help="also print the accuracy of every class")
    parser.add_argument("--json", metavar="FILE", help="also write the values there")
    options = parser.parse_args(arguments)

    from lossbench import atomic, experiment

    opened = experiment.open_run(options.run, options.checkpoint, device=options.device)
    for sentence in opened.damage:
        print(f"Passed over: {sentence}", file=sys.stderr)
    methods = options.method or opened.model.settings.evaluation.methods
    methods = list(METHODS) if ALL in methods else list(dict.fromkeys(methods))
    measured = opened.measure(options.split, methods, show=sys.stderr.isatty(), per_class=options.per_class)
    print(
        f"{options.run}, checkpoint {options.checkpoint} (epoch {opened.epoch}, step {opened.step}), {options.split}:"
    )
    console.print_table(measured, opened.model.dataset.class_names)
    if options.json:
        atomic.write_json(options.json, measured)
