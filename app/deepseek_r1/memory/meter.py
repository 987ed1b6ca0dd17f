"""What is used right now: memory of processes and of the machine, and how busy each core is.

Plain readings, one call each; no state and no threads. A process that ended counts as nothing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from deepseek_r1.hardware.pressure import memory_reading

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """Memory of the machine in MiB, the control groups' limit counting as its size.

    `available_mib` is what programs can still get without swapping.
    """

    total_mib: float
    available_mib: float

    @property
    def used_mib(self) -> float:
        """What is taken and cannot simply be given back."""
        return self.total_mib - self.available_mib


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds each logical processor has been busy and has existed, since the machine's start."""

    busy_s: tuple[float, ...]
    total_s: tuple[float, ...]

    def load_since(self, earlier: CpuTimes) -> tuple[float, ...]:
        """Share of time each processor was busy between two snapshots, 0 to 1.

        Empty where processors came or went in between.
        """
        if len(self.busy_s) != len(earlier.busy_s):
            return ()
        spans = zip(self.busy_s, earlier.busy_s, self.total_s, earlier.total_s, strict=True)
        return tuple(
            min(1.0, max(0.0, (busy - busy0) / (total - total0))) if total > total0 else 0.0
            for busy, busy0, total, total0 in spans
        )


def process_mib(pid: int) -> float:
    """Resident memory of a process in MiB; 0 when it is gone."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / _MIB
    except psutil.NoSuchProcess:
        return 0.0


def peak_mib(pid: int | None = None) -> float:
    """The most resident memory a process ever had, in MiB; this process without `pid`.

    Linux and Windows keep it for every process. macOS keeps it for the own one only: another
    process's present memory stands in there.
    """
    if sys.platform == "linux":
        return _linux_peak_mib("self" if pid is None else str(pid))
    elif sys.platform == "win32":  # noqa: RET505 - mypy knows a platform's branch
        try:
            return float(psutil.Process(pid).memory_info().peak_wset) / _MIB
        except psutil.NoSuchProcess:
            return 0.0
    elif pid is None:
        import resource  # noqa: PLC0415 - not on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB  # macOS counts bytes
    else:
        return process_mib(pid)


def _linux_peak_mib(process: str) -> float:
    try:
        status = Path("/proc", process, "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "")
    return int(line.split()[1]) / 1024 if line else 0.0  # a zombie has no memory and no line


def tree_mib(pid: int) -> float:
    """Resident memory of a process and all its descendants, in MiB.

    Libraries that several of them map count once each: an upper bound of what they cost.
    """
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0
    return process_mib(pid) + sum(process_mib(child.pid) for child in children)


def machine_memory() -> MachineMemory:
    """The machine's memory now; a control group that leaves us less counts as the machine."""
    now = memory_reading()
    return MachineMemory(now.total_mib, now.available_mib)


def cpu_times() -> CpuTimes:
    """A snapshot of all logical processors, to be compared with an earlier one."""
    busy, total = [], []
    for times in psutil.cpu_times(percpu=True):
        # `guest` is contained in `user` on Linux; idle and waiting for the disk are not work.
        span = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        total.append(span)
        busy.append(span - idle)
    return CpuTimes(tuple(busy), tuple(total))
