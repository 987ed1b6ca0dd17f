"""A ring of memory that is filled with weights in the order of the computation, ahead of it.

Plain threads read; they sleep in the kernel or on a condition. The ring is used like a queue of
weights of different sizes, each in one piece: what comes in first goes out first. Positions in it
count on and on; bytes that are a ring apart share memory. A weight gets its place at once, and each
piece of it is read as soon as what was there before is used up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from deepseek_r1.hardware.disk import READERS
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.reader import WeightFile
from deepseek_r1.weights.region import Region, page_down, page_up

_LOOK_S = 0.5  # a waiting computation looks this often whether anything is left to wait for


class _Use(Enum):
    AHEAD = 0
    TAKEN = 1
    DONE = 2


@dataclass(eq=False, slots=True)
class _Entry:
    matrix: Matrix
    start: int  # positions
    end: int
    address: int  # of the weight, once it is read
    left: int  # pieces not read yet
    following: Matrix | None  # what is needed next; None at the end of a pass
    use: _Use = _Use.AHEAD


class ReadAhead:
    """The readers and their ring. `take`, `release` and the rest belong to one thread."""

    def __init__(self, files: Sequence[WeightFile], ring_bytes: int) -> None:
        self._files = files
        self._ring = Region(ring_bytes, huge_pages=True)
        self._lock = threading.Lock()
        self._work, self._ready = threading.Condition(self._lock), threading.Condition(self._lock)
        self._queue: deque[_Entry] = deque()
        self._ahead: dict[Matrix, _Entry] = {}  # those not taken and released yet
        self._taken: list[_Entry] = []
        self._pieces: deque[tuple[_Entry, int, int]] = deque()
        self._head = 0  # the position behind the newest entry
        self._next = 0
        self._place: dict[Matrix, int] = {}
        self._taken_bytes = 0
        self._busy = 0  # readers that read
        self._idle = 0  # readers that sleep
        self._closing = False
        self._paused = False
        self._failure: Exception | None = None
        self.order: list[Matrix] = []
        self.read_bytes = 0
        self.filled_bytes = 0  # of the ring, from its start: in memory since they were first read
        self.wait_s = 0.0
        self._threads = [
            threading.Thread(target=self._run, name=f"weights-{n}", daemon=True)
            for n in range(READERS)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def ring_bytes(self) -> int:
        """Size of the ring."""
        return self._ring.nbytes

    # ---- the computing thread ---------------------------------------------------------------
    # What is computed between two calls empties the processor's caches of all this, so that every
    # step costs many times as much as in a loop. What is called for every weight takes few.

    def take(self, matrix: Matrix) -> tuple[int, bool] | None:
        """Where a weight is, once it is read; and whether to compute now with what was taken.

        None for a weight that was not on its way: reading goes on behind it. It stays in place
        until `release`. Raises what a reader raised.
        """
        with self._lock:
            self._paused = False
            entry = self._ahead.get(matrix)
            if entry is None or entry.use is not _Use.AHEAD or (entry.left and self._stuck(entry)):
                self._drop()
                self._next = self._place.get(matrix, -1) + 1
                self._work.notify_all()
                return None
            if entry.left:
                self._wait_for(entry)
            entry.use = _Use.TAKEN
            self._taken.append(entry)
            self._taken_bytes += entry.end - entry.start
            if entry.following is None or 2 * self._taken_bytes > self._ring.nbytes:
                return entry.address, True
            # Go on collecting only while the next weight is there and the ring has room ahead.
            following = self._ahead.get(entry.following)
            return entry.address, following is None or following.left > 0

    def _stuck(self, entry: _Entry) -> bool:
        """Whether some of its room gets free only when more is computed."""
        oldest = next(each for each in self._queue if each.use is not _Use.DONE)
        return entry.end - oldest.start > self._ring.nbytes

    def _wait_for(self, entry: _Entry) -> None:
        began = time.perf_counter()
        while entry.left and self._failure is None:
            self._ready.wait(_LOOK_S)
        self.wait_s += time.perf_counter() - began
        if self._failure is not None:
            raise self._failure

    def release(self) -> None:
        """Everything taken was used."""
        with self._lock:
            self._release()
            if self._idle:
                self._work.notify()

    def _release(self) -> None:
        for entry in self._taken:
            entry.use = _Use.DONE
            del self._ahead[entry.matrix]
        self._taken.clear()
        self._taken_bytes = 0
        self._free()

    def set_order(self, order: Sequence[Matrix]) -> None:
        """Read these from now on, over and over; what is ahead already is forgotten."""
        with self._lock:
            self.order = list(order)
            self._place = {matrix: i for i, matrix in enumerate(self.order)}
            self._drop()
            self._next = 0
            self._work.notify_all()

    def restart(self, *, pause: bool) -> None:
        """The computation begins again from its start, after an end in the middle or an error.

        With `pause` nothing is read before something is asked for: what failed would fail again.
        """
        with self._lock:
            self._failure, self._paused = None, pause
            self._release()
            self._drop()
            self._next = 0
            self._work.notify_all()

    def resize(self, ring_bytes: int) -> None:
        """Another ring, between two computations."""
        with self._lock:
            self._release()
            self._drop()
            paused, self._paused = self._paused, True
            while self._busy:
                self._ready.wait(_LOOK_S)
            self._paused = paused
            self._free()
            self._ring.close()
            self._ring = Region(ring_bytes, huge_pages=True)
            self.filled_bytes = 0
            self._head = self._next = 0
            self._work.notify_all()

    def close(self) -> None:
        """End the threads, then give the ring back."""
        with self._lock:
            self._closing = True
            self._work.notify_all()
        for thread in self._threads:
            thread.join()
        self._queue.clear()
        self._ring.close()

    # ---- the ring, under the lock -----------------------------------------------------------

    def _drop(self) -> None:
        """Forget what was read ahead; reads under way end first, then their places are free."""
        for entry, _, _ in self._pieces:
            entry.left -= 1
        self._pieces.clear()
        for entry in self._queue:
            if entry.use is _Use.AHEAD:
                entry.use = _Use.DONE
                del self._ahead[entry.matrix]
        self._free()

    def _free(self) -> None:
        """The ring's room is free again up to the oldest weight that is needed or being read."""
        queue = self._queue
        while queue and queue[0].use is _Use.DONE and not queue[0].left:
            queue.popleft()

    def _more(self) -> bool:
        """Give the next weight a place. False where there is none."""
        if not self.order:
            return False
        matrix = self.order[self._next % len(self.order)]
        if matrix in self._ahead:  # the ring holds all of them
            return False
        start = page_down(matrix.offset)
        nbytes = page_up(matrix.offset + matrix.nbytes) - start
        room = self._ring.nbytes - self._head % self._ring.nbytes
        if room < nbytes:
            self._head += room
        pieces = list(self._files[matrix.part].pieces(matrix.offset, matrix.nbytes))
        self._next = (self._next + 1) % len(self.order)
        entry = _Entry(
            matrix,
            start=self._head,
            end=self._head + nbytes,
            address=self._ring.address + self._head % self._ring.nbytes + matrix.offset - start,
            left=len(pieces),
            following=self.order[self._next] if self._next else None,
        )
        self._queue.append(entry)
        self._ahead[matrix] = entry
        self._head = entry.end
        self._pieces.extend((entry, first, last) for first, last in pieces)
        return True

    def _something(self) -> bool:
        """Whether there is a piece to read now."""
        if self._failure is not None or self._paused:
            return False
        if not self._pieces and not self._more():
            return False
        entry, _, end = self._pieces[0]
        ends_at = entry.start + end - page_down(entry.matrix.offset)
        return ends_at - self._queue[0].start <= self._ring.nbytes

    # ---- the readers ------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._closing and not self._something():
                    self._idle += 1
                    self._work.wait()
                    self._idle -= 1
                if self._closing:
                    return
                entry, start, end = self._pieces.popleft()
                self._busy += 1
                if self._idle and self._something():
                    self._work.notify()
            failure = self._read(entry, start, end)
            with self._lock:
                self._busy -= 1
                entry.left -= 1
                self.read_bytes += end - start
                self.filled_bytes = max(self.filled_bytes, self._at(entry, end))
                self._failure = self._failure or failure
                if not entry.left and entry.use is _Use.DONE:
                    self._free()
                if not entry.left or failure or not self._busy:
                    self._ready.notify_all()

    def _read(self, entry: _Entry, start: int, end: int) -> Exception | None:
        into = self._ring.bytes[self._at(entry, start) : self._at(entry, end)]
        try:
            self._files[entry.matrix.part].read(into, start, end)
        except Exception as error:  # noqa: BLE001 - raised again where the weight is taken
            return error
        finally:
            into.release()
        return None

    def _at(self, entry: _Entry, offset: int) -> int:
        """Where in the ring the byte at `offset` of the file goes."""
        return entry.start % self._ring.nbytes + offset - page_down(entry.matrix.offset)
