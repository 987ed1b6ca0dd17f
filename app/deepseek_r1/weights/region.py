"""Reserved addresses: memory that costs nothing until it is touched, and can be given back."""

from __future__ import annotations

import ctypes
import mmap
import sys
from contextlib import suppress

PAGE = 4096  # also what direct I/O asks for
_NO_RESERVE = {"linux": 0x4000, "darwin": 0x40}.get(sys.platform, 0)


def page_down(number: int) -> int:
    """The start of the page that byte `number` is in."""
    return number & ~(PAGE - 1)


def page_up(number: int) -> int:
    """`number` rounded up to whole pages."""
    return (number + PAGE - 1) & ~(PAGE - 1)


class Region:
    """Anonymous memory of our own, zero until written. Offsets and lengths in bytes."""

    def __init__(self, nbytes: int, *, huge_pages: bool) -> None:
        """`huge_pages` only where all of it will be used: one byte then costs two MiB."""
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
        self._map = mmap.mmap(-1, max(page_up(nbytes), PAGE), flags=flags)
        self.nbytes = len(self._map)
        advice = "MADV_HUGEPAGE" if huge_pages else "MADV_NOHUGEPAGE"
        if hasattr(mmap, advice):
            with suppress(OSError):  # a kernel without huge pages
                self._map.madvise(getattr(mmap, advice))
        anchor = ctypes.c_char.from_buffer(self._map)
        self.address = ctypes.addressof(anchor)
        del anchor
        self.bytes = memoryview(self._map)

    def discard(self, start: int, end: int) -> None:
        """Give the whole pages between two offsets back; they read as zeros again."""
        first, last = page_up(start), page_down(end)
        if first < last:
            self._map.madvise(mmap.MADV_DONTNEED, first, last - first)

    def close(self) -> None:
        """Give everything back. Nobody may look at it afterwards."""
        self.bytes.release()
        self._map.close()
