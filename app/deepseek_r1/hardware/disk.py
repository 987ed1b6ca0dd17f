"""How fast a drive reads: large blocks in a row, past the page cache where that works."""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_THREADS = 4
_BLOCK_BYTES = 2 << 20
_MOST_S = 0.5
_MIB = 1 << 20
_measured: dict[int, float] = {}  # by device
_measuring = threading.Lock()


def read_speed_mib_s(path: Path) -> float:
    """MiB a second of the drive that `path` is on. The first call for a drive takes half a second.

    Where direct reads do not work, pages of the file are dropped first and ordinary reads stand in.
    0 where the file cannot be read at all.
    """
    try:
        device = path.stat().st_dev
        with _measuring:
            if device not in _measured:
                _measured[device] = measure_mib_s(path)
            return _measured[device]
    except OSError:
        return 0.0


def known_speed_mib_s(path: Path) -> float:
    """What `read_speed_mib_s` found before for this drive; 0 where it was not asked."""
    try:
        return _measured.get(path.stat().st_dev, 0.0)
    except OSError:
        return 0.0


def measure_mib_s(path: Path, *, seconds: float = _MOST_S, direct: bool = True) -> float:
    """One measurement, four threads reading the file from its start. Raises OSError."""
    size = path.stat().st_size
    if not size:
        return 0.0
    with _opened(path, direct=direct) as (handle, is_direct):
        if not is_direct:
            _forget(handle)
        pace = _Pace(handle, size, seconds)
        began = time.monotonic()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="disk") as threads:
            total = sum(threads.map(lambda _: pace.read(), range(_THREADS)))
        took = time.monotonic() - began
        if not is_direct:
            _forget(handle)
    return total / _MIB / max(took, 1e-6)


class _Pace:
    """Hands out the blocks of a file until they or the time are used up."""

    def __init__(self, handle: int, size: int, seconds: float) -> None:
        self._handle = handle
        self._ends_at = time.monotonic() + seconds
        self._starts = iter(range(0, size, _BLOCK_BYTES))
        self._lock = threading.Lock()

    def read(self) -> int:
        """Bytes read by this thread."""
        total = 0
        with mmap.mmap(-1, _BLOCK_BYTES) as block:  # direct reads want whole pages
            while time.monotonic() < self._ends_at:
                with self._lock:
                    start = next(self._starts, None)
                    if start is None:
                        break
                    if not hasattr(os, "preadv"):
                        os.lseek(self._handle, start, os.SEEK_SET)
                        total += len(os.read(self._handle, _BLOCK_BYTES))
                        continue
                total += os.preadv(self._handle, [block], start)
        return total


@contextlib.contextmanager
def _opened(path: Path, *, direct: bool) -> Iterator[tuple[int, bool]]:
    """A descriptor, and whether its reads pass by the page cache."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    handle, is_direct = -1, False
    if direct and hasattr(os, "O_DIRECT"):
        try:
            handle = os.open(path, flags | os.O_DIRECT)
            with mmap.mmap(-1, _BLOCK_BYTES) as block:
                is_direct = os.preadv(handle, [block], 0) > 0
        except OSError:  # the file system has no direct reads
            is_direct = False
        if not is_direct and handle >= 0:
            os.close(handle)
    if not is_direct:
        handle = os.open(path, flags)
    try:
        yield handle, is_direct
    finally:
        os.close(handle)


def _forget(handle: int) -> None:
    """Drop the file's clean pages from the cache, so that reading them is reading the drive."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
