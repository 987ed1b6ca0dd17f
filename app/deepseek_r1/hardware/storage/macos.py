"""macOS: F_NOCACHE for files, anonymous memory that is marked as reusable.

F_NOCACHE asks for no alignment, but reads that have none go through the cache. Pages are 16 KiB
on Apple's processors. MADV_FREE leaves pages in the process's footprint until memory is short;
MADV_FREE_REUSABLE takes them out at once and wants to hear of it before they are used again.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from deepseek_r1.hardware.storage.anonymous import AnonymousMemory
from deepseek_r1.hardware.storage.base import page_down, page_up

if sys.platform != "win32":
    import fcntl

_NO_RESERVE = 0x40  # MAP_NORESERVE
_F_NOCACHE = 48
_MADV_FREE_REUSABLE, _MADV_FREE_REUSE = 7, 8


class MacFile:
    """A descriptor; see `RawFile`."""

    def __init__(self, path: Path, *, direct: bool) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if direct:
                fcntl.fcntl(self.descriptor, _F_NOCACHE, 1)
            self.nbytes = os.fstat(self.descriptor).st_size
        except OSError:
            os.close(self.descriptor)
            raise

    def read_into(self, into: memoryview, offset: int) -> int:
        """See `RawFile`."""
        return os.preadv(self.descriptor, [into], offset)

    def forget(self, offset: int, nbytes: int) -> None:
        """macOS takes no such advice for a range."""

    def close(self) -> None:
        """See `RawFile`."""
        os.close(self.descriptor)


class MacRegion(AnonymousMemory):
    """Pages given back keep or lose their bytes, as the system likes."""

    def __init__(self, nbytes: int, *, huge_pages: bool) -> None:  # noqa: ARG002 - macOS has none
        super().__init__(nbytes, _NO_RESERVE)

    def commit(self, start: int, end: int) -> None:
        """Counts pages as used again. Those that were never given back do not mind."""
        first = page_down(start)
        with suppress(OSError):  # the pages are usable all the same, only miscounted
            self._map.madvise(_MADV_FREE_REUSE, first, page_up(end) - first)

    def expect_all(self, start: int, end: int) -> None:
        """See `Region`. macOS takes no such advice."""

    def _give_back(self, start: int, nbytes: int) -> None:
        self._map.madvise(_MADV_FREE_REUSABLE, start, nbytes)
