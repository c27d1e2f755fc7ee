"""What a training step costs with very many classes: all of them, a share, or all of them shared out among ranks.

A process of its own for each: it builds head and optimizer, makes two steps, and then those that are timed. The peak
of memory is that of the whole process, parameters included.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

from lossbench.benchmarks import ranks
from lossbench.benchmarks.timing import spread

WARM_UP = 2


def measure(name: str, num_classes: int, embedding_size: int, batch_size: int, shares, steps: int) -> list[dict]:
    """Cost of a step by share of the classes: `classes`, `cpu_seconds` and `seconds` (spreads), `bytes`.

    Raises
    ------
    RuntimeError
        If a process fails; with the last line of its error.
    """
    return [_apart([], name, num_classes, embedding_size, batch_size, share, steps) for share in shares]


def measure_ranks(name: str, num_classes: int, embedding_size: int, batch_size: int, count: int, steps: int) -> dict:
    """The same of one step on so many ranks that share out the classes, with what one rank sends in it, `sent`.

    Time and memory are those of the last rank; rank 0 has a head with all classes besides.
    """
    launcher = [ranks.mpiexec(), "-n", str(count)]
    return _apart(launcher, name, num_classes, embedding_size, batch_size, "ranks", steps)


def _apart(launcher, *arguments) -> dict:
    command = [*launcher, sys.executable, "-m", "lossbench.benchmarks.classes", json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {(done.stderr.strip().splitlines() or [f'status {done.returncode}'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def new_trainer(name: str, num_classes: int, embedding_size: int, computed: int, communicator):
    """A trainer whose network passes embeddings on, with Nesterov's momentum."""
    from lossbench import heads
    from lossbench._mxnet import mx
    from lossbench.training import optimizers, step
    from lossbench.training.ranges import Ranges
    from lossbench.training.sampling import Sampling

    class Given(mx.gluon.HybridBlock):
        """Embeddings in place of images; the shift has them get a gradient, as they do under a network."""

        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.shift = self.params.get("shift", shape=(1, embedding_size), init=mx.init.Zero())

        def hybrid_forward(self, F, image, shift):
            return F.broadcast_add(image, shift)

    has_ranges = communicator.size > 1
    classes = computed if has_ranges and communicator.rank else num_classes
    head, window, whole = heads.build({"name": name}, classes, embedding_size), None, None
    if computed < classes:
        window = head.of_classes(computed)
        if not has_ranges:
            whole = {f"head.{key}": getattr(head, key) for key in head.class_rows()}
        for parameter in head.collect_params().values():
            parameter.grad_req = "null"
    objective = step.Objective(Given(), head, window=window)
    objective.initialize(mx.init.Xavier())
    values = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
    groups = optimizers.split(objective.trained_parameters(), name="nag", **values)
    return step.Trainer(
        objective,
        optimizers.Optimizers(groups, [mx.cpu()], whole),
        [mx.cpu()],
        rate_factor=lambda number: 1.0,
        scheduled={},
        communicator=communicator,
        sampling=Sampling(head, window, 0) if whole else None,
        ranges=Ranges(objective, num_classes, communicator, mx.cpu()) if has_ranges else None,
    )


def main() -> None:
    import numpy as np

    from lossbench._mxnet import mx
    from lossbench.training.communication import ALONE
    from lossbench.training.ranges import range_of

    name, num_classes, embedding_size, batch_size, share, steps = json.loads(sys.argv[1])
    communicator = ranks.Counted() if share == "ranks" else ALONE
    if share == "ranks":
        first, end = range_of(num_classes, communicator.rank, communicator.size)
        computed = end - first
    else:
        computed = max(min(batch_size, num_classes), round(share * num_classes))
    trainer = new_trainer(name, num_classes, embedding_size, computed, communicator)
    rng, spent = np.random.default_rng(0), []
    for number in range(WARM_UP + steps):
        embedding = rng.standard_normal((batch_size, embedding_size), dtype=np.float32)
        label = rng.integers(0, num_classes, batch_size).astype(np.int32)
        embedding = np.array_split(embedding, communicator.size)[communicator.rank]
        communicator.sent = 0
        before = time.process_time(), time.perf_counter()
        trainer.update([(embedding, label)], 1, number)
        mx.nd.waitall()
        spent.append((time.process_time() - before[0], time.perf_counter() - before[1]))
    cpu, wall = zip(*spent[WARM_UP:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"classes": computed, "cpu_seconds": spread(cpu), "seconds": spread(wall), "bytes": peak}
    if communicator.rank == communicator.size - 1:
        print(json.dumps({**found, "sent": communicator.sent}))


if __name__ == "__main__":
    main()
