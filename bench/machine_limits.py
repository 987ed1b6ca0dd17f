"""Sets memory limits and drops caches, for fair comparisons.

Linux as root only. A control group (version 1 or 2) counts and limits all memory of the processes
in it, with the pages of files that they were the first to read.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from deepseek_r1.core.errors import R1Error

MIB = 1 << 20
_ROOT = Path("/sys/fs/cgroup")
_V1 = ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt")
_V2 = ("memory.max", "memory.peak", "memory.events")
_END_S = 2.0  # until a group whose processes ended can be removed


class LimitUnavailable(R1Error):
    """No real memory limit can be set."""

    what = "A memory limit cannot be set here."
    why = "{detail}"
    todo = "Run the benchmark on Linux as root, where control groups are available."


class MemoryGroup:
    """A new control group."""

    def __init__(self, limit_mib: float | None, root: Path = _ROOT) -> None:
        """Create the group. Without `limit_mib` it only counts. Raises LimitUnavailable."""
        if sys.platform != "linux" or os.geteuid() != 0:
            raise LimitUnavailable(detail="It needs root on Linux.")
        first = (root / "memory").is_dir()
        self._limit, self._peak, self._hits = _V1 if first else _V2
        name = f"r1desk-bench-{os.getpid()}-{time.monotonic_ns()}"
        self._path = (root / "memory" if first else root) / name
        try:
            if not first:
                _write(root / "cgroup.subtree_control", "+memory")
            self._path.mkdir()
            if limit_mib is not None:
                _write(self._path / self._limit, str(int(limit_mib * MIB)))
                if (self._path / "memory.swap.max").exists():
                    _write(self._path / "memory.swap.max", "0")
        except OSError as error:
            with suppress(OSError):
                self._path.rmdir()
            raise LimitUnavailable(detail=str(error)) from error

    def join(self) -> None:
        """Put the calling process into the group; its children follow."""
        _write(self._path / "cgroup.procs", str(os.getpid()))

    @property
    def peak_mib(self) -> float:
        """The peak memory of the group."""
        return int(_read(self._path / self._peak)) / MIB

    @property
    def limit_hits(self) -> int:
        """The number of times that the group reached its limit."""
        text = _read(self._path / self._hits)
        if self._hits == "memory.failcnt":
            return int(text)
        return int(dict(line.split() for line in text.splitlines()).get("max", 0))

    def remove(self) -> None:
        """Remove the group after its processes have ended."""
        until = time.monotonic() + _END_S
        while self._path.exists():
            try:
                self._path.rmdir()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)


def drop_caches() -> None:
    """Drop the page cache, because pages that are cached already are not charged to a group."""
    os.sync()
    _write(Path("/proc/sys/vm/drop_caches"), "3")


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _write(path: Path, value: str) -> None:
    path.write_text(f"{value}\n", encoding="ascii")
