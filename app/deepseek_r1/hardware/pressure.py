"""How short of memory the machine is, in one value for the three systems.

A control group's limit counts as the machine where it leaves us less: a program in a container of
2 GB has 2 GB, whatever `/proc/meminfo` says. The readers take what they read from as an argument,
so that each system's can be tested on any.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from deepseek_r1.hardware import linux

_MIB = 1 << 20
_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """Memory of the machine, or of the control group that leaves us least, in MiB.

    `available_mib` is what programs can still get without swapping. `some_percent` and
    `full_percent` are the shares of the last ten seconds in which some or all programs waited for
    memory (Linux's pressure stall information; 0 where there is none). `alarm`: the system itself
    says that memory is short (Windows, macOS).
    """

    total_mib: float
    available_mib: float
    some_percent: float = 0.0
    full_percent: float = 0.0
    alarm: bool = False


def memory_reading() -> MemoryReading:
    """The state of this moment. Takes well under a millisecond."""
    if sys.platform == "linux":
        return linux_reading()
    elif sys.platform == "win32":  # noqa: RET505 - mypy knows a platform's branch
        kernel = ctypes.windll.kernel32
        return windows_reading(kernel.GlobalMemoryStatusEx, _low_memory_notified)
    else:
        from deepseek_r1.hardware.macos import sysctl_number  # noqa: PLC0415 - only there

        now = psutil.virtual_memory()
        return macos_reading(now.total, now.available, sysctl_number)


# ---- Linux --------------------------------------------------------------------------------------


def linux_reading(root: Path = _ROOT) -> MemoryReading:
    """`/proc/meminfo`, `/proc/pressure/memory`, and the control groups of both versions."""
    fields = _fields(root / "proc/meminfo")
    total_mib, available_mib = (
        fields.get("MemTotal:", 0) / 1024,
        fields.get("MemAvailable:", 0) / 1024,
    )
    if not total_mib:  # hidden in some sandboxes
        now = psutil.virtual_memory()
        total_mib, available_mib = now.total / _MIB, now.available / _MIB
    stalls = [_stalls(root / "proc/pressure/memory")]
    for folder in linux.control_groups(root, "memory"):
        stalls.append(_stalls(folder / "memory.pressure"))
        limit_mib, used_mib = _group(folder)
        if limit_mib <= 0 or limit_mib > total_mib:
            continue
        total_mib, available_mib = limit_mib, min(available_mib, max(0.0, limit_mib - used_mib))
    return MemoryReading(
        total_mib,
        min(available_mib, total_mib),
        some_percent=max(some for some, _ in stalls),
        full_percent=max(full for _, full in stalls),
    )


def _group(folder: Path) -> tuple[float, float]:
    """A group's limit (0: none) and what it uses and cannot just drop, in MiB.

    Pages of files that were not used lately are the first to go, as `MemAvailable` counts too.
    """
    limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
    if not limit:
        return 0.0, 0.0
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
    counts = _fields(folder / "memory.stat")
    droppable = counts.get("total_inactive_file", counts.get("inactive_file", 0))
    return limit / _MIB, max(0, used - droppable) / _MIB


def _stalls(file: Path) -> tuple[float, float]:
    """`some avg10` and `full avg10` of a pressure file; 0 where the kernel keeps none."""
    found = {"some": 0.0, "full": 0.0}
    for line in linux.small_text(file).splitlines():
        kind, _, rest = line.partition(" ")
        average = rest.partition("avg10=")[2].split(" ", 1)[0]
        if kind in found and average:
            found[kind] = float(average)
    return found["some"], found["full"]


def _fields(file: Path) -> dict[str, int]:
    """The first two words of each line: a name and a whole number."""
    words = (line.split(maxsplit=2) for line in linux.small_text(file).splitlines())
    return {each[0]: int(each[1]) for each in words if len(each) > 1 and each[1].isdigit()}


def _number(file: Path) -> int:
    """The number in a file; 0 where there is none ("max", or no such file)."""
    text = linux.small_text(file)
    return int(text) if text.isdigit() else 0


# ---- Windows ------------------------------------------------------------------------------------


class MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of sysinfoapi.h."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("memory_load", ctypes.c_uint32),  # percent of physical memory in use
        ("total_physical", ctypes.c_uint64),
        ("available_physical", ctypes.c_uint64),
        ("total_page_file", ctypes.c_uint64),  # the commit limit
        ("available_page_file", ctypes.c_uint64),
        ("total_virtual", ctypes.c_uint64),
        ("available_virtual", ctypes.c_uint64),
        ("available_extended_virtual", ctypes.c_uint64),
    )


def windows_reading(
    status_of: Callable[[object], int], low_memory: Callable[[], bool]
) -> MemoryReading:
    """`GlobalMemoryStatusEx`; what may still be committed bounds what is available."""
    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    if not status_of(ctypes.byref(status)):
        now = psutil.virtual_memory()
        return MemoryReading(now.total / _MIB, now.available / _MIB, alarm=low_memory())
    available = min(status.available_physical, status.available_page_file)
    return MemoryReading(status.total_physical / _MIB, available / _MIB, alarm=low_memory())


def _low_memory_notified() -> bool:
    """Windows' own low-memory notification (memoryapi.h), True while it is signalled."""
    if sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        kernel.CreateMemoryResourceNotification.restype = ctypes.c_void_p
        handle = ctypes.c_void_p(kernel.CreateMemoryResourceNotification(0))
        if not handle:
            return False
        state = ctypes.c_int(0)
        known = kernel.QueryMemoryResourceNotification(handle, ctypes.byref(state))
        kernel.CloseHandle(handle)
        return bool(known and state.value)
    return False


# ---- macOS --------------------------------------------------------------------------------------

_MACOS_NORMAL = 1  # 2 is "warning", 4 is "critical", as memory_pressure(1) shows them


def macos_reading(total: int, available: int, sysctl: Callable[[str], int]) -> MemoryReading:
    """Bytes as psutil counts them; the alarm is `kern.memorystatus_vm_pressure_level`.

    macOS compresses memory before it is short: the kernel's own level says more than any sum.
    """
    level = sysctl("kern.memorystatus_vm_pressure_level")
    return MemoryReading(total / _MIB, available / _MIB, alarm=level > _MACOS_NORMAL)
