"""`lossbench new-loss`: the first file of a loss of one's own, with its test."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from lossbench import console
from lossbench.errors import UserError

DESCRIPTION = """\
Write NAME.py, a plugin with a working loss to change, and test_NAME.py, which holds it to the contract of losses.
"""
EXAMPLES = """\
examples:
  lossbench new-loss my_loss
  python -m pytest test_my_loss.py
  lossbench train softmax_digits --plugin my_loss.py head='{name: my_loss}' optimizer.learning_rate=0.01
"""
LOSS = '''\
"""A loss of my own."""

from lossbench import Head, ops
from lossbench.options import Number


class {class_name}(Head):
    r"""Softmax cross-entropy with a margin on the true class's logit.

    .. math:: L = CE(z \\text{{ with }} z_y - m, y), \\qquad z_j = w_j \\cdot x
    """

    metric = "euclidean"  # how embeddings are compared: "cosine" where the loss sees their directions alone

    options = {{
        "margin": Number(
            0.5, "taken off the true class's logit", at_least=0, scheduled=True, way_out="0 is plain softmax."
        ),
    }}

    def setup(self):
        self._class_parameter("weight")

    def logits(self, F, embedding, weight):
        """Scores (B, C): no margin, no label."""
        return ops.inner_product(F, embedding, weight, self.num_classes)

    def loss(self, F, embedding, label, weight, margin):
        """Loss (B,), one per sample, and the scores (B, C)."""
        logits = self.logits(F, embedding, weight)
        true_logit = F.broadcast_sub(ops.true_class(F, logits, label), margin)
        return self.cross_entropy(F, logits, label, true_logit), logits

    def prototypes(self):
        """One point per class (C, D)."""
        return self.weight.list_data()[0].copy()


HEADS = {{"{name}": {class_name}}}
'''
TEST = '''\
"""The contract of losses, and the formula once more in NumPy."""

import numpy as np
from lossbench.testing import check_head

from {name} import {class_name}


def reference(embedding, label, parameters, margin=0.5, **options):
    """Loss (B,) and logits (B, C) in float64."""
    logits = embedding @ parameters["weight"].T
    trained = logits.copy()
    trained[np.arange(len(label)), label] -= parameters["margin"][0]
    loss = np.log(np.exp(trained).sum(axis=1)) - trained[np.arange(len(label)), label]
    return loss, logits


def test_{name}():
    check_head({class_name}, reference, options=[{{}}, {{"margin": 2.0}}])
'''


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION, EXAMPLES)
    parser.add_argument("name", metavar="NAME", help="name of the loss in configs, such as my_loss")
    parser.add_argument(
        "--folder", type=console.output_folder, default=".", metavar="DIR", help="where to write (default: here)"
    )
    options = parser.parse_args(arguments)
    if not re.fullmatch("[a-z][a-z0-9_]*", options.name) or keyword.iskeyword(options.name):
        raise UserError(f"new-loss: NAME must be a Python name in lower case, got {options.name!r}. Try my_loss.")
    from lossbench import plugins, registry

    if options.name in {**registry.HEADS.table(), **registry.REGULARIZERS.table()}:
        raise UserError(
            f"new-loss: NAME must not be a loss that there is already, got {options.name!r}. Try my_{options.name}."
        )
    folder = Path(options.folder)
    class_name = "".join(word.capitalize() for word in options.name.split("_"))
    texts = {f"{options.name}.py": LOSS, f"test_{options.name}.py": TEST}
    for file in texts:
        if (folder / file).exists():
            raise UserError(f"new-loss: {folder / file} must not exist, but it does. Choose another name or --folder.")
    if plugins.hides_a_module(options.name):
        raise UserError(
            f"new-loss: NAME must not be a module that Python finds, which the file would hide, got {options.name!r}. "
            f"Try my_{options.name}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text.format(name=options.name, class_name=class_name), encoding="utf-8")
        print(folder / file)
