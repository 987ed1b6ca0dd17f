"""Storage on Linux and macOS: files read at offsets, and private mappings without a file.

Linux has O_DIRECT for files and MADV_DONTNEED for memory. macOS has F_NOCACHE, which requires no
alignment, but unaligned reads go through the cache. Its pages have 16 KiB on Apple's processors.
MADV_FREE leaves pages in the process's footprint until memory is short; MADV_FREE_REUSABLE removes
them at once, but has to be undone before they are used again.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl
if sys.platform == "linux":
    _mremap, _mmap = ctypes.CDLL(None).mremap, ctypes.CDLL(None).mmap
    _mremap.argtypes = *3 * [ctypes.c_size_t], ctypes.c_int, ctypes.c_size_t
    _mmap.argtypes = *2 * [ctypes.c_size_t], *3 * [ctypes.c_int], ctypes.c_size_t
    _mremap.restype = _mmap.restype = ctypes.c_ssize_t

# Addresses, offsets and lengths of direct reads are multiples of this: 4 KiB suits the sectors of
# every drive; a system with larger pages (16 KiB on Apple's processors) needs those.
PAGE = max(4096, mmap.PAGESIZE)
_HUGE = 2 << 20
# MAP_NORESERVE: address space alone does not count as memory.
_NO_RESERVE = 0x40 if sys.platform == "darwin" else 0x4000
_F_NOCACHE = 48
_MADV_FREE_REUSABLE, _MADV_FREE_REUSE = 7, 8
_MOVE_BUT_KEEP_RANGE = 1 | 2 | 4  # MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP
_FIXED = 0x10  # MAP_FIXED


def page_down(number: int) -> int:
    """The start of the page that byte `number` is in."""
    return number & ~(PAGE - 1)


def page_up(number: int) -> int:
    """`number` rounded up to whole pages."""
    return (number + PAGE - 1) & ~(PAGE - 1)


class LinuxFile:
    """A file that several threads may read at any offset at the same time. Sizes in bytes.

    Opened with `direct`, reads bypass the page cache, and the offset, length and address of each
    are whole pages. `descriptor` is for reads by native code: of `pread`, on Windows a handle of
    `ReadFile`.
    """

    def __init__(self, path: Path, *, direct: bool) -> None:
        """Raises OSError, also where direct reads are not supported."""
        flags = os.O_RDONLY | os.O_CLOEXEC
        self.descriptor = os.open(path, flags | os.O_DIRECT if direct else flags)
        self.nbytes = os.fstat(self.descriptor).st_size

    def read_into(self, into: memoryview, offset: int) -> int:
        """Read once; returns the number of bytes, 0 at the end of the file. Raises OSError.

        Does not hold Python's lock.
        """
        return os.preadv(self.descriptor, [into], offset)

    def drop_cache(self, offset: int, nbytes: int) -> None:
        """Drop a range from the page cache, where the system supports it."""
        os.posix_fadvise(self.descriptor, offset, nbytes, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file. No thread may be reading any more."""
        os.close(self.descriptor)


class MacFile(LinuxFile):
    """A file descriptor without the cache."""

    def __init__(self, path: Path, *, direct: bool) -> None:
        super().__init__(path, direct=False)
        if direct:
            try:
                fcntl.fcntl(self.descriptor, _F_NOCACHE, 1)
            except OSError:
                self.close()
                raise

    def drop_cache(self, offset: int, nbytes: int) -> None:
        """Does nothing: macOS has no such advice for a range."""


class LinuxRegion:
    """A range of addresses of our own, which costs no memory where it was never used.

    `address` is a multiple of a page; offsets and lengths are bytes. Here pages appear on first use
    and are zero again after `discard`.
    """

    def __init__(self, nbytes: int, *, huge_pages: bool) -> None:
        """`huge_pages` only where the whole region will be used: one byte then costs two MiB.

        Raises OSError where there is no such address range.
        """
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
        self._map = mmap.mmap(-1, max(page_up(nbytes), PAGE), flags=flags)
        self.nbytes = len(self._map)
        anchor = ctypes.c_char.from_buffer(self._map)
        self.address = ctypes.addressof(anchor)
        del anchor
        self.bytes = memoryview(self._map)
        with suppress(OSError, AttributeError):  # a system without huge pages
            self._map.madvise(mmap.MADV_HUGEPAGE if huge_pages else mmap.MADV_NOHUGEPAGE)

    def commit(self, start: int, end: int) -> None:
        """Prepare the pages around a range for writing. Raises OSError without memory.

        Does nothing here: the kernel provides a page when it is touched.
        """

    def allow_huge_pages(self, start: int, end: int) -> None:
        """Allow huge pages in a range that is used and released as a whole.

        Measured: a drive fills huge pages three times as fast.
        """
        first = -(-(self.address + start) // _HUGE) * _HUGE - self.address
        nbytes = (self.address + end) // _HUGE * _HUGE - self.address - first
        if nbytes > 0:
            with suppress(OSError):  # a kernel without huge pages
                self._map.madvise(mmap.MADV_HUGEPAGE, first, nbytes)

    def discard(self, start: int, end: int) -> None:
        """Release the whole pages between two offsets; their contents are lost.

        They have to be committed before they are used again.
        """
        first, last = page_up(start), page_down(end)
        if first < last:
            self._release(first, last - first)

    def take_pages(self, start: int, nbytes: int, giver: LinuxRegion, giver_start: int) -> None:
        """Discard whole pages of `giver`, and use them here where the system can move them.

        The pages here must have been discarded, and hold anything afterwards. A read into moved
        pages need not wait until they are cleared. Each range becomes a mapping of its own. Raises
        OSError without memory.
        """
        address, to = giver.address + giver_start, self.address + start
        if _mremap(address, nbytes, nbytes, _MOVE_BUT_KEEP_RANGE, to) != -1:
            return
        giver.discard(giver_start, giver_start + nbytes)  # before Linux 5.7, or it failed halfway:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE | _FIXED
        if _mmap(to, nbytes, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) == -1:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def _release(self, start: int, nbytes: int) -> None:
        self._map.madvise(mmap.MADV_DONTNEED, start, nbytes)

    def close(self) -> None:
        """Release the whole region. It must not be accessed afterwards."""
        self.bytes.release()
        self._map.close()


class MacRegion(LinuxRegion):
    """Memory whose released pages may keep or lose their bytes."""

    def commit(self, start: int, end: int) -> None:
        """Count pages as used again. This has no effect on pages that were never released."""
        first = page_down(start)
        with suppress(OSError):  # the pages are usable nevertheless, only counted wrongly
            self._map.madvise(_MADV_FREE_REUSE, first, page_up(end) - first)

    def allow_huge_pages(self, start: int, end: int) -> None:
        """Does nothing: macOS has no such advice."""

    def take_pages(self, _start: int, nbytes: int, giver: LinuxRegion, giver_start: int) -> None:
        """Discard them: macOS does not move pages."""
        giver.discard(giver_start, giver_start + nbytes)

    def _release(self, start: int, nbytes: int) -> None:
        self._map.madvise(_MADV_FREE_REUSABLE, start, nbytes)
