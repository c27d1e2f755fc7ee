"""`eval.py`: metrics of a trained run."""

from __future__ import annotations

import sys

from lossbench import console

METHODS = ("softmax", "knn", "centers", "class_means")
DESCRIPTION = """\
Evaluate a trained run. No label reaches the network.

Methods, all of them accuracies unless another is named:
  softmax      the largest logit; the head's own decision, without margin
  knn          majority of the k nearest training embeddings (unaugmented; evaluation.k, default 10)
  centers      the nearest learned centre: the center loss's if there is one, else the head's prototypes (by cosine for
               normalised heads, by density for L-GM). What center-loss ports call "KNN search" is this.
  class_means  the nearest mean of the training embeddings of a class
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    console.add_run(parser)
    parser.add_argument("--split", default="test", choices=("test", "validation", "train"), help="default: test")
    parser.add_argument(
        "--method",
        action="append",
        choices=METHODS,
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
