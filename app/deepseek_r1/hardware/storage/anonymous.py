"""A private mapping without a file: what Linux and macOS have in common."""

from __future__ import annotations

import ctypes
import mmap
import sys

from deepseek_r1.hardware.storage.base import PAGE, page_down, page_up


class AnonymousMemory:
    """Zero until written. Systems differ in how they take pages back."""

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
            self._give_back(first, last - first)

    def _give_back(self, start: int, nbytes: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """See `Region`."""
        self.bytes.release()
        self._map.close()
