"""Measures what is in use now: the memory of processes, and the load of each core.

Each function takes one reading; there is no state and no thread. A process that ended counts as 0.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds that each logical processor has been busy, and up, since the machine's start."""

    busy_s: tuple[float, ...]
    total_s: tuple[float, ...]

    def load_since(self, earlier: CpuTimes) -> tuple[float, ...]:
        """The share of time that each processor was busy between two snapshots, 0 to 1.

        Empty where processors were added or removed in between.
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


def unshared_mib(pid: int) -> float:
    """Memory in MiB that would be free again if the process ended; 0 when it is gone.

    On Linux its anonymous pages: listing all pages takes five times as long, and Landlock forbids
    it. Where the system does not list them, all of its resident memory, which is more.
    """
    if sys.platform == "linux":
        return _linux_status_mib(str(pid), "RssAnon:")
    else:  # noqa: RET505 - mypy knows a platform's branch
        try:
            return float(psutil.Process(pid).memory_full_info().uss) / _MIB
        except psutil.NoSuchProcess:
            return 0.0
        except (psutil.AccessDenied, OSError):
            return process_mib(pid)


def tree_mib() -> float:
    """Memory in MiB of this process and of all below it, without what they share with it."""
    below = psutil.Process().children(recursive=True)
    return process_mib(os.getpid()) + sum(unshared_mib(each.pid) for each in below)


def cpu_seconds(pid: int) -> float:
    """The processor time in seconds that a process has used; 0 when it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    return float(times.user + times.system)


def disk_read_mib() -> float:
    """MiB that this process has read from drives so far; 0 where the system does not count them."""
    try:
        return float(psutil.Process().io_counters().read_bytes) / _MIB
    except (AttributeError, NotImplementedError, psutil.Error):
        return 0.0


def peak_mib(pid: int | None = None) -> float:
    """The peak of a process's resident memory in MiB; of this process without `pid`.

    Linux and Windows record it for every process. macOS records it only for the process itself: for
    others, their present memory is returned.
    """
    if sys.platform == "linux":
        return _linux_status_mib("self" if pid is None else str(pid), "VmHWM:")
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


def _linux_status_mib(process: str, name: str) -> float:
    """A size of `/proc/PID/status` in MiB; 0 elsewhere, or when the process is gone."""
    try:
        status = Path("/proc", process, "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith(name)), "")
    return int(line.split()[1]) / 1024 if line else 0.0  # a zombie has no memory and no line


def cpu_times() -> CpuTimes:
    """A snapshot of all logical processors, for comparison with an earlier one."""
    busy, total = [], []
    for times in psutil.cpu_times(percpu=True):
        # `guest` is contained in `user` on Linux; idle and waiting for the disk are not work.
        span = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        total.append(span)
        busy.append(span - idle)
    return CpuTimes(tuple(busy), tuple(total))
