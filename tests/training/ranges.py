"""What `test_ranges.py` runs under `mpiexec`: heads whose classes are shared out; alone: the whole heads."""

import json
import sys

import numpy as np

from lossbench import heads
from lossbench._mxnet import mx
from lossbench.experiment import distributed
from lossbench.regularizers import CenterLoss
from lossbench.training import optimizers, step
from lossbench.training.communication import ALONE, MPI
from lossbench.training.position import Position
from lossbench.training.ranges import Ranges, range_of
from tests.training.cases import Normalized

C, D = 11, 8
VARIANTS = {
    "softmax": (heads.Softmax, {"use_bias": True}),
    "l2_softmax": (heads.L2Softmax, {"scale": 4.0, "learn_scale": True}),
    "normface": (heads.NormFace, {"scale": 4.0, "learn_scale": True}),
    "am_softmax": (heads.AMSoftmax, {"scale": 8.0}),
    "arcface": (heads.ArcFace, {"scale": 8.0, "sub_centers": 2}),
    "combined_margin": (heads.CombinedMargin, {"scale": 8.0, "angle_factor": 1.2}),
    "adaface": (heads.AdaFace, {"scale": 8.0, "momentum": 0.5}),
    "magface": (heads.MagFace, {"scale": 8.0, "lower_norm": 0.1, "upper_norm": 5.0}),
    "circle": (heads.CircleLoss, {"scale": 16.0}),
    "l_softmax": (heads.LSoftmax, {"margin": 2}),
    "a_softmax": (heads.ASoftmax, {"margin": 3, "beta": 1.0}),
    "lgm": (heads.LGM, {"variance": "diagonal"}),
}


def batches(steps=4, size=10):
    """The last one has fewer images than there are ranks."""
    rng = np.random.default_rng(2)
    for number in range(steps):
        count = 2 if number == steps - 1 else size
        labels = rng.integers(0, C, count).astype(np.int32)
        yield rng.normal(size=(count, 1, 8, 8)).astype(np.float32), labels


def trained(name, communicator=ALONE):
    """Parameters and optimizer state after some steps, their losses and right answers: NumPy arrays by name."""
    mx.random.seed(5)
    block, options = VARIANTS[name]
    first, end = range_of(C, communicator.rank, communicator.size)
    is_shared = communicator.size > 1
    head = block(end - first if communicator.rank else C, D, **options)
    window = head.of_classes(end - first) if is_shared and not communicator.rank else None
    if window is not None:
        for parameter in head.collect_params().values():
            parameter.grad_req = "null"
    center = CenterLoss(C, D, loss_weight=0.1)
    weights = np.linspace(0.5, 2, C)
    objective = step.Objective(Normalized(False), head, [center], window=window, loss_weight=0.7, class_weights=weights)
    objective.initialize(mx.init.Xavier(), ctx=[mx.cpu()])
    declared = [{**group, "pattern": "centers"} for group in center.default_groups()]
    values = {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-3}
    groups = optimizers.split(objective.trained_parameters(), name="nag", declared=declared, **values)
    trainer = step.Trainer(
        objective,
        optimizers.Optimizers(groups, [mx.cpu()]),
        [mx.cpu()],
        rate_factor=lambda number: 1.0,
        scheduled={"head.margin": lambda number: 0.1 + 0.1 * number} if name == "am_softmax" else {},
        communicator=communicator,
        ranges=Ranges(objective, C, communicator, mx.cpu()) if is_shared else None,
    )
    distributed.share(communicator, trainer, Position())
    rows = []
    for number, (image, label) in enumerate(batches()):
        own = np.array_split(image, communicator.size)[communicator.rank]
        trainer.update([(own, label)], 1, number)
        rows.append(trainer.read_sums(1, number + 1))
    distributed.collect(trainer)
    states, _ = distributed.states(trainer)
    found = {name: parameter.list_data()[0].asnumpy() for name, parameter in objective.named_parameters().items()}
    return {**found, **{name: array.asnumpy() for name, array in states.items()}, "sums": np.array(rows)}


def main(folder):
    with MPI() as mpi:
        for name in VARIANTS:
            found = trained(name, mpi)
            if mpi.rank == 0:
                np.savez(f"{folder}/{name}.npz", **found)
            else:
                rows = found["head.mean" if name == "lgm" else "head.weight"].shape[0]
                shares = mpi.gather([rows])[:, 0].tolist()
            if mpi.rank == 0:
                shares = mpi.gather([0])[:, 0].tolist()
                with open(f"{folder}/{name}.json", "w") as file:
                    json.dump(shares[1:], file)


if __name__ == "__main__":
    main(sys.argv[1])
