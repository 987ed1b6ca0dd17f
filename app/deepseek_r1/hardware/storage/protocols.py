"""Protocols that hide the systems' differences: direct reads, and memory that can be released."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Protocol

# Addresses, offsets and lengths of direct reads are multiples of this: 4 KiB suits the sectors of
# every drive; a system with larger pages (16 KiB on Apple's processors) needs those.
PAGE = max(4096, mmap.PAGESIZE)


def page_down(number: int) -> int:
    """The start of the page that byte `number` is in."""
    return number & ~(PAGE - 1)


def page_up(number: int) -> int:
    """`number` rounded up to whole pages."""
    return (number + PAGE - 1) & ~(PAGE - 1)


class RawFile(Protocol):
    """A file that several threads may read at any offset at the same time. Sizes in bytes.

    Opened with `direct`, reads bypass the page cache, and the offset, length and address of each
    are whole pages.
    """

    nbytes: int
    descriptor: int  # for reads by native code: of `pread`, on Windows a handle of `ReadFile`

    def __init__(self, path: Path, *, direct: bool) -> None:
        """Raises OSError, also where direct reads are not supported."""

    def read_into(self, into: memoryview, offset: int) -> int:
        """Read once; returns the number of bytes, 0 at the end of the file. Raises OSError.

        Does not hold Python's lock.
        """

    def drop_cache(self, offset: int, nbytes: int) -> None:
        """Drop a range from the page cache, where the system supports it."""

    def close(self) -> None:
        """Close the file. No thread may be reading any more."""


class Region(Protocol):
    """A range of addresses of our own, which costs no memory where it was never used.

    `address` is a multiple of a page. Offsets and lengths in bytes.
    """

    address: int
    nbytes: int
    bytes: memoryview

    def __init__(self, nbytes: int, *, huge_pages: bool) -> None:
        """`huge_pages` only where the whole region will be used: one byte then costs two MiB.

        Raises OSError where there is no such address range.
        """

    def commit(self, start: int, end: int) -> None:
        """Prepare the pages around a range for writing. Raises OSError without memory."""

    def allow_huge_pages(self, start: int, end: int) -> None:
        """Allow huge pages in a range that is used and released as a whole."""

    def discard(self, start: int, end: int) -> None:
        """Release the whole pages between two offsets; their contents are lost.

        They have to be committed before they are used again.
        """

    def close(self) -> None:
        """Release the whole region. It must not be accessed afterwards."""
