"""Draw the test embeddings of finished runs in the plane beside each other, three in a row.

    python docs/tools/beside.py docs/images/l_softmax_margins.png sweeps/l_softmax_pictures/*/seed-0

Each has the name of its folder's folder, a sweep's variant, and its accuracy on the test images after the last epoch.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import figures  # noqa: E402
from PIL import Image  # noqa: E402

from lossbench import plots  # noqa: E402
from lossbench.runs import Run  # noqa: E402

COLUMNS, GAP = 3, 14


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, metavar="FILE.png")
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN")
    options = parser.parse_args(arguments)
    drawn = [picture(Run(path)) for path in options.runs]
    wide, high = (length + GAP for length in drawn[0].size)
    rows = -(-len(drawn) // COLUMNS)
    whole = Image.new("RGB", (wide * min(COLUMNS, len(drawn)), high * rows), "white")
    for k, each in enumerate(drawn):
        whole.paste(each, (wide * (k % COLUMNS), high * (k // COLUMNS)))
    whole.save(options.out)
    figures.shrink(options.out, colors=256)


def picture(run) -> Image.Image:
    """The embeddings that training kept of its last epoch, with what stands for each class."""
    kept = np.load(run.path / "embeddings" / f"epoch-{run.history[-1]['epoch']}.npz")
    kind = str(kept["prototype_kind"])
    figure = plots.scatter(
        kept["test_embedding"],
        kept["test_label"],
        {"prototypes": kept["prototypes"], "metric": "density" if kind == "mean" else "euclidean"},
        title=f"{run.path.parent.name}: {100 * run.metrics['last']['test']['accuracy']:.2f} %",
        directions=kind == "weight",
    )
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=75)
    return Image.open(content)


if __name__ == "__main__":
    main()
