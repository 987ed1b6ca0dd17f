"""Measures how fast the processor reads memory, which limits decoding of a model in memory.

Every token reads all weights once, so this speed over their size is the largest possible number of
tokens per second (a forecast says the part of it that a model reaches).
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from deepseek_r1.hardware import linux

MOST_BYTES, LEAST_BYTES = 128 << 20, 32 << 20
_SLICE_BYTES = 4 << 20
_MIB = 1 << 20


def memory_read_mib_s(threads: int, *, seconds: float = 0.5) -> float:
    """MiB per second that `threads` threads read together. Takes `seconds` and a little more.

    The C library's `memchr` does the reading, looking for a byte that does not occur. It does not
    hold the interpreter's lock.
    """
    memchr, nbytes = _memchr(), buffer_bytes()
    with mmap.mmap(-1, nbytes) as buffer:
        anchor = ctypes.c_char.from_buffer(buffer)
        address = ctypes.addressof(anchor)
        ctypes.memset(address, 1, nbytes)  # unwritten pages would all be the same page
        share = nbytes // threads // _SLICE_BYTES * _SLICE_BYTES

        def read(number: int) -> int:
            first, total = address + number * share, 0
            while time.monotonic() < ends_at:
                memchr(first + total % share, 2, _SLICE_BYTES)
                total += _SLICE_BYTES
            return total

        started_at = time.monotonic()
        ends_at = started_at + seconds
        with ThreadPoolExecutor(threads, thread_name_prefix="memory") as pool:
            total = sum(pool.map(read, range(threads)))
        elapsed_s = time.monotonic() - started_at
        del anchor  # the buffer cannot be closed while something points into it
    return total / _MIB / elapsed_s


def buffer_bytes() -> int:
    """The size of the memory that is read: twice the largest cache, and 128 MiB at most.

    It counts as the window's memory meanwhile. Where the cache's size is unknown it is 128 MiB.
    """
    cache = linux.largest_cache_bytes() if sys.platform == "linux" else 0
    return min(MOST_BYTES, max(LEAST_BYTES, 2 * cache)) if cache else MOST_BYTES


def _memchr() -> ctypes._NamedFuncPointer:
    library = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
    function = library.memchr
    function.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    function.restype = ctypes.c_void_p
    return function
