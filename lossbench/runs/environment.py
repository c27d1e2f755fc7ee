"""What a training ran on: versions, processor, the checkout's git state."""

from __future__ import annotations

import contextlib
import os
import pathlib
import platform
import subprocess
import sys

from lossbench import __version__

PACKAGES = ("mxnet", "numpy", "sklearn", "scipy", "pydantic", "matplotlib")


def environment() -> dict:
    """Return the versions of what this process has loaded, the processor and the git state."""
    versions = {"lossbench": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        module = sys.modules.get(name)
        if module is not None:
            versions[name] = module.__version__
    return {
        "versions": versions,
        "platform": platform.platform(),
        "processor": processor(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "git": _git(),
    }


INSTRUCTIONS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 with bfloat16", "avx512f": "AVX-512", "avx2": "AVX2"}
"""Flag of the kernel -> name, the fastest first: virtual machines call several generations by one name."""


def processor() -> str:
    """Return the name of this machine's processor, with the instructions that its speed and its last bits depend on."""
    with contextlib.suppress(OSError):
        pairs = [line.partition(":") for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()]
        found = {key.strip(): value.strip() for key, _, value in reversed(pairs)}
        if "model name" in found:
            flags = set(found.get("flags", "").split())
            best = next((f" ({name})" for flag, name in INSTRUCTIONS.items() if flag in flags), "")
            return found["model name"] + best
    return platform.processor()


def _git() -> dict:
    """Commit of the checkout that this package lies in, and whether files differ from it; empty where there is none."""

    folder = pathlib.Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return {}

    def ask(*arguments):
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "modified": bool(ask("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):
        return {}
