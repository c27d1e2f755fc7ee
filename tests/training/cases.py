"""Small trainings in parts, for devices of one process and for ranks alike."""

import numpy as np

from lossbench._mxnet import mx
from lossbench.experiment import distributed
from lossbench.heads import Softmax
from lossbench.regularizers import CenterLoss
from lossbench.training import loop, optimizers, step
from lossbench.training.communication import ALONE
from lossbench.training.position import Position
from lossbench.training.sampling import Sampling


class Normalized(mx.gluon.nn.HybridSequential):
    embedding_size = 8

    def __init__(self, normalized):
        super().__init__()
        with self.name_scope():
            self.add(mx.gluon.nn.Conv2D(4, 3, in_channels=1))
            if normalized:
                self.add(mx.gluon.nn.BatchNorm(in_channels=4))
            self.add(mx.gluon.nn.Activation("relu"), mx.gluon.nn.Flatten(), mx.gluon.nn.Dense(8, in_units=144))


class Batches:
    """As `data.Batches` hands them out; the last one may be short."""

    def __init__(self, batch_size, count=60, part=(0, 1)):
        self.part = part
        rng = np.random.default_rng(4)
        self.images = rng.normal(size=(count, 1, 8, 8)).astype(np.float32)
        self.labels = rng.integers(0, 3, count).astype(np.int32)
        self.batch_size = batch_size

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def updates(self, each):
        return len(self) // each

    def epoch(self, epoch, start=0):
        for k in range(start, len(self)):
            rows = slice(k * self.batch_size, (k + 1) * self.batch_size)
            number, count = self.part
            yield np.array_split(self.images[rows], count)[number], self.labels[rows]


CASES = {
    "plain": {},
    "normalized": {"normalized": True},
    "center": {"regularizers": True},
    "clipped": {"clip_global_norm": 0.05},
    "accumulated": {"regularizers": True, "batch_size": 10, "accumulate_steps": 2},
    "uneven": {"normalized": True, "regularizers": True, "batch_size": 26},
    "empty": {"normalized": True, "regularizers": True, "batch_size": 29},  # the last batch has 2 images
    "adam": {"optimizer": "adamw"},
    "unlike": {"regularizers": True, "unlike": True},
    "sampled": {"regularizers": True, "batch_size": 10, "accumulate_steps": 2, "computed": 4, "unlike": True},
}


def trained(
    devices,
    communicator=ALONE,
    *,
    normalized=False,
    regularizers=False,
    batch_size=20,
    accumulate_steps=1,
    clip_global_norm=None,
    optimizer="nag",
    computed=None,
    unlike=False,
    epochs=3,
    read=-1,
):
    """Train, and return the parameters on a device (the last) and the history, as NumPy arrays by name.

    `unlike` has every rank draw other parameters, before rank 0 gives them its own.
    """
    mx.random.seed(5 + unlike * communicator.rank)
    head, window, whole = Softmax(5, 8, use_bias=True), None, None
    if computed:
        window, whole = head.of_classes(computed), {"head.weight": head.weight, "head.bias": head.bias}
    center = [CenterLoss(5, 8, loss_weight=0.1)] if regularizers else []
    objective = step.Objective(Normalized(normalized), head, center, window=window)
    objective.initialize(mx.init.Xavier(), ctx=devices)
    named = objective.named_parameters()
    declared = [{**group, "pattern": "centers"} for block in center for group in block.default_groups()]
    options = {"momentum": 0.9} if optimizer == "nag" else {}
    values = {"learning_rate": 0.05, "clip_global_norm": clip_global_norm, **options}
    groups = optimizers.split(objective.trained_parameters(), name=optimizer, declared=declared, **values)
    trainer = step.Trainer(
        objective,
        optimizers.Optimizers(groups, devices, whole),
        devices,
        rate_factor=lambda number: 1 / (1 + number),
        scheduled={},
        accumulate_steps=accumulate_steps,
        communicator=communicator,
        sampling=Sampling(head, window, 0) if window else None,
    )
    position = distributed.share(communicator, trainer, Position()) if unlike else Position()
    rows = []
    hooks = loop.Hooks(epoch_ended=rows.append)
    batches = Batches(batch_size, part=(communicator.rank, communicator.size))
    loop.fit(trainer, batches, position, epochs=epochs, hooks=hooks)
    found = {name: parameter.list_data()[read].asnumpy() for name, parameter in named.items()}
    return {**found, "loss": np.array([row["loss"] for row in rows]), "right": np.array([r["accuracy"] for r in rows])}
