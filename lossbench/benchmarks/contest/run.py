"""All contestants on some tasks, in turn."""

from __future__ import annotations

import contextlib
import tempfile

from lossbench.benchmarks.contest.child import CONTESTANTS, Child, Stalled
from lossbench.benchmarks.contest.task import Missing, Task, write_images
from lossbench.benchmarks.timing import spread

KINDS = ("whole", "bare")


def measure(tasks, contestants=tuple(CONTESTANTS), *, seconds=2.0, repetitions=5, progress=lambda name: None) -> list:
    """Images per second of each contestant on each task, whole training and bare step.

    Parameters
    ----------
    tasks : iterable of (network, loss, batch_size)
    contestants : sequence of str
        Names of `CONTESTANTS`.
    seconds : float
        Least length of a turn.
    repetitions : int
        Turns of each kind; one more before them is not counted.
    progress : callable
        Called with the contestant's name before each turn.

    Returns
    -------
    list of dict
        A row per task and contestant: `network`, `loss`, `batch_size`, `data`, `contestant`, and either `missing` (what
        is not installed, or how it failed) or, as median, min, max and n, `whole` and `bare` in
        images/s, `share` (whole / bare) and `ratio` (lossbench's `whole` / this one's, where lossbench is among
        them), the last two repetition by repetition.
    """
    rows, ended = [], {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        children = {name: stack.enter_context(Child(name)) for name in contestants}
        images = {}
        for network, loss, batch_size in tasks:
            if network not in images:
                images[network] = write_images(network, folder)
            path, source = images[network]
            task = Task(network, loss, batch_size, path)
            absent = dict(ended)

            def ask(name, *request, absent=absent):
                """Return the answer, or None and note the reason: the others go on."""
                try:
                    return children[name].ask(*request)
                except (Missing, RuntimeError) as error:
                    absent[name] = str(error)
                    if isinstance(error, Stalled):
                        ended[name] = str(error)

            for name in children:
                if name not in absent:
                    progress(name)
                    ask(name, "prepare", task.as_dict())
            rates = _rates(ask, contestants, absent, seconds, repetitions, progress)
            ours = [] if "lossbench" in absent else rates.get("lossbench", {}).get("whole", [])
            key = {"network": network, "loss": loss, "batch_size": batch_size, "data": source}
            for name in contestants:
                found = {"missing": absent[name]} if name in absent else _summary(rates[name], ours)
                rows.append({**key, "contestant": name, **found})
            for name in children:
                if name not in absent:
                    ask(name, "drop")
    return rows


def _rates(ask, names, absent, seconds, repetitions, progress):
    rates = {name: {kind: [] for kind in KINDS} for name in names}
    for round_ in range(repetitions + 1):
        for kind in KINDS:
            for name in names:
                if name in absent:
                    continue
                progress(name)
                done = ask(name, "run", kind, seconds)
                if round_ and done:
                    rates[name][kind].append(done["images"] / done["seconds"])
    return rates


def _summary(rates, ours):
    whole, bare = rates["whole"], rates["bare"]
    summary = {"whole": spread(whole), "bare": spread(bare)}
    summary["share"] = spread([a / b for a, b in zip(whole, bare)])
    if ours:
        summary["ratio"] = spread([a / b for a, b in zip(ours, whole)])
    return summary
