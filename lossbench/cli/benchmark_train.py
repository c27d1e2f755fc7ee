"""`benchmark.py train`: images/s of training."""

from __future__ import annotations

from lossbench import console

HELP = "images/s of whole training beside the bare step"
ROWS = {"whole": "whole training, images/s", "bare": "bare step, images/s", "share": "whole / bare"}


def add_arguments(parser):
    parser.add_argument("--config", required=True, metavar="FILE", help="experiment, such as configs/lgm_cifar10.yaml")
    parser.add_argument("--steps", type=int, default=50, metavar="N", help="steps of one repetition (default: 50)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="of each, in turn (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="also write the values there")
    console.add_device(parser)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="values in place of the config's")


def run(options):
    from lossbench import config

    settings = config.load(options.config, options.overrides)

    from tqdm import tqdm

    from lossbench import atomic
    from lossbench.benchmarks import training

    with tqdm(total=2 * (options.repetitions + 1), unit="run", disable=None, leave=False) as bar:
        measured = training.measure(
            settings, steps=options.steps, repetitions=options.repetitions, device=options.device, progress=bar.update
        )
    print(f"{settings.name}, batch {settings.data.batch_size}, {options.steps} steps, n = {options.repetitions}:")
    rows = [["", "median", "min", "max"]]
    for name, label in ROWS.items():
        digits = 3 if name == "share" else 0
        rows.append([label, *(f"{measured[name][key]:.{digits}f}" for key in ("median", "min", "max"))])
    console.print_columns(rows, indent="  ")
    if options.json:
        atomic.write_json(options.json, measured)
