"""Time in which this thread wanted to run and the machine gave it no processor.

A test of a thread's promptness subtracts it: on a shared machine a gap of 300 ms in the main thread
was 7 ms of its own work and 323 ms in the scheduler's queue.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_STEAL = 8  # the column of /proc/stat, see proc(5)


@dataclass(frozen=True, slots=True)
class ProcessorWaits:
    """Two counters, in seconds; both are 0 where the system does not tell (macOS, Windows)."""

    queued_s: float
    """Time that the calling thread has waited in the scheduler's queue."""
    stolen_s: float
    """Time that a hypervisor has kept from one of the processors, added over all of them."""

    @classmethod
    def now(cls) -> Self:
        return cls(_queued_s(), _stolen_s())

    def since(self, earlier: Self) -> float:
        """Seconds without a processor since `earlier`; what is queued may be stolen as well."""
        return max(self.queued_s - earlier.queued_s, self.stolen_s - earlier.stolen_s)


def _queued_s() -> float:
    counters = _read(f"/proc/self/task/{threading.get_native_id()}/schedstat").split()
    return int(counters[1]) / 1e9 if len(counters) > 1 else 0.0


def _stolen_s() -> float:
    columns = _read("/proc/stat").partition("\n")[0].split()
    return int(columns[_STEAL]) / _CLOCK_TICKS if len(columns) > _STEAL else 0.0


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except FileNotFoundError:
        return ""
