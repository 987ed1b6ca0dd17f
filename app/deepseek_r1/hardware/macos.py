"""Describes the processor on macOS, from sysctl(3).

The names are listed in <sys/sysctl.h> and by `sysctl hw machdep.cpu`. perflevel0 are the
performance cores of Apple silicon.
"""

import ctypes

# Apple's name of a feature, and Linux's, which we use.
_ARM_FEATURES = {
    "hw.optional.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
}


def count_cores() -> tuple[int, int, int]:
    """Physical, logical and fast cores; on Intel Macs all physical ones are fast."""
    physical = sysctl_number("hw.physicalcpu") or 1
    logical = sysctl_number("hw.logicalcpu") or physical
    return physical, logical, sysctl_number("hw.perflevel0.physicalcpu") or physical


def processor_name() -> str:
    """The processor's name, for example "Apple M2"."""
    return _read("machdep.cpu.brand_string").split(b"\0")[0].decode("utf-8", "replace")


def processor_features() -> tuple[str, ...]:
    """The instruction sets, named as on Linux."""
    arm = [name for key, name in _ARM_FEATURES.items() if sysctl_number(key)]
    intel = _read("machdep.cpu.features") + b" " + _read("machdep.cpu.leaf7_features")
    features = intel.replace(b"\0", b" ").decode("ascii", "replace").lower().split()
    # Intel Macs have "AVX1.0" and "SSE4.2" for Linux's avx and sse4_2.
    renamed = [each.replace("avx1.0", "avx").replace(".", "_") for each in features]
    return tuple(sorted({*arm, *renamed}))


def sysctl_number(name: str) -> int:
    """An integer of sysctl; 0 where this system does not know the name."""
    return int.from_bytes(_read(name)[:8], "little")


def _read(name: str) -> bytes:
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
