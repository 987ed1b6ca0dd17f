"""The ring that streamed weights pass through: the native one, as the rest of Python sees it.

What it does, and how, is told in `native/ring.hpp`. Reads that are out of the ordinary, and all of
them where a file has no direct reads, are made here: by `WeightFile`, which knows what to do.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Sequence

from deepseek_r1.core import log
from deepseek_r1.hardware.disk import READERS
from deepseek_r1.native.library import (
    Counters,
    File,
    Native,
    Outcome,
    ReadOtherwise,
    Weight,
    integers,
    native,
)
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.reader import WeightFile, WeightsUnreadableError
from deepseek_r1.weights.region import PAGE, Region


class ReadAhead:
    """Threads that read, and their ring. `take`, `release` and the rest belong to one thread."""

    def __init__(self, files: Sequence[WeightFile], ring_bytes: int) -> None:
        """Raises EngineStartFailed without the native library."""
        self._native = native()
        self._files = files
        self._read_otherwise = ReadOtherwise(self._on_unusual)  # lives as long as the threads
        told = (File * len(files))(*(File(f.nbytes, f.stride, f.descriptor) for f in files))
        self.ring = self._native.ring_new(told, len(files), PAGE, self._read_otherwise, READERS)
        # Also at the interpreter's end: a thread of the ring may call Python.
        self._use = threading.Lock()  # others ask for counters while the ring is freed
        self._end = weakref.finalize(self, _free, self._native, self.ring, self._use)
        self._memory = Region(ring_bytes, huge_pages=True)
        self._native.ring_use(self.ring, self._memory.address, self._memory.nbytes)
        self._numbers: dict[Matrix, int] = {}
        self._matrices: list[Matrix] = []
        self._failure: Exception | None = None
        self.order: list[Matrix] = []

    @property
    def ring_bytes(self) -> int:
        """Size of the ring."""
        return self._memory.nbytes

    @property
    def direct(self) -> bool:
        """True where reads pass by the page cache."""
        return all(file.direct for file in self._files)

    @property
    def counters(self) -> Counters:
        """Since the beginning. From any thread; zeros after `close`."""
        told = Counters()
        with self._use:
            if self._end.alive:
                self._native.ring_counters(self.ring, ctypes.byref(told))
        return told

    def number(self, matrix: Matrix) -> int:
        """Which of the ring's weights a matrix is."""
        number = self._numbers.get(matrix)
        if number is None:
            weight = Weight(matrix.part, matrix.offset, matrix.nbytes)
            number = self._numbers[matrix] = self._native.ring_add(self.ring, weight)
            self._matrices.append(matrix)
        return number

    # ---- the computing thread ---------------------------------------------------------------

    def take(self, matrix: Matrix) -> tuple[int, bool] | None:
        """Where a weight is, once it is read; and whether to compute now with what was taken.

        None for a weight that was not on its way: reading goes on behind it. It stays in place
        until `release`. Raises what a read raised.
        """
        address = ctypes.c_size_t()
        number = self.number(matrix)
        outcome = self._native.ring_take(self.ring, number, ctypes.byref(address))
        if outcome == Outcome.FAILED:
            self.raise_failure()
        return None if outcome == Outcome.NOT_AHEAD else (address.value, outcome == Outcome.COMPUTE)

    def raise_failure(self) -> None:
        """Raise what a read raised, if one did."""
        if self._failure is not None:
            raise self._failure

    @property
    def taken(self) -> list[Matrix]:
        """What was taken since the last `release`."""
        room = len(self._matrices)
        numbers = (ctypes.c_int * room)()
        count = self._native.ring_taken(self.ring, numbers, room)
        return [self._matrices[number] for number in numbers[:count]]

    def release(self) -> None:
        """Everything taken was used."""
        self._native.ring_release(self.ring)

    def set_order(self, order: Sequence[Matrix]) -> None:
        """Read these from now on, over and over; what is ahead already is forgotten."""
        self.order = list(order)
        numbers = integers([self.number(matrix) for matrix in order])
        self._native.ring_set_order(self.ring, numbers, len(numbers))

    def restart(self, *, pause: bool) -> None:
        """The computation begins again from its start, after an end in the middle or an error.

        With `pause` nothing is read before something is asked for: what failed would fail again.
        """
        self._native.ring_restart(self.ring, True)  # no read is under way any more
        self._failure = None
        if not pause:
            self._native.ring_restart(self.ring, False)

    def resize(self, ring_bytes: int) -> None:
        """Another ring, between two computations. Raises OSError without memory for it."""
        self._native.ring_rest(self.ring)
        self._memory.close()
        self._memory = Region(ring_bytes, huge_pages=True)
        self._native.ring_use(self.ring, self._memory.address, self._memory.nbytes)

    def close(self) -> None:
        """End the threads, then give the ring back."""
        if self._end.alive:
            self._end()
            self._memory.close()

    # ---- the threads that read --------------------------------------------------------------

    def _on_unusual(self, part: int, start: int, end: int, address: int) -> int:
        into = memoryview((ctypes.c_char * (end - start)).from_address(address)).cast("B")
        try:
            self._files[part].read(into, start, end)
        except WeightsUnreadableError as error:
            self._failure = self._failure or error
        except Exception as error:  # noqa: BLE001 - must not cross C; raised where it is waited for
            log.engine.exception("a read of weights failed")
            self._failure = self._failure or error
        else:
            return 1
        return 0


def _free(library: Native, ring: int, use: threading.Lock) -> None:
    with use:
        library.ring_free(ring)
