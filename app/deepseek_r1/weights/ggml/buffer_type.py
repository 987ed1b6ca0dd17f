"""ggml buffers whose memory is ours.

`BufferType` receives every tensor of a model. It is a copy of ggml's buffer type for the CPU with
one function replaced, so after the load none of its functions is Python. ggml guarantees none of
these structures (see `tensor_layout`): each is checked before it is used, and an unexpected one is
refused with StreamingUnavailable.

Structures: `ggml/src/ggml-backend-impl.h`.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from deepseek_r1.hardware.storage import SystemRegion, page_up
from deepseek_r1.weights.ggml.tensor_layout import (
    WORD,
    Ggml,
    address_of,
    read_word_array,
    set_word,
    unexpected,
    word_at,
)

_BUFT_SIZE = 8  # in words: six functions, the device, the context
_ALLOC_BUFFER = 1  # index in the buffer type's functions
_FREE, _INIT_TENSOR, _CLEAR = 0, 2, 9  # indices in the buffer's functions
_BUFFER_FUNCTIONS = 11  # they precede the type, the context and the size

_AllocBuffer = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)
_InitTensor = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)
_Free = ctypes.CFUNCTYPE(None, ctypes.c_size_t)
_Clear = ctypes.CFUNCTYPE(None, ctypes.c_size_t, ctypes.c_uint8)
_SMALL_BYTES = 256 << 10  # smaller buffers are left to ggml
_USAGE_ANY, _USAGE_COMPUTE = 0, 2  # ggml_backend_buffer_usage: ggml-backend.h


class _Patch:
    """The patch of the CPU's buffer type, which the whole process shares."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.original: tuple[int, int] | None = None  # where a pointer was replaced, and by which

    def after_fork(self) -> None:
        """Undo it in a forked process, which lacks the thread that would."""
        self.lock = threading.Lock()
        if self.original is not None:
            set_word(*self.original)
            self.original = None


_patch = _Patch()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_patch.after_fork)


class _Override(ctypes.Structure):
    _fields_ = (("pattern", ctypes.c_char_p), ("type", ctypes.c_void_p))


class PlainBufferType:
    """A copy of ggml's buffer type for the CPU, for the tensors whose names match `pattern`.

    llama.cpp repacks weights into a layout for the processor where there is one (AMX). An embedding
    that is the output as well would then be in memory twice, once for look-ups and once for
    products. An override to the CPU's buffer type itself would not prevent that.
    """

    def __init__(self, cpu_type: int, pattern: bytes) -> None:
        """`pattern` is a regular expression. This object must live as long as the model."""
        self._copy = (ctypes.c_size_t * _BUFT_SIZE)(*read_word_array(cpu_type, 0, _BUFT_SIZE))
        found = _Override(pattern, ctypes.addressof(self._copy))
        self._overrides = (_Override * 2)(found)  # the second, empty one ends the list
        self.overrides = ctypes.addressof(self._overrides)


class BufferType(PlainBufferType):
    """A `ggml_backend_buffer_type` that calls `on_tensor` for each tensor placed in its buffers.

    Addresses inside the buffers are reserved and never touched: `on_tensor` has to see to it that
    each tensor gets other memory before anything is computed.
    """

    def __init__(self, ggml: Ggml, on_tensor: Callable[[int], None]) -> None:
        """Raises StreamingUnavailable where ggml's structures are not the expected ones."""
        self._ggml, self._on_tensor = ggml, on_tensor
        self._reserved: list[SystemRegion] = []
        self._alloc = _AllocBuffer(self._on_alloc)
        self._init = _InitTensor(self._on_init)
        cpu = ggml.backend_cpu_buffer_type()
        super().__init__(cpu, b".*")
        if (
            word_at(cpu + 6 * WORD) != ggml.backend_buft_get_device(cpu)
            or not self._copy[_ALLOC_BUFFER]
        ):
            raise unexpected("a buffer type")
        self._copy[_ALLOC_BUFFER] = address_of(self._alloc)
        self._check_buffer()

    def _check_buffer(self) -> None:
        """Compares a buffer of the kind that `_on_alloc` makes with the expected layout."""
        region = SystemRegion(4096, huge_pages=False)
        buffer = self._ggml.backend_cpu_buffer_from_ptr(region.address, region.nbytes)
        expected = [
            self._ggml.backend_buffer_get_type(buffer),
            region.address,
            self._ggml.backend_buffer_get_size(buffer),
        ]
        sound = (
            read_word_array(buffer, _BUFFER_FUNCTIONS, 3) == expected
            and self._ggml.backend_buffer_get_base(buffer) == region.address
            and word_at(buffer) == 0  # it frees nothing
            and word_at(buffer + _INIT_TENSOR * WORD) == 0
        )
        self._ggml.backend_buffer_free(buffer)
        region.close()
        if not sound:
            raise unexpected("a buffer")

    def _on_alloc(self, _type: int, nbytes: int) -> int:
        try:
            region = SystemRegion(nbytes, huge_pages=False)
            self._reserved.append(region)
            buffer: int = self._ggml.backend_cpu_buffer_from_ptr(region.address, region.nbytes)
            set_word(buffer + _INIT_TENSOR * WORD, address_of(self._init))
        except (OSError, ValueError):  # no address space: llama.cpp reports it
            return 0
        return buffer

    def _on_init(self, _buffer: int, tensor: int) -> int:
        self._on_tensor(tensor)
        return 0

    def close(self) -> None:
        """Free the address space. Only after the model is freed."""
        for region in self._reserved:
            region.close()
        self._reserved.clear()


