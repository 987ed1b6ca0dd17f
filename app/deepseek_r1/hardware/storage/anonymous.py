"""A private mapping without a file, for Linux and macOS."""

from __future__ import annotations

import ctypes
import mmap
import sys

from deepseek_r1.hardware.storage.protocols import PAGE, page_down, page_up


class AnonymousMemory:
    """Memory that is zero until written. Systems differ in how pages are released."""

    def __init__(self, nbytes: int, no_reserve: int) -> None:
        if sys.platform == "win32":
            raise OSError("mappings of this kind do not exist on Windows")
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
        self._map = mmap.mmap(-1, max(page_up(nbytes), PAGE), flags=flags)
        self.nbytes = len(self._map)
        anchor = ctypes.c_char.from_buffer(self._map)
        self.address = ctypes.addressof(anchor)
        del anchor
        self.bytes = memoryview(self._map)

    def discard(self, start: int, end: int) -> None:
        """See `Region`."""
        first, last = page_up(start), page_down(end)
        if first < last:
            self._release(first, last - first)

    def _release(self, start: int, nbytes: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """See `Region`."""
        self.bytes.release()
        self._map.close()
