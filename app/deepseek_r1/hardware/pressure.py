"""Reads the machine's memory pressure, as one value for the three systems.

A control group's limit counts as the machine where it is tighter: a program in a container of 2 GB
has 2 GB, whatever `/proc/meminfo` contains. Each function takes its source as an argument, so that
all of them can be tested on any system.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from deepseek_r1.hardware import linux, other_systems

_MIB = 1 << 20
_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """Memory of the machine, or of its tightest control group, in MiB.

    `available_mib` is what programs can still get without swapping. `some_percent` and
    `full_percent` are the shares of the last ten seconds in which some or all programs waited for
    memory (Linux's pressure stall information; 0 where there is none). `alarm`: the system itself
    reports that memory is short (Windows, macOS). `grouped`: it is a control group's memory, which
    other programs of the machine do not need.
    """

    total_mib: float
    available_mib: float
    some_percent: float = 0.0
    full_percent: float = 0.0
    alarm: bool = False
    grouped: bool = False


def machine_memory_mib() -> float:
    """Memory in MiB: the machine's, or less where a container or a control group limits us."""
    return memory_reading().total_mib


def memory_reading() -> MemoryReading:
    """The present reading. Takes well under a millisecond."""
    if sys.platform == "linux":
        return linux_reading()
    elif sys.platform == "win32":  # noqa: RET505 - mypy knows a platform's branch
        kernel = ctypes.windll.kernel32
        return windows_reading(kernel.GlobalMemoryStatusEx, _low_memory_notified)
    else:
        now = psutil.virtual_memory()
        return macos_reading(now.total, now.available, other_systems.sysctl_number)


# ---- Linux --------------------------------------------------------------------------------------


def linux_reading(root: Path = _ROOT) -> MemoryReading:
    """A reading from `/proc/meminfo`, `/proc/pressure/memory` and the control groups."""
    fields = _fields(root / "proc/meminfo")
    total_mib = fields.get("MemTotal:", 0) / 1024
    available_mib = fields.get("MemAvailable:", 0) / 1024
    if not total_mib:  # hidden in some sandboxes, where the C library asks the kernel
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        total_mib = os.sysconf("SC_PHYS_PAGES") * page_bytes / _MIB
        available_mib = os.sysconf("SC_AVPHYS_PAGES") * page_bytes / _MIB
    stalls, grouped = [_stalls(root / "proc/pressure/memory")], False
    for folder in linux.control_groups(root, "memory"):
        stalls.append(_stalls(folder / "memory.pressure"))
        limit_mib = _limit_mib(folder)
        if limit_mib <= 0 or limit_mib > total_mib:
            continue
        grouped = True
        unused_mib = max(0.0, limit_mib - _used_mib(folder))
        total_mib, available_mib = limit_mib, min(available_mib, unused_mib)
    return MemoryReading(
        total_mib,
        min(available_mib, total_mib),
        some_percent=max(some for some, _ in stalls),
        full_percent=max(full for _, full in stalls),
        grouped=grouped,
    )


def _limit_mib(folder: Path) -> float:
    """A group's limit in MiB; 0 where it has none."""
    return (_number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")) / _MIB


def _used_mib(folder: Path) -> float:
    """The memory in MiB that a group uses and cannot just drop.

    Inactive file pages count as droppable, as they do in `MemAvailable`.
    """
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
    counts = _fields(folder / "memory.stat")
    droppable = counts.get("total_inactive_file", counts.get("inactive_file", 0))
    return max(0, used - droppable) / _MIB


def _stalls(file: Path) -> tuple[float, float]:
    """`some avg10` and `full avg10` of a pressure file; 0 where the kernel has none."""
    found = {"some": 0.0, "full": 0.0}
    for line in linux.small_text(file).splitlines():
        kind, _, rest = line.partition(" ")
        average = rest.partition("avg10=")[2].split(" ", 1)[0]
        if kind in found and average:
            found[kind] = float(average)
    return found["some"], found["full"]


def _fields(file: Path) -> dict[str, int]:
    """The first two fields of each line: a name and an integer."""
    rows = (line.split(maxsplit=2) for line in linux.small_text(file).splitlines())
    return {each[0]: int(each[1]) for each in rows if len(each) > 1 and each[1].isdigit()}


def _number(file: Path) -> int:
    """The number in a file; 0 where it has none ("max") or does not exist."""
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
    """A reading from `GlobalMemoryStatusEx`; the commit limit bounds the available memory."""
    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    if not status_of(ctypes.byref(status)):
        now = psutil.virtual_memory()
        return MemoryReading(now.total / _MIB, now.available / _MIB, alarm=low_memory())
    available = min(status.available_physical, status.available_page_file)
    return MemoryReading(status.total_physical / _MIB, available / _MIB, alarm=low_memory())


def _low_memory_notified() -> bool:
    """True while Windows signals its own low-memory notification (memoryapi.h)."""
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
    """A reading from psutil's bytes; the alarm is `kern.memorystatus_vm_pressure_level`.

    macOS compresses memory before it is short: the kernel's own level is more reliable than any
    sum.
    """
    level = sysctl("kern.memorystatus_vm_pressure_level")
    return MemoryReading(total / _MIB, available / _MIB, alarm=level > _MACOS_NORMAL)
