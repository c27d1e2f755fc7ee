"""How many cores this process may use, and what they can do, as the operating system tells it."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from pathlib import Path

PROCESSORS = Path("/proc/cpuinfo")

ISA = "DNNL_MAX_CPU_ISA"  # oneDNN's variable for the instructions that it may use

# Values of it that leave bfloat16's instructions out.
ISA_WITHOUT_BFLOAT16 = frozenset(
    ["SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_MIC", "AVX512_MIC_4OPS", "AVX512_CORE", "AVX512_CORE_VNNI"]
)


def thread_count() -> int:
    """Return how many cores this process may use: its affinity, lowered to whole cores of its cgroup's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return affinity if quota is None else max(1, min(affinity, int(quota)))


def has_bfloat16(processors: Path = PROCESSORS) -> bool:
    """Return whether oneDNN may use instructions for bfloat16: they are there, and ``DNNL_MAX_CPU_ISA`` allows it."""
    if os.environ.get(ISA, "").upper() in ISA_WITHOUT_BFLOAT16:
        return False
    return re.search(r"\b(avx512_bf16|amx_bf16)\b", _text(processors)) is not None


def is_bfloat16_faster(amx: bool, processors: Path = PROCESSORS) -> bool:
    """Return whether a processor with bfloat16 trains faster in it than in float32: with AMX, or if it is not Intel's.

    Intel's multiply bfloat16 faster in AMX's tiles alone, and without them more slowly than float32.
    """
    return amx or "GenuineIntel" not in _text(processors)


def grant_amx(processors: Path = PROCESSORS) -> bool:
    """Ask Linux for the registers of AMX, which a process has only then; return whether this one has them."""
    flags = set(_text(processors).split())
    if not {"avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"} <= flags:
        return False
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0


def _cgroup_quota(proc: Path = Path("/proc/self")) -> float | None:
    """Return the cores that the process's cgroup and those above it grant, or None where nothing limits them."""
    try:
        groups = [line.split(":", 2) for line in _lines(proc / "cgroup")]
        mounts = [line.split() for line in _lines(proc / "mountinfo")]
    except OSError:
        return None
    quotas = []
    for mount in mounts:
        separator = mount.index("-")
        kind, options = mount[separator + 1], mount[separator + 3].split(",")
        if kind != "cgroup2" and not (kind == "cgroup" and "cpu" in options):
            continue
        for _, controllers, path in groups:
            if controllers == "" if kind == "cgroup2" else "cpu" in controllers.split(","):
                quotas += _quotas_upwards(Path(mount[4]), mount[3], path)
    return min(quotas, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _lines(path) -> list[str]:
    """Lines with paths in them, which may hold any bytes."""
    return os.fsdecode(path.read_bytes()).split("\n")[:-1]


def _quotas_upwards(mount_point: Path, mount_root: str, path: str) -> list[float]:
    """Return the quotas of a cgroup and its ancestors up to the mount point, which is all that a container sees."""
    # In a container the mount shows a part of the hierarchy, and the path may count from above that part.
    inside = os.path.relpath(path, mount_root) if path.startswith(mount_root) else "."
    folder = mount_point / inside
    quotas = []
    for level in (folder, *folder.parents):
        quota = _read_quota(level)
        if quota is not None:
            quotas.append(quota)
        if level == mount_point:
            break
    return quotas


def _read_quota(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return None if quota == "max" or int(quota) <= 0 else int(quota) / int(period)
    except (OSError, ValueError):
        return None
