"""How fast a drive reads: as the streaming of weights reads, so that its speed can be foretold.

The same reads from as many threads: 4 MiB each, past the page cache where that works, into memory
that holds the reads in huge pages where the system has them. Measured on this way of reading:
ordinary pages cost up to a third of the speed, and a short test shows little but the start.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepseek_r1.hardware.storage import RawFile, SystemFile, SystemRegion, page_up

READ_BYTES = 4 << 20  # of one read: measured, larger reads are not faster
READERS = 6  # threads that read at the same time: a drive in a slow hour wants a deep queue
_MOST_S = 1.5
_WARM_UP_S = 0.1  # left out: a drive and its queue wake up
_MIB = 1 << 20
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


def measure_mib_s(path: Path, *, seconds: float = _MOST_S, direct: bool = True) -> float:
    """One measurement over the file, again from its start until the time is up. Raises OSError.

    A file that cannot be read past the page cache is read once.
    """
    with _opened(path, direct=direct) as (file, is_direct):
        if not file.nbytes:
            return 0.0
        if not is_direct:
            file.forget(0, file.nbytes)
        pace = _Pace(file, seconds, again=is_direct)
        with ThreadPoolExecutor(READERS, thread_name_prefix="disk") as threads:
            list(threads.map(pace.read, range(READERS)))
        if not is_direct:
            file.forget(0, file.nbytes)
    return pace.mib_s


class _Pace:
    """Hands out reads until the time is used up, and counts what came after the warm-up."""

    def __init__(self, file: RawFile, seconds: float, *, again: bool) -> None:
        self._file, self._again = file, again
        self._began = time.monotonic()
        self._ends_at = self._began + seconds
        self._next, self._lock = 0, threading.Lock()
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
        region = SystemRegion(READ_BYTES, huge_pages=True)
        try:
            while (start := self._start()) is not None:
                nbytes = min(READ_BYTES, page_up(self._file.nbytes - start))
                with region.bytes[:nbytes] as into:
                    count = self._file.read_into(into, start)
                with self._lock:
                    self._ends.append((time.monotonic(), count))
        finally:
            region.close()

    def _start(self) -> int | None:
        """Where to read next; None when it is enough."""
        with self._lock:
            if self._next >= self._file.nbytes:
                if not self._again:
                    return None
                self._next = 0
            if self._ends and time.monotonic() >= self._ends_at:
                return None
            start = self._next
            self._next += READ_BYTES
            return start


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
