"""Storage on Linux: O_DIRECT and preadv for files, MADV_DONTNEED for anonymous memory."""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from pathlib import Path

from deepseek_r1.hardware.storage.anonymous import AnonymousMemory

_NO_RESERVE = 0x4000  # MAP_NORESERVE: address space alone does not count as memory
_HUGE = 2 << 20


class LinuxFile:
    """A file descriptor; see `RawFile`."""

    def __init__(self, path: Path, *, direct: bool) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC
        self.descriptor = os.open(path, flags | os.O_DIRECT if direct else flags)
        self.nbytes = os.fstat(self.descriptor).st_size

    def read_into(self, into: memoryview, offset: int) -> int:
        """See `RawFile`."""
        return os.preadv(self.descriptor, [into], offset)

    def drop_cache(self, offset: int, nbytes: int) -> None:
        """See `RawFile`."""
        os.posix_fadvise(self.descriptor, offset, nbytes, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """See `RawFile`."""
        os.close(self.descriptor)


class LinuxRegion(AnonymousMemory):
    """Memory whose pages appear on first use and are zero again after `discard`."""

    def __init__(self, nbytes: int, *, huge_pages: bool) -> None:
        super().__init__(nbytes, _NO_RESERVE)
        advice = "MADV_HUGEPAGE" if huge_pages else "MADV_NOHUGEPAGE"
        with suppress(OSError):  # a kernel without huge pages
            self._map.madvise(getattr(mmap, advice))

    def commit(self, start: int, end: int) -> None:
        """Does nothing: the kernel provides a page when it is touched."""

    def allow_huge_pages(self, start: int, end: int) -> None:
        """See `Region`. Measured: a drive fills huge pages three times as fast."""
        first = -(-(self.address + start) // _HUGE) * _HUGE - self.address
        nbytes = (self.address + end) // _HUGE * _HUGE - self.address - first
        if nbytes > 0:
            with suppress(OSError):  # a kernel without huge pages
                self._map.madvise(mmap.MADV_HUGEPAGE, first, nbytes)

    def _release(self, start: int, nbytes: int) -> None:
        self._map.madvise(mmap.MADV_DONTNEED, start, nbytes)
