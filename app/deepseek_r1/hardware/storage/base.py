"""What every system offers under another name: reads past the page cache, memory given back."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Protocol

# What addresses, offsets and lengths of direct reads are multiples of: 4 KiB suits every drive's
# sector; a system with larger pages (16 KiB on Apple's processors) wants those.
PAGE = max(4096, mmap.PAGESIZE)


def page_down(number: int) -> int:
    """The start of the page that byte `number` is in."""
    return number & ~(PAGE - 1)


def page_up(number: int) -> int:
    """`number` rounded up to whole pages."""
    return (number + PAGE - 1) & ~(PAGE - 1)


class RawFile(Protocol):
    """A file open for reading at positions, by several threads at once. Bytes.

    Opened with `direct`, its reads pass by the page cache, and offset, length and address of each
    are whole pages.
    """

    nbytes: int
    descriptor: int  # for `pread` from native code; -1 where the system has no such call

    def __init__(self, path: Path, *, direct: bool) -> None:
        """Raises OSError, also where the file's drive has no direct reads."""

    def read_into(self, into: memoryview, offset: int) -> int:
        """One read; how many bytes came, 0 at the end of the file. Raises OSError.

        Python's lock is not held meanwhile.
        """

    def forget(self, offset: int, nbytes: int) -> None:
        """Let the page cache drop a range, where the system takes such advice."""

    def close(self) -> None:
        """Nobody may be reading any more."""


class Region(Protocol):
    """Memory of our own: a range of addresses that costs nothing where it was never used.

    `address` is a multiple of a page. Offsets and lengths in bytes.
    """

    address: int
    nbytes: int
    bytes: memoryview

    def __init__(self, nbytes: int, *, huge_pages: bool) -> None:
        """`huge_pages` only where all of it will be used: one byte then costs two MiB.

        Raises OSError where there is no such range.
        """

    def commit(self, start: int, end: int) -> None:
        """The pages around a range are about to be written. Raises OSError without memory."""

    def expect_all(self, start: int, end: int) -> None:
        """All of a range will be used and given back as one: huge pages inside it are welcome."""

    def discard(self, start: int, end: int) -> None:
        """Give back the whole pages between two offsets; what was in them is lost.

        They are committed again before they are used again.
        """

    def close(self) -> None:
        """Give everything back. Nobody may look at it afterwards."""