@dataclass
class InterceptedBuffer:
    """A buffer in memory of ours, until ggml frees it."""

    region: SystemRegion
    tensors: dict[int, int] = field(default_factory=dict)  # bytes of each, by its offset

    def release(self, start: int, end: int) -> None:
        """Release the memory between two offsets.

        When it is used again it reads as zeros, or on macOS as what it was.
        """
        self.region.discard(start, end)
        self.region.commit(start, end)


class BufferInterceptor:
    """Puts the CPU buffers that llama.cpp allocates for a context or a model into memory of ours.

    Clearing a buffer writes no zeros: fresh pages are zero, so its pages are released instead.
    """

    def __init__(self, ggml: Ggml, nbytes: int = 0, *, huge_pages: bool = False) -> None:
        """In a buffer of `nbytes` bytes, the tensors placed in it are recorded.

        `huge_pages` asks the system for them, which suits memory that is used as a whole.
        Raises StreamingUnavailable for an unexpected ggml.
        """
        _check_functions(ggml)
        self._ggml, self._nbytes, self._huge_pages = ggml, nbytes, huge_pages
        self._buffers: dict[int, InterceptedBuffer] = {}  # by ggml's address
        self._thread = 0  # whose allocations are intercepted
        self._alloc = _AllocBuffer(self._on_alloc)
        self._functions = {
            _FREE: _Free(self._on_free),
            _INIT_TENSOR: _InitTensor(self._on_init),
            _CLEAR: _Clear(self._on_clear),
        }
        self._type = ggml.backend_cpu_buffer_type()
        self._original_alloc: Any = None

    @contextmanager
    def intercept(self) -> Iterator[None]:
        """Intercept what the calling thread allocates inside the `with` block."""
        entry = self._type + _ALLOC_BUFFER * WORD
        with _patch.lock:
            original = word_at(entry)
            self._original_alloc, self._thread = _AllocBuffer(original), threading.get_ident()
            _patch.original = (entry, original)
            set_word(entry, address_of(self._alloc))
            try:
                yield
            finally:
                set_word(entry, original)
                _patch.original = None
        ours = address_of(self._functions[_INIT_TENSOR])
        for buffer in self._buffers:  # later tensors are views that every graph makes
            if word_at(buffer + _INIT_TENSOR * WORD) == ours:
                set_word(buffer + _INIT_TENSOR * WORD, 0)

    def buffers(self, usage: int) -> list[InterceptedBuffer]:
        """The intercepted buffers that exist now and have this `ggml_backend_buffer_usage`."""
        return [
            intercepted
            for buffer, intercepted in self._buffers.items()
            if self._ggml.backend_buffer_get_usage(buffer) == usage
        ]

    def _on_alloc(self, kind: int, nbytes: int) -> int:
        if nbytes < _SMALL_BYTES or threading.get_ident() != self._thread:
            return int(self._original_alloc(kind, nbytes))
        try:
            region = SystemRegion(nbytes, huge_pages=self._huge_pages)
            region.commit(0, nbytes)
        except (OSError, ValueError):  # no address space: ggml reports it itself
            return int(self._original_alloc(kind, nbytes))
        buffer: int = self._ggml.backend_cpu_buffer_from_ptr(region.address, nbytes)
        self._buffers[buffer] = InterceptedBuffer(region)
        for index, function in self._functions.items():
            if index != _INIT_TENSOR or nbytes == self._nbytes:
                set_word(buffer + index * WORD, address_of(function))
        return buffer

    def _on_init(self, buffer: int, tensor: int) -> int:
        intercepted = self._buffers[buffer]
        offset = word_at(tensor + self._ggml.fields.data) - intercepted.region.address
        known = intercepted.tensors.get(offset, 0)
        intercepted.tensors[offset] = max(self._ggml.nbytes(tensor), known)
        return 0

    def _on_clear(self, buffer: int, _value: int) -> None:
        intercepted = self._buffers[buffer]
        intercepted.release(0, intercepted.region.nbytes)

    def _on_free(self, buffer: int) -> None:
        self._buffers.pop(buffer).region.close()


