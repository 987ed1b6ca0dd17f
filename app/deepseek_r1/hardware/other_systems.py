"""Describes the processor on macOS, from sysctl(3), and on Windows.

The names are listed in <sys/sysctl.h> and by `sysctl hw machdep.cpu`; perflevel0 are the
performance cores of Apple silicon. On Windows counts come from psutil, the name from the
environment and the instruction sets from kernel32; all cores count as fast ones, as the efficiency
class of hybrid processors is not read.
"""

import ctypes
import os
import sys

import psutil

# Apple's name of a feature, and Linux's, which we use.
_ARM_FEATURES = {
    "hw.optional.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
}
# PF_..._INSTRUCTIONS_AVAILABLE of winnt.h, and Linux's name of the feature.
_WINDOWS_FEATURES = {
    36: "ssse3", 37: "sse4_1", 38: "sse4_2", 39: "avx", 40: "avx2", 41: "avx512f", 43: "asimddp",
}  # fmt: skip


def count_cores() -> tuple[int, int, int]:
    """Physical, logical and fast cores; on Windows those that this process's affinity allows."""
    if sys.platform == "darwin":
        physical = sysctl_number("hw.physicalcpu") or 1
        logical = sysctl_number("hw.logicalcpu") or physical
        return physical, logical, sysctl_number("hw.perflevel0.physicalcpu") or physical
    logical = psutil.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or logical
    if sys.platform == "win32":
        allowed = len(psutil.Process().cpu_affinity())
        # Affinity counts hardware threads; a core has logical // physical of them.
        physical = max(1, min(physical, allowed * physical // logical))
    return physical, logical, physical


def processor_name() -> str:
    """For example "Apple M2", or "Intel64 Family 6 Model 186 Stepping 2, GenuineIntel"."""
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string").split(b"\0")[0].decode("utf-8", "replace")
    return os.environ.get("PROCESSOR_IDENTIFIER", "")


def processor_features() -> tuple[str, ...]:
    """The instruction sets, named as on Linux."""
    if sys.platform == "win32":
        present = ctypes.windll.kernel32.IsProcessorFeaturePresent
        return tuple(sorted(name for number, name in _WINDOWS_FEATURES.items() if present(number)))
    arm = [name for key, name in _ARM_FEATURES.items() if sysctl_number(key)]
    intel = _sysctl("machdep.cpu.features") + b" " + _sysctl("machdep.cpu.leaf7_features")
    features = intel.replace(b"\0", b" ").decode("ascii", "replace").lower().split()
    # Intel Macs have "AVX1.0" and "SSE4.2" for Linux's avx and sse4_2.
    renamed = [each.replace("avx1.0", "avx").replace(".", "_") for each in features]
    return tuple(sorted({*arm, *renamed}))


def sysctl_number(name: str) -> int:
    """An integer of sysctl; 0 where this system does not know the name."""
    return int.from_bytes(_sysctl(name)[:8], "little")


def _sysctl(name: str) -> bytes:
    """The raw value of a sysctl name; empty where it is unknown."""
    libc = ctypes.CDLL(None)
    size = ctypes.c_size_t(0)
    key = name.encode("ascii")
    if libc.sysctlbyname(key, None, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return b""
    value = ctypes.create_string_buffer(size.value)
    if libc.sysctlbyname(key, value, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return b""
    return value.raw[: size.value]
