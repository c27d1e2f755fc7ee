"""Sweeps and their runs made by hand: as they are written, in a moment, with the values that a test wants."""

import json

import numpy as np

from lossbench import config, sweep
from lossbench.runs.environment import processor
from tests.report.made import ENVIRONMENT

EXPERIMENT = """\
data: {{source: synthetic, num_classes: 4, validation_fraction: 0.1}}
backbone: {{name: lenet, embedding_size: 2}}
head: {head}
optimizer: {{name: nag, learning_rate: 0.1}}
trainer: {{epochs: 2}}
"""
HEADS = {"softmax": "{name: softmax}", "lgm": "{name: lgm, margin: 0.5}", "normface": "{name: normface, scale: 10}"}
HERE = {"processor": processor(), "omp_num_threads": "2", "precision": "float32"}


def experiments(folder):
    """A config for each head."""
    for name, head in HEADS.items():
        (folder / f"{name}.yaml").write_text(EXPERIMENT.format(head=head))


def plan(folder, text):
    """Write a sweep file beside the configs and load it."""
    experiments(folder)
    (folder / "sweep.yaml").write_text(text)
    return sweep.load(folder / "sweep.yaml")


def finish(out, planned, measured, *, checkpoints=("last",), seconds=10.0, arrays=None, environment=None):
    """Write a finished run.

    Parameters
    ----------
    measured : dict
        Split -> values.
    arrays : dict, optional
        Name of a file in `evaluation/` without its ending -> (predicted, label).
    environment : dict, optional
        What differs from a float32 run of this machine.
    """
    folder = out / planned.folder
    (folder / "evaluation").mkdir(parents=True)
    (folder / "config.yaml").write_text(config.dump(planned.settings))
    epochs = planned.settings.trainer.epochs
    rows = [{"epoch": k, "step": 5 * k, "loss": 1 / k, "seconds": seconds} for k in range(1, epochs + 1)]
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = {"epoch": epochs, "step": 5 * epochs, **measured}
    (folder / "metrics.json").write_text(json.dumps(dict.fromkeys(checkpoints, entry)))
    (folder / "environment.json").write_text(json.dumps({**ENVIRONMENT, **HERE, **(environment or {})}))
    for name, (predicted, label) in (arrays or {}).items():
        np.savez(folder / "evaluation" / f"{name}.npz", predicted=predicted, label=label)
    return folder
