"""Reads /sys and /proc on Linux, from a root that tests can choose.

And keeps this process's pages out of the swap space, or drops those that it does not use.
"""

import ctypes
import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_

_ROOT = Path("/")
_NOW, _LATER, _WHEN_TOUCHED = 1, 2, 4  # MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT
_PATH_FIELD = 5  # the fields of a line: addresses, rights, offset, device, inode, path
_FAST_SHARE = 0.7  # of the best core's capacity; little cores have about half or less


@dataclass(frozen=True, slots=True)
class Topology:
    """Logical processors by physical core, the fast ones, and those that we may run on."""

    cores: tuple[frozenset[int], ...]
    fast: frozenset[int]
    allowed: frozenset[int]


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """The processor's name and instruction sets."""

    name: str
    features: tuple[str, ...]


def read_topology(root: Path = _ROOT, allowed: frozenset[int] | None = None) -> Topology:
    """Read the cores from sysfs; `allowed` is this process's affinity unless given."""
    cpus = root / "sys/devices/system/cpu"
    siblings: dict[int, frozenset[int]] = {}
    for folder in cpus.glob("cpu[0-9]*"):
        # thread_siblings_list is the older name of core_cpus_list.
        text = small_text(folder / "topology/core_cpus_list") or small_text(
            folder / "topology/thread_siblings_list"
        )
        if text:
            siblings[int(folder.name[3:])] = parse_cpu_list(text)
    if not siblings:  # sysfs is hidden in some sandboxes
        siblings = {n: frozenset({n}) for n in range(os.cpu_count() or 1)}
    everything = frozenset(siblings)
    may = _affinity() if allowed is None else allowed
    return Topology(
        cores=tuple(sorted(set(siblings.values()), key=min)),
        fast=_fast_cpus(root, everything),
        allowed=(may & everything) or everything,
    )


def _fast_cpus(root: Path, everything: frozenset[int]) -> frozenset[int]:
    """The performance cores: from Intel's hybrid list, else by capacity, else all."""
    listed = small_text(root / "sys/devices/cpu_core/cpus")
    if listed:
        return parse_cpu_list(listed) & everything or everything
    capacity = {
        n: int(small_text(root / f"sys/devices/system/cpu/cpu{n}/cpu_capacity") or 0)
        for n in everything
    }
    best = max(capacity.values())
    return frozenset(n for n in everything if capacity[n] >= _FAST_SHARE * best)


def parse_cpu_list(text: str) -> frozenset[int]:
    """Parse the kernel's list format: `0-3,8,10-11`."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def largest_cache_bytes(root: Path = _ROOT) -> int:
    """The size of the largest cache of the first processor; 0 where sysfs has none."""
    caches = root / "sys/devices/system/cpu/cpu0/cache"
    sizes = (small_text(folder / "size") for folder in caches.glob("index[0-9]*"))
    return max((_cache_bytes(size) for size in sizes), default=0)


def _cache_bytes(size: str) -> int:
    """Parse sysfs's form: `512K`, `16M`."""
    number, unit = size[:-1], size[-1:]
    factor = {"K": 1 << 10, "M": 1 << 20}.get(unit, 0)
    return int(number) * factor if number.isdigit() else 0


def read_cpuinfo(root: Path = _ROOT) -> CpuInfo:
    """Name and features from /proc/cpuinfo (`flags` on x86, `Features` on ARM)."""
    fields: dict[str, str] = {}
    for line in small_text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    features = fields.get("flags") or fields.get("Features") or fields.get("isa") or ""
    name = fields.get("model name") or fields.get("Hardware") or platform.machine()
    return CpuInfo(name, tuple(sorted(features.split())))


def cpu_quota(root: Path = _ROOT) -> float | None:
    """The tightest CPU quota of the control groups, in cores; None without a quota."""
    quotas = []
    for folder in control_groups(root, "cpu"):
        quota, _, period = small_text(folder / "cpu.max").partition(" ")  # version 2
        if not quota:
            quota = small_text(folder / "cpu.cfs_quota_us")  # version 1
            period = small_text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def control_groups(root: Path, controller: str) -> list[Path]:
    """Folders of our control group and its parents, innermost first, for both versions.

    Inside a container the path may be one outside of it: folders that do not exist are left out.
    """
    folders: list[Path] = []
    mounts = root / "sys/fs/cgroup"
    for line in small_text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mount = mounts
        elif controller in controllers.split(","):
            mount = mounts / controller
        else:
            continue
        inner = mount / path.lstrip("/")
        chain = [inner, *(p for p in inner.parents if p.is_relative_to(mount))]
        folders += [folder for folder in chain if folder.is_dir()]
    return folders


def _affinity() -> frozenset[int]:
    if sys.platform == "linux":
        return frozenset(os.sched_getaffinity(0))
    else:  # noqa: RET505 - mypy knows a platform's branch, not what follows it
        return frozenset(range(os.cpu_count() or 1))


def small_text(path: Path) -> str:
    """The stripped text of a small system file; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


class MemoryNotLocked(R1Error):
    """The system does not let the engine keep its memory."""

    what = N_("The model's memory cannot be pinned.")
    why = N_("{detail}")
    todo = N_("Raise the limit: ulimit -l unlimited, or LimitMEMLOCK=infinity in a service file.")
    exit_code = 2


def lock_memory() -> None:
    """Keep the pages that are in memory, and later ones once they are used.

    Reserved addresses without pages stay without them. Raises MemoryNotLocked.
    """
    if sys.platform != "linux":
        raise MemoryNotLocked(detail="It is possible on Linux only.")
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(_NOW | _LATER | _WHEN_TOUCHED):
        raise MemoryNotLocked(detail=os.strerror(ctypes.get_errno()))


def drop_own_page_cache() -> None:
    """Drop the pages of our libraries that were read ahead and not used yet.

    A control group charges them to the process that read them first, also in a container: 20 MiB
    and more that no line of a budget includes. Pages that are needed later are read again.
    Elsewhere than on Linux they are not counted.
    """
    if sys.platform != "linux":
        return
    lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
    fields = (line.split(None, _PATH_FIELD) for line in lines)
    for path in {each[_PATH_FIELD] for each in fields if len(each) > _PATH_FIELD}:
        if not Path(path).is_file():
            continue
        with suppress(OSError):  # replaced or deleted since: there is nothing to drop
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)
