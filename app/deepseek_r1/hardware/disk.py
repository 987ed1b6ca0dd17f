"""How fast a drive reads: as the streaming of weights reads, so that its speed can be foretold.

The same reads from as many threads: 1 MiB each, past the page cache where that works, into as much
memory, in huge pages where the system has them. Measured on this way of reading: ordinary pages
cost up to a third of the speed, a few MiB of memory used over and over give a fifth to a half more
than weights ever see, and a short test shows little but the start.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepseek_r1.hardware.storage import RawFile, Region, SystemFile, SystemRegion, page_up

# Of one read. Measured through a ring of 160 MiB on a virtual drive: 1 MiB 2,500 MiB/s, 512 KiB as
# much, 256 KiB 2,000, 2 MiB and more 2,100. Shorter ones would take more of Python.
READ_BYTES = 1 << 20
READERS = 6  # threads that read at the same time: a drive in a slow hour wants a deep queue
_MOST_S = 1.5
_WARM_UP_S = 0.1  # left out: a drive and its queue wake up
_MIB = 1 << 20
# That the test reads into. It comes on top of a budget for as long as the test takes, where a model
# is loaded. Less of it would not leave the processor's caches: 6 MiB gave up to 1.5 times the speed
# of 48, 16 MiB 0.99 to 1.2 times.
_MEMORY_MIB = 16
_measured: dict[int, float] = {}  # by device
_measuring = threading.Lock()


def read_speed_mib_s(path: Path) -> float:
    """MiB a second of the drive that `path` is on. The first call for a drive takes 1.5 seconds.

    Where direct reads do not work, pages of the file are dropped first and ordinary reads stand in.
    0 where the file cannot be read at all.
    """
    try:
        device = path.stat().st_dev
        with _measuring:
            if device not in _measured:
                _measured[device] = measure_mib_s(path)
            return _measured[device]
    except OSError:
        return 0.0


def measure_mib_s(
    path: Path,
    *,
    seconds: float = _MOST_S,
    direct: bool = True,
    memory_mib: float = _MEMORY_MIB,
    read_bytes: int = READ_BYTES,
) -> float:
    """One measurement over the file, again from its start until the time is up. Raises OSError.

    It reads into `memory_mib`, over and over, `read_bytes` at once. A file that cannot be read
    past the page cache is read once.
    """
    with _opened(path, direct=direct) as (file, is_direct):
        if not file.nbytes:
            return 0.0
        if not is_direct:
            file.forget(0, file.nbytes)
        places = max(READERS, round(memory_mib * _MIB) // read_bytes)
        memory = SystemRegion(places * read_bytes, huge_pages=True)
        try:
            memory.commit(0, memory.nbytes)
            pace = _Pace(file, memory, read_bytes, seconds, again=is_direct)
            with ThreadPoolExecutor(READERS, thread_name_prefix="disk") as threads:
                list(threads.map(pace.read, range(READERS)))
        finally:
            memory.close()
        if not is_direct:
            file.forget(0, file.nbytes)
    return pace.mib_s


class _Pace:
    """Hands out reads until the time is used up, and counts what came after the warm-up."""

    def __init__(
        self, file: RawFile, memory: Region, read_bytes: int, seconds: float, *, again: bool
    ) -> None:
        self._file, self._memory, self._again = file, memory, again
        self._read_bytes = read_bytes
        self._memory_bytes = memory.nbytes // read_bytes * read_bytes
        self._began = time.monotonic()
        self._ends_at = self._began + seconds
        self._next, self._place, self._lock = 0, 0, threading.Lock()
        self._ends: list[tuple[float, int]] = []  # when a read ended, and its bytes

    @property
    def mib_s(self) -> float:
        """The speed behind the first `_WARM_UP_S`; of all where nothing came behind them."""
        warm_at = self._began + _WARM_UP_S
        late = [(at, nbytes) for at, nbytes in sorted(self._ends) if at > warm_at]
        if len(late) > 2 * READERS:
            (began, _), *counted = late  # from the end of one read to that of the last
        else:
            began, counted = self._began, sorted(self._ends)
        total = sum(nbytes for _, nbytes in counted)
        return total / _MIB / max(counted[-1][0] - began, 1e-6)

    def read(self, _number: int) -> None:
        """What one thread does."""
        while (spot := self._spot()) is not None:
            start, place = spot
            nbytes = min(self._read_bytes, page_up(self._file.nbytes - start))
            with self._memory.bytes[place : place + nbytes] as into:
                count = self._file.read_into(into, start)
            with self._lock:
                self._ends.append((time.monotonic(), count))

    def _spot(self) -> tuple[int, int] | None:
        """Where to read next in the file, and to where in memory; None when it is enough."""
        with self._lock:
            if self._next >= self._file.nbytes:
                if not self._again:
                    return None
                self._next = 0
            if self._ends and time.monotonic() >= self._ends_at:
                return None
            start, place = self._next, self._place
            self._next += self._read_bytes
            self._place = (place + self._read_bytes) % self._memory_bytes
            return start, place


@contextlib.contextmanager
def _opened(path: Path, *, direct: bool) -> Iterator[tuple[RawFile, bool]]:
    """The file, and whether its reads pass by the page cache."""
    file = _direct(path) if direct else None
    is_direct = file is not None
    if file is None:
        file = SystemFile(path, direct=False)
    try:
        yield file, is_direct
    finally:
        file.close()


def _direct(path: Path) -> RawFile | None:
    """The file for direct reads; None where its file system has none."""
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
