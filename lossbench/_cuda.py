"""Which NVIDIA GPUs MXNet has code for, asked of the driver before MXNet is imported."""

from __future__ import annotations

import contextlib
import ctypes
import os

# The compute capabilities whose machine code the wheels mxnet-cu112 and mxnet-cu117 1.9.1 carry: 5.0, 6.0, 7.0, 8.0 and
# 8.6. Code of 8.6 also runs on 8.9, but none of it on 9.0 and later, and the wheels have no PTX to translate.
FIRST, LAST = 5, 8


def hide_gpus_without_code() -> str:
    """Keep from MXNet the GPUs that it has no code for; return what was found of the first of them, or ''.

    MXNet touches every GPU that it sees, also while it trains on the CPU. Must come before CUDA is started, hence NVML,
    which does not start it.
    """
    found = gpus()
    without = [(name, version) for _, name, version in found if not FIRST <= version[0] <= LAST]
    if not without:
        return ""
    able = [identity for identity, _, version in found if FIRST <= version[0] <= LAST]
    if not able:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    else:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", ",".join(able))
    name, (major, minor) = without[0]
    return f"MXNet 1.9.1 has code for compute capability {FIRST}.0 to {LAST}.9, and {name} has {major}.{minor}"


def gpus() -> list[tuple[str, str, tuple[int, int]]]:
    """Return identity, name and compute capability of each GPU; those that the driver does not tell of are left out."""
    found: list[tuple[str, str, tuple[int, int]]] = []
    with contextlib.suppress(OSError, AttributeError):  # no driver, or one that lacks a function
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        count = ctypes.c_uint()
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
            return found
        for number in range(count.value):
            gpu, major, minor = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
            identity, name = ctypes.create_string_buffer(96), ctypes.create_string_buffer(96)
            failed = (
                nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(gpu))
                or nvml.nvmlDeviceGetUUID(gpu, identity, len(identity))
                or nvml.nvmlDeviceGetName(gpu, name, len(name))
                or nvml.nvmlDeviceGetCudaComputeCapability(gpu, ctypes.byref(major), ctypes.byref(minor))
            )
            if not failed:
                found.append((identity.value.decode(), name.value.decode(), (major.value, minor.value)))
        nvml.nvmlShutdown()
    return found
