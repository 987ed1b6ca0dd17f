"""Describes the processor: cores by kind, instruction sets, and suitable numbers of threads."""

import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import psutil

from deepseek_r1.core.errors import ProcessorTooOld
from deepseek_r1.hardware import linux, other_systems

_NEEDED = "sse4_2"
_X86 = {"x86_64", "amd64"}
LOW_PERCENT = 30  # of a battery
_SPARE_ABOVE = 2  # with more cores than this, one is left to the window and the system


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """The facts about a processor that the engine uses.

    `physical_cores`, `logical_cores` and `performance_cores` describe the machine. The `usable`
    counts are physical cores this process may run on, after affinity and container limits.
    """

    name: str
    physical_cores: int
    logical_cores: int
    performance_cores: int
    features: tuple[str, ...]  # named as Linux names them: "avx2", "avx512f", "asimddp"
    usable_cores: int
    usable_performance_cores: int

    @property
    def threads(self) -> int:
        """Threads for decode: one per fast core, one core spared where there are enough.

        Decode waits for memory, so slow cores and second hardware threads add nothing to it.
        """
        slow = self.usable_cores - self.usable_performance_cores  # one is enough for the window
        spare = 1 if self.usable_cores > _SPARE_ABOVE and not slow else 0
        return max(1, self.usable_performance_cores - spare)

    @property
    def threads_prefill(self) -> int:
        """Threads for prefill, which computes and gains from every real core."""
        return max(1, self.usable_cores)


def cpu() -> CpuFacts:
    """The processor of this machine. Affinity and limits are read at each call."""
    if sys.platform == "linux":
        return facts_from(linux.read_topology(), linux.read_cpuinfo(), linux.cpu_quota())
    else:  # noqa: RET505 - mypy knows a platform's branch, not what follows it
        return _elsewhere()


def facts_from(
    topology: linux.Topology, info: linux.CpuInfo, quota_cores: float | None
) -> CpuFacts:
    """Count the cores of a Linux topology. `quota_cores` is a container's limit of CPU time."""
    usable = [core for core in topology.cores if core & topology.allowed]
    fast = [core for core in usable if core & topology.fast]
    most = len(usable) if quota_cores is None else max(1, min(len(usable), round(quota_cores)))
    return CpuFacts(
        name=info.name,
        physical_cores=len(topology.cores),
        logical_cores=sum(len(core) for core in topology.cores),
        performance_cores=sum(1 for core in topology.cores if core & topology.fast),
        features=info.features,
        usable_cores=most,
        # For a process that may run on slow cores only, they count as the fast ones.
        usable_performance_cores=min(len(fast) or most, most),
    )


def require_usable_processor() -> None:
    """Raise ProcessorTooOld where the processor lacks instructions that the libraries use.

    llama.cpp supports older ones, but PyPI's builds of Qt and numpy use SSE4.2 without checking:
    the program would end at its first such instruction, without a message. So this is called
    before they are imported. Every Mac with a supported macOS is new enough.
    """
    if platform.machine().lower() not in _X86 or sys.platform == "darwin":
        return
    if (features := cpu().features) and _NEEDED not in features:
        raise ProcessorTooOld(missing="SSE4.2")


def battery() -> Any:
    """Return psutil's values of the battery; None without one, or where no system says it."""
    try:
        return psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    except OSError:  # a container without /sys
        return None


def battery_is_low() -> bool:
    """True on a battery that is not being charged and has less than `LOW_PERCENT`."""
    found = battery()
    return found is not None and not found.power_plugged and found.percent < LOW_PERCENT


def busy_cores() -> float:
    """The cores that all programs kept busy in the last minute; 0 where no system says it."""
    return psutil.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


@cache
def packs_weights() -> bool:
    """Whether llama.cpp repacks weights into the layout of Intel's AMX, which takes more memory."""
    return "amx_int8" in cpu().features


@cache
def converts_f16_slowly() -> bool:
    """Whether this is a processor of the x86 family without instructions for f16 numbers.

    False where its features are unknown: only Linux lists all of them.
    """
    features = cpu().features if sys.platform == "linux" else ()
    return "sse2" in features and "f16c" not in features


@cache
def _elsewhere() -> CpuFacts:
    physical, logical, fast = other_systems.count_cores()
    name, features = other_systems.processor_name(), other_systems.processor_features()
    return CpuFacts(name, physical, logical, fast, features, physical, fast)
