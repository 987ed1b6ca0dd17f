"""Storage on macOS: F_NOCACHE for files, MADV_FREE_REUSABLE for anonymous memory.

F_NOCACHE requires no alignment, but unaligned reads go through the cache. Pages have 16 KiB on
Apple's processors. MADV_FREE leaves pages in the process's footprint until memory is short;
MADV_FREE_REUSABLE removes them at once, but has to be undone before they are used again.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from deepseek_r1.hardware.storage.anonymous import AnonymousMemory
from deepseek_r1.hardware.storage.protocols import page_down, page_up

if sys.platform != "win32":
    import fcntl

_NO_RESERVE = 0x40  # MAP_NORESERVE
_F_NOCACHE = 48
_MADV_FREE_REUSABLE, _MADV_FREE_REUSE = 7, 8


class MacFile:
    """A file descriptor; see `RawFile`."""

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

    def drop_cache(self, offset: int, nbytes: int) -> None:
        """Does nothing: macOS has no such advice for a range."""

    def close(self) -> None:
        """See `RawFile`."""
        os.close(self.descriptor)


class MacRegion(AnonymousMemory):
    """Memory whose released pages may keep or lose their bytes."""

    def __init__(self, nbytes: int, *, huge_pages: bool) -> None:  # noqa: ARG002 - macOS has none
        super().__init__(nbytes, _NO_RESERVE)

    def commit(self, start: int, end: int) -> None:
        """Count pages as used again. This has no effect on pages that were never released."""
        first = page_down(start)
        with suppress(OSError):  # the pages are usable nevertheless, only counted wrongly
            self._map.madvise(_MADV_FREE_REUSE, first, page_up(end) - first)

    def allow_huge_pages(self, start: int, end: int) -> None:
        """Does nothing: macOS has no such advice."""

    def _release(self, start: int, nbytes: int) -> None:
        self._map.madvise(_MADV_FREE_REUSABLE, start, nbytes)
