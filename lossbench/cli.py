"""What scripts/*.py and the `lossbench` command call: arguments in, experiment out, errors as one line.

Nothing here imports MXNet before a command runs, so that `--help` and a mistake in a config answer at once.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

from lossbench import console

EVALUATION_METHODS = ("softmax", "knn", "centers", "class_means")

_TRAIN = """\
Train a backbone with a loss head as a config file describes, then evaluate it on the test set.

Everything is written to a run folder: the resolved config, one history row an epoch, checkpoints, metrics and plots.
Ctrl-C finishes the step and saves; --resume goes on from there as if nothing had happened.
"""
_TRAIN_EXAMPLES = """\
examples:
  train.py --config configs/lgm_digits.yaml
  train.py --config configs/lgm_cifar10_short.yaml data.root=/data/cifar10 --seed 1
  train.py --config configs/lgm_mnist.yaml head.margin=0.5 --run-dir runs/margin-0.5
  train.py --config configs/lgm_cifar10.yaml --show          (the resolved config and the parameter groups)
  train.py --config configs/lgm_cifar10.yaml --resume        (go on after an interruption)
"""
_EVAL = """\
Evaluate a trained run. No label reaches the network.

Methods, all of them accuracies unless another is named:
  softmax      the largest logit; the head's own decision, without margin
  knn          majority of the k nearest training embeddings (unaugmented; evaluation.k, default 10)
  centers      the nearest learned centre: the center loss's if there is one, else the head's prototypes (by cosine for
               normalised heads, by density for L-GM). What center-loss ports call "KNN search" is this.
  class_means  the nearest mean of the training embeddings of a class
"""
_PREDICT = """\
Name the class of images with a trained run.

