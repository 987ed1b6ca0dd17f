"""Sets limits of memory, drives and cores, and read-ahead, and drops caches, for fair comparisons.

Linux as root only. A control group (version 1 or 2) counts and limits all memory of the processes
in it, with the pages of files that they were the first to read.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.core.errors import R1Error

MIB = 1 << 20
_ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000  # of a processor quota, the kernel's default
_END_S = 2.0  # until a group whose processes ended can be removed


class LimitUnavailable(R1Error):
    """No real memory limit can be set."""

    what = "A memory limit cannot be set here."
    why = "{detail}"
    todo = "Run the benchmark on Linux as root, where control groups are available."


@dataclass(frozen=True, slots=True)
class _Files:
    """The names of a version's files in control groups."""

    limit: str
    peak: str
    hits: str  # how often the limit was reached
    reads: str  # bytes a second that may be read from a drive
    reads_line: str


_V1 = _Files(
    "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt",
    "blkio.throttle.read_bps_device", "{drive} {bytes_s}",
)  # fmt: skip
_V2 = _Files("memory.max", "memory.peak", "memory.events", "io.max", "{drive} rbps={bytes_s}")


@dataclass(frozen=True, slots=True)
class DriveLimit:
    """A limit on the reading speed of a drive; pages in the page cache are not limited."""

    path: Path  # a file on the drive
    mib_s: float

    @property
    def drive(self) -> str:
        """The kernel's device numbers, of the disk for a partition."""
        device = self.path.stat().st_dev
        entry = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
        whole = entry.parent if (entry / "partition").exists() else entry
        return _read(whole / "dev")


class MemoryGroup:
    """A new control group; version 1 needs further ones for limits of a drive and of cores."""

    def __init__(
        self,
        limit_mib: float | None,
        drive: DriveLimit | None = None,
        *,
        cores: float | None = None,
        root: Path = _ROOT,
    ) -> None:
        """Create the group. Without `limit_mib` it only counts. Raises LimitUnavailable.

        `cores` is the processor quota: 0.5 is half the time of one core.
        """
        if sys.platform != "linux" or os.geteuid() != 0:
            raise LimitUnavailable(detail="It needs root on Linux.")
        self._files = _V1 if (root / "memory").is_dir() else _V2
        name = f"r1desk-bench-{os.getpid()}-{time.monotonic_ns()}"
        self._path = (root / "memory" if self._files is _V1 else root) / name
        self._folders = [self._path]
        try:
            if self._files is _V2:
                controllers = ["+memory", *(["+io"] if drive else []), *(["+cpu"] if cores else [])]
                _write(root / "cgroup.subtree_control", " ".join(controllers))
            self._path.mkdir()
            if limit_mib is not None:
                _write(self._path / self._files.limit, str(int(limit_mib * MIB)))
                if (self._path / "memory.swap.max").exists():
                    _write(self._path / "memory.swap.max", "0")
            if drive is not None:
                self._limit_drive(drive, root / "blkio" / name)
            if cores is not None:
                self._limit_cores(cores, root / "cpu" / name)
        except OSError as error:
            for folder in self._folders:
                with suppress(OSError):
                    folder.rmdir()
            raise LimitUnavailable(detail=str(error)) from error

    def _limit_drive(self, drive: DriveLimit, v1_folder: Path) -> None:
        folder = self._path
        if self._files is _V1:
            folder = v1_folder
            folder.mkdir()
            self._folders.append(folder)
        line = self._files.reads_line.format(drive=drive.drive, bytes_s=int(drive.mib_s * MIB))
        _write(folder / self._files.reads, line)

    def _limit_cores(self, cores: float, v1_folder: Path) -> None:
        """Let the quota limit the group, and other programs as little as they can."""
        quota = str(int(cores * _PERIOD_US))
        if self._files is _V2:
            _write(self._path / "cpu.max", f"{quota} {_PERIOD_US}")
            _write(self._path / "cpu.weight", "10000")
            return
        v1_folder.mkdir()
        self._folders.append(v1_folder)
        _write(v1_folder / "cpu.cfs_period_us", str(_PERIOD_US))
        _write(v1_folder / "cpu.cfs_quota_us", quota)
        _write(v1_folder / "cpu.shares", "16384")

    def join(self) -> None:
        """Put the calling process into the group; its children follow."""
        self.add(os.getpid())

    def add(self, process: int) -> None:
        """Put a process into the group. Memory that it has already is not counted."""
        for folder in self._folders:
            _write(folder / "cgroup.procs", str(process))

    @property
    def peak_mib(self) -> float:
        """The peak memory of the group."""
        return int(_read(self._path / self._files.peak)) / MIB

    @property
    def limit_hits(self) -> int:
        """The number of times that the group reached its limit."""
        text = _read(self._path / self._files.hits)
        if self._files is _V1:
            return int(text)
        return int(dict(line.split() for line in text.splitlines()).get("max", 0))

    def remove(self) -> None:
        """Remove the group after its processes have ended."""
        until = time.monotonic() + _END_S
        while left := [folder for folder in self._folders if folder.exists()]:
            try:
                left[0].rmdir()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)


def drop_caches() -> None:
    """Drop the page cache, because pages that are cached already are not charged to a group."""
    os.sync()
    _write(Path("/proc/sys/vm/drop_caches"), "3")


def read_ahead_kib(path: Path) -> int:
    """Returns the read-ahead of the drive of `path`. Raises LimitUnavailable."""
    try:
        return int(_read(_read_ahead_file(path)))
    except OSError as error:
        raise LimitUnavailable(detail=str(error)) from error


@contextmanager
def read_ahead(path: Path, kib: int) -> Iterator[None]:
    """Set the read-ahead of the drive inside the block. Raises LimitUnavailable."""
    file = _read_ahead_file(path)
    try:
        before = _read(file)
        _write(file, str(kib))
    except OSError as error:
        raise LimitUnavailable(detail=str(error)) from error
    try:
        yield
    finally:
        _write(file, before)


def _read_ahead_file(path: Path) -> Path:
    device = path.stat().st_dev
    return Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _write(path: Path, value: str) -> None:
    path.write_text(f"{value}\n", encoding="ascii")
