"""Training on one process and on several of one thread each, by turns: what a step and its exchange cost."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lossbench.benchmarks.timing import spread
from lossbench.errors import UserError
from lossbench.training.communication import INSTALL, MPI

WARM_UP = 3


class Counted(MPI):
    """Counts the processor time of the exchanges of a step, and the bytes that this rank sends in them."""

    spent, sent = 0.0, 0

    def sum(self, array):
        began = time.process_time()
        total = super().sum(array)
        self.spent += time.process_time() - began
        self.sent += 2 * array.nbytes * (self.size - 1) // self.size  # the parts of the others, and its own part's sum
        return total

    def gather(self, values):
        began = time.process_time()
        gathered = super().gather(values)
        self.spent += time.process_time() - began
        self.sent += gathered[0].nbytes * (self.size - 1)
        return gathered


def mpiexec() -> str:
    """The launcher beside this interpreter, or the system's."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    found = shutil.which("mpiexec", path=os.pathsep.join(places))
    if not found:
        raise UserError(f"benchmark: mpiexec must be installed, got none. Run: {INSTALL}")
    return found


def measure(config: str, overrides, counts, *, steps: int, repetitions: int, progress=lambda: None) -> list[dict]:
    """A row for each number of ranks: `ranks`, and the spreads of `images_per_second`, of `cpu_milliseconds` and
    `exchange_milliseconds` of a step (processor time of one rank, their mean), and of `ratio`, the images a second over
    those of the first number, turn by turn.

    Raises
    ------
    RuntimeError
        If a job fails; with the last line of its error.
    """
    turns = {count: [] for count in counts}
    for _ in range(repetitions):
        for count in counts:
            turns[count].append(_job(count, config, list(overrides), steps))
            progress()
    rows = []
    for count, found in turns.items():
        names = ("images_per_second", "cpu_milliseconds", "exchange_milliseconds")
        row = {name: spread([turn[name] for turn in found]) for name in names}
        pairs = zip(found, turns[counts[0]])
        row["ratio"] = spread([one["images_per_second"] / first["images_per_second"] for one, first in pairs])
        rows.append({"ranks": count, **row})
    return rows


def _job(count, *arguments) -> dict:
    command = [mpiexec(), "-n", str(count), sys.executable, "-m", "mpi4py", "-m", "lossbench.benchmarks.ranks"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, json.dumps(arguments)], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{count} ranks: {(done.stderr.strip().splitlines() or [f'{done.returncode}'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    from lossbench import config, data
    from lossbench._mxnet import mx
    from lossbench.experiment import Model, new_batches, new_trainer

    path, overrides, steps = json.loads(sys.argv[1])
    with Counted() as communicator:
        settings = config.load(path, overrides)
        dataset = data.load(settings.data, settings.seed)
        model = Model(settings, dataset, [mx.cpu()], for_training=True)
        batches = new_batches(settings, dataset, communicator)
        trainer = new_trainer(settings, model, batches, communicator)
        stream = itertools.chain.from_iterable(batches.epoch(epoch) for epoch in itertools.count(1))
        images = 0
        for number in range(WARM_UP + steps):
            if number == WARM_UP:
                mx.nd.waitall()
                began, busy, communicator.spent, images = time.perf_counter(), time.process_time(), 0.0, 0
            chunk = list(itertools.islice(stream, trainer.accumulate_steps))
            images += trainer.update(chunk, 1, number)
        mx.nd.waitall()
        seconds, busy, exchange = time.perf_counter() - began, time.process_time() - busy, communicator.spent
        mean = communicator.gather([busy, exchange]).mean(axis=0) * 1000 / steps
        if communicator.rank == 0:
            names = ("images_per_second", "cpu_milliseconds", "exchange_milliseconds")
            print(json.dumps(dict(zip(names, [images / seconds, *mean.tolist()]))))


if __name__ == "__main__":
    main()