A row per image: class, probability (softmax of the logits) and, for L-GM, the log density of the likeliest class, which
is low for images unlike any that was trained on.
"""
_EMBED = """\
Write the embeddings of a split as a NumPy archive: arrays embedding (N, D), logits (N, C), label (N,) and the class
prototypes (C, D).
"""
_BENCHMARK = """\
Measure on this machine. What is compared is interleaved in one process; median and spread are printed. Nothing else
should run meanwhile.
"""


@console.guarded
def train(arguments, prog):
    parser = console.parser(prog, _TRAIN, _TRAIN_EXAMPLES)
    parser.add_argument("--config", required=True, metavar="FILE", help="experiment, such as configs/lgm_cifar10.yaml")
    parser.add_argument("--run-dir", metavar="DIR", help="where to write (default: runs/<config name>/seed-<seed>)")
    parser.add_argument("--resume", action="store_true", help="go on with the unfinished run in the run folder")
    parser.add_argument("--seed", type=int, metavar="N", help="the same as seed=N")
    parser.add_argument(
        "--show", action="store_true", help="print the resolved config and parameter groups; do not train"
    )
    console.add_device(parser)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="values in place of the config's")
    options = parser.parse_intermixed_args(arguments)

    from lossbench import config

    overrides = [*options.overrides, *([f"seed={options.seed}"] if options.seed is not None else [])]
    settings = config.load(options.config, overrides)
    if options.show:
        return _show(settings, options.device)
    run_dir = options.run_dir or f"runs/{settings.name}/seed-{settings.seed}"

    from lossbench import experiment

    result = experiment.run(
        settings, run_dir, resume=options.resume, device=options.device, hint=_shorter_config(options.config)
    )
    if result.finished_before:
        print(
            f"{run_dir} holds this run, finished; nothing to do. Another seed: --seed N; another folder: --run-dir DIR."
        )
    elif result.signal:
        print(
            f"Interrupted; everything is saved in {run_dir}. Go on with the same command and --resume.", file=sys.stderr
        )
        return 128 + result.signal
    console.print_metrics(result.metrics)
    return console.DONE


def _shorter_config(path) -> str:
    path = pathlib.Path(path)
    shorter = path.with_name(f"{path.stem}_short{path.suffix}")
    return f"{shorter} is a shorter recipe." if shorter.exists() else ""


def _show(settings, device):
    from lossbench import config, experiment

    print(config.dump(settings), end="")
    print("# parameter groups")
    for line in experiment.describe_groups(settings, device):
        print(f"# {line}")


@console.guarded
def evaluate(arguments, prog):
    parser = console.parser(prog, _EVAL)
    console.add_run(parser)
    parser.add_argument("--split", default="test", choices=("test", "validation", "train"), help="default: test")
    parser.add_argument(
        "--method",
        action="append",
        choices=EVALUATION_METHODS,
        help="one of the methods above; may be given several times (default: those of the config)",
    )
    parser.add_argument("--per-class", action="store_true", help="also print the accuracy of every class")
    parser.add_argument("--json", metavar="FILE", help="also write the values there")
    options = parser.parse_args(arguments)

    from lossbench import atomic, experiment

    opened = experiment.open_run(options.run, options.checkpoint, device=options.device)
    for sentence in opened.damage:
        print(f"Passed over: {sentence}", file=sys.stderr)
    methods = options.method or list(opened.model.settings.evaluation.methods)
    measured = opened.measure(options.split, methods, show=sys.stderr.isatty(), per_class=options.per_class)
    print(
        f"{options.run}, checkpoint {options.checkpoint} (epoch {opened.epoch}, step {opened.step}), {options.split}:"
    )
    names = opened.model.dataset.class_names if options.per_class else None
    console.print_table(measured, names)
    if options.json:
        atomic.write_json(options.json, measured)


@console.guarded
def predict(arguments, prog):
    parser = console.parser(prog, _PREDICT)
    console.add_run(parser)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="image files; they are brought to the run's image size"
    )
    parser.add_argument("--csv", metavar="FILE", help="also write a table there")
    options = parser.parse_args(arguments)

    from lossbench import experiment

    rows = experiment.predict(
        experiment.open_run(options.run, options.checkpoint, device=options.device), options.images
    )
    columns = list(rows[0])
    text = [[console.cell(row[column]) for column in columns] for row in rows]
    console.print_columns([columns, *text])
    if options.csv:
        import csv

        with open(options.csv, "w", newline="") as file:
            csv.writer(file).writerows([columns, *([row[column] for column in columns] for row in rows)])


@console.guarded
def embed(arguments, prog):
    parser = console.parser(prog, _EMBED)
    console.add_run(parser)
    parser.add_argument("--split", default="test", choices=("test", "validation", "train"), help="default: test")
    parser.add_argument("--out", required=True, metavar="FILE.npz", help="NumPy archive to write")
    options = parser.parse_args(arguments)

    from lossbench import experiment

    opened = experiment.open_run(options.run, options.checkpoint, device=options.device)
    count = experiment.write_embeddings(opened, options.split, options.out, show=sys.stderr.isatty())
    print(f"{count:,} embeddings of the {options.split} split: {options.out}")


@console.guarded
def benchmark(arguments, prog):
    parser = console.parser(prog, _BENCHMARK)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    kind = kinds.add_parser("train", help="images/s of whole training beside the bare step")
    kind.add_argument("--config", required=True, metavar="FILE", help="experiment, such as configs/lgm_cifar10.yaml")
    kind.add_argument("--steps", type=int, default=50, metavar="N", help="steps of one repetition (default: 50)")
    kind.add_argument("--repetitions", type=int, default=5, metavar="N", help="of each, in turn (default: 5)")
    kind.add_argument("--json", metavar="FILE", help="also write the values there")
    console.add_device(kind)
    kind.add_argument("overrides", nargs="*", metavar="key=value", help="values in place of the config's")
    options = parser.parse_args(arguments)

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
    for name, label in (
        ("whole", "whole training, images/s"),
        ("bare", "bare step, images/s"),
        ("share", "whole / bare"),
    ):
        digits = 3 if name == "share" else 0
        rows.append([label, *(f"{measured[name][key]:.{digits}f}" for key in ("median", "min", "max"))])
    console.print_columns(rows, indent="  ")
    if options.json:
        atomic.write_json(options.json, measured)


COMMANDS = {"train": train, "eval": evaluate, "predict": predict, "embed": embed, "benchmark": benchmark}


def main(arguments=None) -> int:
    """The `lossbench` command: `lossbench train …` is `scripts/train.py …`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = console.parser("lossbench", "Train and evaluate classification losses that shape the embedding space.")
    parser.add_argument("command", choices=COMMANDS, help="`lossbench COMMAND --help` explains it")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments[:1])
    return COMMANDS[options.command](arguments[1:], f"lossbench {options.command}")