def _check_functions(ggml: Ggml) -> None:
    """Check that ggml clears and frees a buffer with the functions that we put into it.

    Raises StreamingUnavailable.
    """
    calls: list[str] = []
    clear, free = _Clear(lambda *_: calls.append("clear")), _Free(lambda _: calls.append("free"))
    region = SystemRegion(_SMALL_BYTES, huge_pages=False)
    buffer = ggml.backend_cpu_buffer_from_ptr(region.address, region.nbytes)
    set_word(buffer + _CLEAR * WORD, address_of(clear))
    set_word(buffer + _FREE * WORD, address_of(free))
    ggml.backend_buffer_clear(buffer, 0)
    ggml.backend_buffer_free(buffer)
    region.close()
    if calls != ["clear", "free"]:
        raise unexpected("a buffer")


class KVMemory:
    """The buffers of one context, whose cells are filled from the first on.

    llama.cpp allocates all cells of a context at once and fills them with zeros, so they are
    resident however short the conversation is; and its compute buffer stays as large as the largest
    batch made it. Here both lie in memory of our own. Pages of cells become resident as tokens are
    computed and are released again with them; the compute buffer is released between computations.
    For the computing thread.
    """

    def __init__(self, ggml: Ggml, nbytes: int, cells: int) -> None:
        """`nbytes` is the size of the buffer that llama.cpp will allocate for `cells` cells.

        Raises StreamingUnavailable for an unexpected ggml.
        """
        self._interceptor, self.cells = BufferInterceptor(ggml, nbytes), cells
        self.intercept = self._interceptor.intercept  # the buffers of the context made inside
        self._kv_buffer: InterceptedBuffer | None = None
        self._cell_bytes: dict[int, int] = {}  # by the offset of a tensor's first cell

    def find_cells(self) -> None:
        """Find the cells in the KV buffer. Requires that each tensor holds its cells in a row."""
        for buffer in self._interceptor.buffers(_USAGE_ANY):
            sizes = buffer.tensors
            if sizes and all(nbytes % self.cells == 0 for nbytes in sizes.values()):
                self._kv_buffer = buffer
                self._cell_bytes = {
                    offset: nbytes // self.cells for offset, nbytes in sizes.items()
                }

    def bytes_from(self, first: int) -> int:
        """Bytes of all cells from number `first` on, in whole pages."""
        cell_bytes = self._cell_bytes.values()
        whole = sum(page_up(self.cells * nbytes) for nbytes in cell_bytes)
        return whole - sum(page_up(first * nbytes) for nbytes in cell_bytes)

    def release_cells(self, first: int) -> None:
        if self._kv_buffer is not None:
            for start, nbytes in self._cell_bytes.items():
                self._kv_buffer.release(start + first * nbytes, start + self.cells * nbytes)

    @property
    def scratch_bytes(self) -> int:
        """Size of the compute buffers, which suits the largest batch."""
        buffers = self._interceptor.buffers(_USAGE_COMPUTE)
        return sum(each.region.nbytes for each in buffers)

    def release_scratch(self) -> None:
        """Release the compute buffers. Only between two computations."""
        for each in self._interceptor.buffers(_USAGE_COMPUTE):
            each.release(0, each.region.nbytes)
