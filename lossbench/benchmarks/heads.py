"""What a head's training step costs beside a plain layer's and beside other libraries' losses."""

from __future__ import annotations

import contextlib
import math
import time

from lossbench.benchmarks import head_steps, memory, peers
from lossbench.benchmarks.timing import interleaved, spread

SIZES = ((128, 2, 10), (128, 512, 1000), (128, 512, 10000), (256, 512, 100000))
SHORTEST = 0.03  # seconds of one piece of work; steps are repeated to last that long
LONGEST = 10.0  # seconds of all repetitions of a row, beyond three of them


def measure(
    size: tuple,
    names: list | None = None,
    *,
    repetitions: int = 15,
    libraries: tuple = tuple(peers.PEERS),
    with_memory: bool = True,
    progress=None,
) -> dict:
    """Time the steps of heads at one size, each in turn with the plain layer: A B A B …

    A peer's loss is timed in turn with the plain layer and with our own: A B C A B C …

    Parameters
    ----------
    size : (int, int, int)
        Batch size B, embedding size D, number of classes C.
    names : list of str, optional
        Rows of `head_steps.LABELS`; default all. The plain layer is always there.
    repetitions : int
        Of every row; fewer, but at least 3, where a row would take more than 10 s.
    libraries : tuple of str
        Peers to put beside; one that is not installed becomes a row that says so.
    with_memory : bool
        Also measure the memory of a step (`memory.extra_bytes`).
    progress : callable, optional
        Called with the number of rows done and the next row's name.

    Returns
    -------
    dict
        ``size`` and ``rows``; of each row ``library`` (None: ours), ``name``, ``label``, ``milliseconds``, ``ratio`` to
        the plain layer and, of a peer, to ``ours`` (median, min, max, n of paired repetitions), ``bytes``; or
        ``skipped``, the reason.
    """
    names = [name for name in head_steps.LABELS if names is None or name in names or name == head_steps.PLAIN]
    rows = [{"library": None, "name": name, "label": head_steps.LABELS[name]} for name in names]
    with contextlib.ExitStack() as stack:
        processes = {}
        for library in libraries:
            theirs = [name for name in peers.PEERS[library] if name in names]
            try:
                processes[library] = stack.enter_context(peers.Peer(library))
            except peers.Missing as missing:
                rows.append({"library": library, "name": "", "label": "", "skipped": f"not installed ({missing})"})
                continue
            rows += [{"library": library, "name": name, "label": peers.PEERS[library][name]} for name in theirs]
        for k, row in enumerate(rows):
            if progress is not None:
                progress(k, " ".join(filter(None, (row["library"], row["label"]))))
            if "skipped" not in row:
                _measure_row(row, size, processes.get(row["library"]), repetitions, with_memory)
    return {"size": dict(zip(("batch_size", "embedding_size", "num_classes"), size)), "rows": rows}


def _measure_row(row, size, process, repetitions, with_memory) -> None:
    short = _shortage(row, size)
    if short:
        row["skipped"] = short
        return
    library, name = row["library"], row["name"]
    work = {"plain": head_steps.new_steps(head_steps.PLAIN, *size)}
    try:
        if with_memory:
            row["bytes"] = memory.extra_bytes(library, name, *size)
        if library is not None and name != head_steps.PLAIN:
            work["ours"] = head_steps.new_steps(name, *size)
        if library is not None or name != head_steps.PLAIN:
            work["row"] = process.new_steps(name, *size) if process else head_steps.new_steps(name, *size)
        seconds = _seconds(work, repetitions)
    except RuntimeError as error:
        row["skipped"] = str(error)
        return
    taken = seconds.get("row", seconds["plain"])
    row["milliseconds"] = spread([1000 * value for value in taken])
    for key, other in (("ratio", "plain"), ("ours", "ours")):
        if other in seconds:
            row[key] = spread([value / own for value, own in zip(taken, seconds[other])])


def _seconds(work, repetitions) -> dict:
    """Seconds of one step by repetition, of every piece of work in turn."""
    counts, round_ = {}, 0.0
    for name, steps in work.items():
        steps(1)  # traces the graph
        began = time.perf_counter()
        steps(1)
        once = time.perf_counter() - began
        counts[name] = max(1, math.ceil(SHORTEST / once))
        round_ += counts[name] * once
    repetitions = min(repetitions, max(3, int(LONGEST / round_)))
    runs = {name: (lambda steps=steps, count=counts[name]: steps(count)) for name, steps in work.items()}
    seconds = interleaved(runs, repetitions)
    return {name: [value / counts[name] for value in values] for name, values in seconds.items()}


def _shortage(row, size) -> str | None:
    """Say what is missing where a row would not fit into memory."""
    batch_size, embedding_size, num_classes = size
    matrices = num_classes * (embedding_size + batch_size)
    needed = 4 * 20 * matrices
    if (row["library"], row["name"]) in peers.CUBIC:
        needed += 4 * 7 * batch_size * num_classes * embedding_size
    available = memory.available_bytes()
    if available is None or needed < 0.8 * available:
        return None
    return f"would need about {needed / 1e9:.1f} GB, {available / 1e9:.1f} GB are available"
