"""`lossbench new-config`: a commented config for a folder of one's own data."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from lossbench import console
from lossbench.errors import UserError

DESCRIPTION = """\
Look at a folder of images, records, IDX files or tables, say what was found, and write a config that trains on it.
"""
EXAMPLES = """\
examples:
  lossbench new-config --data photos
  lossbench train --config photos.yaml --quick
"""
CONFIG = """\
# Written by lossbench new-config. Every other key has its default: lossbench train --config FILE --show
data: # {found}
{data}
  validation_fraction: 0.1 # held out to choose the best epoch, where the data bring no validation images
  augment:
    pad: {pad} # zero pixels around the image before a random crop back to size
    flip: {flip} # mirror left to right; not where that changes the class, as with letters

backbone:
  name: {backbone} # lenet for small gray images, resnet20 to resnet110, or a network of gluoncv's
  embedding_size: 64

head:
  name: softmax # `lossbench losses` lists the others

optimizer:
  name: adam
  learning_rate: 0.002 # the highest of the schedule

schedule:
  name: one_cycle

trainer:
  epochs: 30

evaluation:
  methods: [softmax, knn]
  pairs: {pairs} # of test images, drawn by a verification; half of them are of one class
"""
COMMENTS = {
    "root": "folder that holds the data",
    "image_size": "images are brought to this side, or [height, width], in pixels",
    "channels": "1: gray, 3: color",
    "batch_size": "images a step",
    "test_fraction": "share of the images that is the test set, which has no place of its own",
    "num_classes": "the largest label in the file, and one",
}


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION, EXAMPLES)
    parser.add_argument("--data", required=True, metavar="FOLDER", help="folder of the data")
    parser.add_argument(
        "--out",
        type=console.output_file,
        metavar="FILE",
        help="config to write, which must be new (default: FOLDER's name.yaml)",
    )
    options = parser.parse_args(arguments)

    from lossbench import config, experiment

    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(options.data).resolve().name).strip("._-") or "own"
    path = Path(options.out or f"{name}.yaml")
    if path.exists():
        raise UserError(f"new-config: {path} must be new, got a file that is there. Choose another with --out.")
    proposal = experiment.propose(options.data)
    for sentence in proposal.found:
        print(sentence)
    text = _text(proposal)
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
    try:
        config.load(path)
    except UserError:  # of its name
        path.unlink()
        raise
    command = shlex.join(["lossbench", "train", "--config", str(path), "--quick"])
    print(f"{path} is written. Try it for a minute: {command}")


def _text(proposal) -> str:
    from lossbench.config import yaml_file

    lines = []
    for key, value in proposal.section.items():
        written = yaml_file.write({key: value}).rstrip("\n")
        comment = f" # {COMMENTS[key]}" if key in COMMENTS and "\n" not in written else ""
        lines += [f"  {line}" for line in (written + comment).splitlines()]
    found = "".join(letter if letter.isprintable() else "?" for letter in proposal.found[0])
    is_small = proposal.channels == 1 and proposal.side <= 32
    return CONFIG.format(
        found=found,
        data="\n".join(lines),
        pad=max(1, proposal.side // 8),
        flip="false" if proposal.channels == 1 else "true",
        pairs=proposal.pairs,
        backbone="lenet" if is_small else "resnet20",
    )
