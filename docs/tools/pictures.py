"""Train four small networks on the digits and draw the pictures of docs/plots.md: some minutes on two cores.

    python docs/tools/pictures.py [--runs DIR] [--out DIR]

Runs that are there and finished are taken as they are.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import figures  # noqa: E402

from lossbench.cli import main as lossbench  # noqa: E402

GENTLY = ["backbone.embedding_size=2", "optimizer.learning_rate=0.02"]
RUNS = {
    "lgm": ["lgm_digits", "backbone.embedding_size=2"],
    "softmax": ["softmax_digits", *GENTLY],
    "center": ["softmax_digits", *GENTLY, "regularizers=[{name: center, loss_weight: 0.1}]"],
    "lgm_16": ["lgm_digits"],
}
PICTURES = {  # file below docs/images: run, kind, file that the kind draws
    "plot_training.png": ("lgm", "training", "training"),
    "plot_embedding.png": ("lgm", "embedding", "embedding-test"),
    "plot_embedding_center.png": ("center", "embedding", "embedding-test"),
    "plot_embedding_pca.png": ("lgm_16", "embedding", "embedding-test"),
    "plot_circle.png": ("softmax", "circle", "circle-test"),
    "plot_decisions.png": ("lgm", "decisions", "decisions-test"),
    "plot_animation.gif": ("lgm", "animation", "animation-test"),
    "plot_angles.png": ("softmax", "angles", "angles"),
    "plot_angles_per_class.png": ("softmax", "angles-per-class", "angles-per-class"),
    "plot_distances.png": ("lgm", "distances", "distances"),
    "plot_norms.png": ("softmax", "norms", "norms"),
    "plot_target_logit.png": ("lgm", "target-logit", "target-logit"),
    "plot_confusion.png": ("lgm_16", "confusion", "confusion-test"),
    "plot_roc.png": ("lgm_16", "roc", "roc-verification-test"),
}


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default="runs", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--out", default=ROOT / "docs/images", type=pathlib.Path, metavar="DIR")
    options = parser.parse_args(arguments)
    for name, run in RUNS.items():
        ask("train", *run, "--run-dir", str(options.runs / name), "--resume")
    ask("eval", "--run", str(options.runs / "lgm_16"), "--method", "verification")
    for file, (name, kind, drawn) in PICTURES.items():
        ask("plot", str(options.runs / name), "--kinds", kind)
        picture = shutil.copyfile(
            options.runs / name / "plots" / f"{drawn}{pathlib.Path(file).suffix}", options.out / file
        )
        if picture.suffix == ".png":
            figures.shrink(picture, colors=256)


def ask(*arguments) -> None:
    """Do what a command does, or end with its status."""
    status = lossbench(list(arguments))
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
