"""What NVIDIA's driver says of the GPUs, asked without MXNet."""

from __future__ import annotations

import ctypes

# The compute capabilities whose machine code the wheels mxnet-cu112 and mxnet-cu117 1.9.1 carry: 5.0, 6.0, 7.0, 8.0 and
# 8.6. Code of 8.6 also runs on 8.9, but none of it on 9.0 and later, and the wheels have no PTX to translate.
FIRST, LAST = 5, 8
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


def without_code(numbers: list[int]) -> str | None:
    """Return what is wrong with the first of these GPUs that MXNet's wheels have no code for, or None.

    Examples
    --------
    >>> without_code([])
    """
    for number in numbers:
        name, capability = describe(number)
        if capability is not None and not FIRST <= capability[0] <= LAST:
            major, minor = capability
            return (
                f"MXNet 1.9.1 has code for compute capability {FIRST}.0 to {LAST}.9, and "
                f"gpu({number}), {name}, has {major}.{minor}"
            )
    return None


def describe(number: int) -> tuple[str, tuple[int, int] | None]:
    """Return a GPU's name and compute capability; None where the driver does not tell."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "GPU", None
    device, name, value = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), number):
        return "GPU", None
    driver.cuDeviceGetName(name, len(name), device)
    capability = []
    for attribute in (_MAJOR, _MINOR):
        if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
            return name.value.decode(errors="replace"), None
        capability.append(value.value)
    return name.value.decode(errors="replace"), (capability[0], capability[1])
