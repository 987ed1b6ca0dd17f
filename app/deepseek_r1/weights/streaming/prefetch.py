"""The prefetch ring that streamed weights pass through: a Python interface to the native one.

`native/prefetch_ring.hpp` documents it. Fallback reads, which are all reads of a file without
direct reads, are made here by `WeightFile`.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Sequence

from deepseek_r1.core import log
from deepseek_r1.hardware.disk import READERS
from deepseek_r1.hardware.storage import PAGE, SystemRegion
from deepseek_r1.native.native_library import (
    AcquireOutcome,
    FallbackRead,
    Native,
    NativeFile,
    NativeWeight,
    RingCounters,
    int_array,
    native,
)
from deepseek_r1.weights.streaming.direct_file import WeightFile, WeightsUnreadableError
from deepseek_r1.weights.weight import Weight


class PrefetchRing:
    """The ring and its reader threads. One thread calls everything but `counters`."""

    def __init__(self, files: Sequence[WeightFile], ring_bytes: int) -> None:
        """Raises EngineStartFailed without the native library."""
        self._native = native()
        self._files = files
        self._fallback = FallbackRead(self._on_fallback_read)  # must live as long as the readers
        opened = (NativeFile * len(files))(
            *(NativeFile(f.nbytes, f.stride, f.descriptor) for f in files)
        )
        self.ring = self._native.ring_new(opened, len(files), PAGE, self._fallback, READERS)
        # Also at the interpreter's end, when a reader may still call Python.
        self._free_lock = threading.Lock()  # other threads read counters while the ring is freed
        self._finalizer = weakref.finalize(self, _free, self._native, self.ring, self._free_lock)
        self._memory = SystemRegion(ring_bytes, huge_pages=True)
        self._native.ring_set_memory(self.ring, self._memory.address, self._memory.nbytes)
        self._numbers: dict[Weight, int] = {}
        self._weights: list[Weight] = []
        self._failure: Exception | None = None
        self.order: list[Weight] = []

    @property
    def ring_bytes(self) -> int:
        """Size of the ring."""
        return self._memory.nbytes

    @property
    def direct(self) -> bool:
        """True where reads bypass the page cache."""
        return all(file.direct for file in self._files)

    @property
    def counters(self) -> RingCounters:
        """Counters since the ring was made. From any thread; zeros after `close`."""
        counters = RingCounters()
        with self._free_lock:
            if self._finalizer.alive:
                self._native.ring_counters(self.ring, ctypes.byref(counters))
        return counters

    def number(self, weight: Weight) -> int:
        """The weight's number in the ring, which it gets on first use."""
        number = self._numbers.get(weight)
        if number is None:
            native_weight = NativeWeight(weight.part, weight.offset, weight.nbytes)
            number = self._numbers[weight] = self._native.ring_add(self.ring, native_weight)
            self._weights.append(weight)
        return number

    # ---- the computing thread ---------------------------------------------------------------

    def acquire(self, weight: Weight) -> tuple[int, bool] | None:
        """Wait until a weight is read; returns its address, and whether to compute now.

        None for a weight that was not on its way; prefetching then goes on behind it. The address
        is valid until `release`. Raises the error of a failed read.
        """
        address = ctypes.c_size_t()
        number = self.number(weight)
        outcome = self._native.ring_acquire(self.ring, number, ctypes.byref(address))
        if outcome == AcquireOutcome.FAILED:
            self.raise_failure()
        if outcome == AcquireOutcome.NOT_PREFETCHED:
            return None
        return address.value, outcome == AcquireOutcome.COMPUTE

    def raise_failure(self) -> None:
        """Raise the error of a failed read, if there was one."""
        if self._failure is not None:
            raise self._failure

    @property
    def acquired(self) -> list[Weight]:
        """The weights acquired since the last `release`."""
        capacity = len(self._weights)
        numbers = (ctypes.c_int * capacity)()
        count = self._native.ring_acquired(self.ring, numbers, capacity)
        return [self._weights[number] for number in numbers[:count]]

    def release(self) -> None:
        """All acquired weights have been used."""
        self._native.ring_release(self.ring)

    def set_order(self, order: Sequence[Weight]) -> None:
        """Read these weights from now on, over and over; what was prefetched is discarded."""
        self.order = list(order)
        numbers = int_array([self.number(weight) for weight in order])
        self._native.ring_set_order(self.ring, numbers, len(numbers))

    def restart(self, *, pause: bool) -> None:
        """Begin again at the start of the order, after an abort in the middle or an error.

        With `pause` nothing is read before the next `acquire`: what failed would fail again.
        """
        self._native.ring_restart(self.ring, True)  # returns when no read is running
        self._failure = None
        if not pause:
            self._native.ring_restart(self.ring, False)

    def resize(self, ring_bytes: int) -> None:
        """Replace the ring's memory between two computations. Raises OSError without memory."""
        self._native.ring_stop(self.ring)
        self._memory.close()
        self._memory = SystemRegion(ring_bytes, huge_pages=True)
        self._native.ring_set_memory(self.ring, self._memory.address, self._memory.nbytes)

    def close(self) -> None:
        """End the readers, then free the ring."""
        if self._finalizer.alive:
            self._finalizer()
            self._memory.close()

    # ---- the readers ------------------------------------------------------------------------

    def _on_fallback_read(self, part: int, start: int, end: int, address: int) -> int:
        into = memoryview((ctypes.c_char * (end - start)).from_address(address)).cast("B")
        try:
            self._files[part].read(into, start, end)
        except WeightsUnreadableError as error:
            self._failure = self._failure or error
        except Exception as error:  # noqa: BLE001 - must not cross C; `acquire` raises it
            log.engine.exception("a read of weights failed")
            self._failure = self._failure or error
        else:
            return 1
        return 0


def _free(library: Native, ring: int, free_lock: threading.Lock) -> None:
    with free_lock:
        library.ring_free(ring)
