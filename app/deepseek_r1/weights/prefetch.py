"""The prefetch ring that streamed weights pass through, and the eval callback that uses it.

Both are Python interfaces to native code, which `native/prefetch_ring.hpp` and
`native/eval_callback.hpp` document. Fallback reads, which are all reads of a file without direct
reads, are made here by `WeightFile`. The callback finds weights that are not resident in
llama.cpp's graph; what it does not do by itself it leaves to its handlers.
"""

import ctypes
import threading
import weakref
from collections.abc import Callable, Sequence

from deepseek_r1.core import log
from deepseek_r1.hardware.read_speed import READERS
from deepseek_r1.hardware.storage import PAGE, SystemRegion
from deepseek_r1.native.native_library import (
    FallbackRead,
    Handlers,
    Native,
    NativeFile,
    NativeWeight,
    NodeKernels,
    OnNode,
    OnPass,
    RingCounters,
    native,
)
from deepseek_r1.weights.direct_file import WeightFile, WeightsUnreadableError
from deepseek_r1.weights.ggml.tensor_layout import TensorFields, native_offsets, word_at
from deepseek_r1.weights.weight import Weight


class PrefetchRing:
    """The ring and its reader threads. One thread calls everything but `counters`."""

    def __init__(self, files: Sequence[WeightFile], ring_bytes: int) -> None:
        """Raises EngineStartFailed without the native library."""
        self._native = native()
        self._files, self.direct = files, all(file.direct for file in files)
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
        self.failure: Exception | None = None  # of a read
        self.order: list[Weight] = []

    @property
    def ring_bytes(self) -> int:
        return self._memory.nbytes

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

    @property
    def acquired(self) -> list[Weight]:
        """The weights that the callback acquired since the last `release`."""
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
        numbers = (ctypes.c_int * len(order))(*(self.number(weight) for weight in order))
        self._native.ring_set_order(self.ring, numbers, len(numbers))

    def restart(self, *, pause: bool) -> None:
        """Begin again at the start of the order, after an abort in the middle or an error.

        With `pause` nothing is read before the next weight is acquired: it would fail again.
        """
        self._native.ring_restart(self.ring, True)  # returns when no read is running
        self.failure = None
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
            self.failure = self.failure or error
        except Exception as error:  # noqa: BLE001 - must not cross C; the owner raises it
            log.engine.exception("a read of weights failed")
            self.failure = self.failure or error
        else:
            return 1
        return 0


class EvalCallback:
    """For the computing thread; only `nonresident` may be read from any."""

    def __init__(
        self,
        prefetch: PrefetchRing,
        fields: TensorFields,
        on_node: Callable[[int, int], int],
        on_pass: Callable[[], int],
    ) -> None:
        """`on_node` and `on_pass` are the handlers; they must not raise."""
        self._native, self._prefetch, self._source = native(), prefetch, fields.sources
        self._handlers = Handlers(OnNode(on_node), OnPass(on_pass))
        self.user_data: int = self._native.callback_new(
            prefetch.ring, native_offsets(fields), self._handlers
        )
        # Address of the context's `cb_eval`, which has to get `user_data`.
        self.address = ctypes.cast(self._native.callback_on_node, ctypes.c_void_p).value or 0
        self._nonresident: dict[int, Weight] = {}  # by tensor

    @property
    def nonresident(self) -> list[Weight]:
        return list(self._nonresident.values())

    def __contains__(self, weight: object) -> bool:
        return isinstance(weight, Weight) and weight.tensor in self._nonresident

    def needed_by(self, node: int) -> Weight | None:
        return self._nonresident.get(word_at(node + self._source))

    def evict(self, weight: Weight, *, streamed: bool) -> None:
        """Treat a weight as not resident.

        The prefetch ring provides it from now on if it is `streamed`, else the handler.
        """
        self._nonresident[weight.tensor] = weight
        number = self._prefetch.number(weight) if streamed else -1
        self._native.callback_evict(self.user_data, weight.tensor, number)

    def admit(self, weight: Weight) -> None:
        del self._nonresident[weight.tensor]
        self._native.callback_admit(self.user_data, weight.tensor)

    def set_filter(self, *, integer_nodes: bool, computed_runs: bool) -> None:
        """Whether the handler is called for nodes of integers, and after each computed run."""
        self._native.callback_set_filter(self.user_data, integer_nodes, computed_runs)

    def set_kernels(self, kernels: NodeKernels) -> None:
        """Have these kernels compute nodes in llama.cpp's place.

        Only before the context is created or after it is freed: its graph has their addresses.
        """
        self._native.callback_set_kernels(self.user_data, kernels)

    def touch(self, weight: Weight) -> bool:
        """Record the use of a weight that the handler provides. False where `on_pass` failed."""
        return bool(self._native.callback_touch(self.user_data, weight.tensor))

    def begin_pass(self) -> list[int]:
        """Begin another pass; returns the tensors that the last one used, in order of use."""
        capacity = 4 * len(self._nonresident) + 1024  # some were admitted during the pass
        tensors = (ctypes.c_uint64 * capacity)()
        count = self._native.callback_begin_pass(self.user_data, tensors, capacity)
        return list(tensors[: min(count, capacity)])

    def close(self) -> None:
        """Free the callback. Only after the context is freed."""
        self._native.callback_free(self.user_data)


def _free(library: Native, ring: int, free_lock: threading.Lock) -> None:
    with free_lock:
        library.ring_free(ring)
