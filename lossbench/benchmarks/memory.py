"""Peak memory of a training step, in a fresh process each: what was freed before would hide a part of it.

The process builds parameters, gradients and a batch, resets the high-water mark of its resident memory
(`/proc/self/clear_refs`), runs two steps, and reports by how much that mark is above what was resident before. Kernels
and threads are there already, from two steps at a size of 4. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys

from lossbench import plugins

SMALL = (4, 4, 4)


def extra_bytes(library: str | None, name: str, batch_size: int, embedding_size: int, num_classes: int):
    """Bytes that a step of a library's loss (None: of ours) needs beside parameters, gradients and batch.

    Returns None where the system does not tell.

    Raises
    ------
    RuntimeError
        If the step fails; with the last line of its error.
    """
    if not os.path.exists("/proc/self/clear_refs"):
        return None
    arguments = [library or "lossbench", name, batch_size, embedding_size, num_classes]
    command = [sys.executable, "-m", "lossbench.benchmarks.memory", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **plugins.surroundings()})
    if done.returncode:
        raise RuntimeError(f"{name}: {(done.stderr.strip().splitlines() or [f'status {done.returncode}'])[-1]}")
    return int(done.stdout.split()[-1])


def available_bytes() -> int | None:
    """Memory that a new process can have without swapping, None where the system does not tell."""
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":") for line in file)
    except OSError:
        return None
    return int(fields["MemAvailable"].split()[0]) * 1024


def _resident(field: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


def main() -> None:
    library, name, *size = sys.argv[1:]
    library = None if library == "lossbench" else library

    from lossbench.benchmarks.peers import new_steps

    plugins.request_from_surroundings()
    new_steps(library, name, *SMALL)(2)
    steps = new_steps(library, name, *map(int, size))
    with contextlib.suppress(AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)  # else a step would hide in what building it has freed
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = _resident("VmRSS")
    steps(2)
    print(_resident("VmHWM") - before)


if __name__ == "__main__":
    main()
