"""Measures how fast a drive and the memory are read, to predict the speed of a model.

A drive is read as weights are streamed: 1 MiB each, from as many threads, bypassing the page cache
where that works, into memory of similar size, in huge pages where the system has them. The
measurements behind this: ordinary pages cost up to a third of the speed, reusing a few MiB of
memory gives a fifth to a half more than weights ever see, and a short test shows little but the
start.
"""

import contextlib
import ctypes
import mmap
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

from deepseek_r1.hardware import linux
from deepseek_r1.hardware.storage import SystemFile, SystemRegion, page_up

# The size of one read. Measured through a ring of 160 MiB on a virtual drive: 1 MiB 2,500 MiB/s,
# 512 KiB as much, 256 KiB 2,000, 2 MiB and more 2,100. Shorter reads would spend more time in
# Python.
READ_BYTES = 1 << 20
READERS = 6  # threads that read at the same time: a slow drive needs a deep queue
# Slices of experts are asked for a few at a time, and all of them are waited for.
_TOGETHER, _SLICES_APART = 4, 29
_MOST_S = 1.5
_WARM_UP_S = 0.1  # not counted: the drive wakes up and its queue fills
_MIB = 1 << 20
MOST_BYTES, LEAST_BYTES = 128 << 20, 32 << 20  # of memory that is read
_SLICE_BYTES = 4 << 20
# Memory that the test reads into. Where a model is loaded, the test exceeds the budget by it while
# it runs. Less memory would stay in the processor's caches: 6 MiB gave up to 1.5 times the speed of
# 48 MiB, 16 MiB 0.99 to 1.2 times.
_MEMORY_MIB = 16
_measured: dict[tuple[int, int], float] = {}  # by device and size of a read
_measure_lock = threading.Lock()


def read_speed_mib_s(path: Path, read_bytes: int = READ_BYTES) -> float:
    """The speed of the drive that holds `path`, in MiB per second; 0 for an unreadable file.

    Shorter reads are measured as a mixture's experts are read: from all over the file, four at a
    time. The first call for a drive and a size takes 1.5 seconds. Where direct reads do not work,
    the file is dropped from the page cache and ordinary reads are measured.
    """
    try:
        key = path.stat().st_dev, read_bytes
        with _measure_lock:
            if key not in _measured:
                _measured[key] = measure_mib_s(path, read_bytes=read_bytes)
            return _measured[key]
    except OSError:
        return 0.0


def measure_mib_s(
    path: Path,
    *,
    seconds: float = _MOST_S,
    memory_mib: float = _MEMORY_MIB,
    read_bytes: int = READ_BYTES,
) -> float:
    """Measure once: read the file, again and again, until the time is up. Raises OSError.

    It reads into `memory_mib` of memory, over and over; `read_bytes` at once, whole pages. A file
    that cannot bypass the page cache is read only once.
    """
    direct = _direct(path)
    with contextlib.closing(direct or SystemFile(path, direct=False)) as file:
        if not file.nbytes:
            return 0.0
        if direct is None:
            file.drop_cache(0, file.nbytes)
        memory = SystemRegion(max(READERS, round(memory_mib)) * READ_BYTES, huge_pages=True)
        try:
            memory.commit(0, memory.nbytes)
            mib_s = _read_for(seconds, file, memory, read_bytes, repeat=direct is not None)
        finally:
            memory.close()
        if direct is None:
            file.drop_cache(0, file.nbytes)
    return mib_s


def _read_for(
    seconds: float, file: SystemFile, memory: SystemRegion, read_bytes: int, *, repeat: bool
) -> float:
    """Read with several threads; returns the speed after the warm-up, or of few reads in all."""
    slices = read_bytes < READ_BYTES
    readers = _TOGETHER if slices else READERS
    together = threading.Barrier(readers) if slices else None
    places = zip(
        _offsets(file.nbytes, read_bytes, apart=slices, repeat=repeat),
        cycle(range(0, memory.nbytes, READ_BYTES)),
        strict=False,
    )
    reads: list[tuple[float, int]] = []  # the time a read ended, and its bytes
    lock, started_at = threading.Lock(), time.monotonic()

    def read_all() -> None:
        while True:
            with lock:
                enough = reads and time.monotonic() >= started_at + seconds
                place = None if enough else next(places, None)
            if place is None:
                return
            nbytes = min(read_bytes, page_up(file.nbytes - place[0]))
            with memory.bytes[place[1] : place[1] + nbytes] as into:
                count = file.read_into(into, place[0])
            reads.append((time.monotonic(), count))
            if together is not None:
                together.wait()

    def read(_number: int) -> None:
        try:
            with contextlib.suppress(threading.BrokenBarrierError):
                read_all()
        finally:
            if together is not None:
                together.abort()

    with ThreadPoolExecutor(readers, thread_name_prefix="disk") as threads:
        list(threads.map(read, range(readers)))
    late = [each for each in sorted(reads) if each[0] > started_at + _WARM_UP_S]
    if len(late) > 2 * READERS:
        (started_at, _), *reads = late  # from the end of one read to that of the last
    return sum(nbytes for _, nbytes in reads) / _MIB / max(max(reads)[0] - started_at, 1e-6)


def _offsets(nbytes: int, read_bytes: int, *, apart: bool, repeat: bool) -> Iterator[int]:
    """Where to read a file: in order, or slices from all over it, and again where it may repeat."""
    step = read_bytes * (_SLICES_APART if apart and repeat else 1)
    first = 0
    while True:
        yield from range(first if first < nbytes else 0, nbytes, step)
        if not repeat:
            return
        first = (first + read_bytes) % step


def _direct(path: Path) -> SystemFile | None:
    """The file opened for direct reads; None where its file system has none."""
    try:
        file = SystemFile(path, direct=True)
    except OSError:
        return None
    region = SystemRegion(READ_BYTES, huge_pages=False)
    region.commit(0, READ_BYTES)
    try:
        works = file.nbytes == 0 or file.read_into(region.bytes, 0) > 0
    except OSError:
        works = False
    finally:
        region.close()
    if not works:
        file.close()
        return None
    return file


def memory_read_mib_s(threads: int, *, seconds: float = 0.5) -> float:
    """MiB per second that `threads` threads read together. Takes `seconds` and a little more.

    The C library's `memchr` does the reading, looking for a byte that does not occur. It does not
    hold the interpreter's lock.
    """
    memchr = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None).memchr
    memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    memchr.restype = ctypes.c_void_p
    nbytes = buffer_bytes()
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
