"""Kinds of ggml buffers whose memory is ours.

`BufferType` receives every tensor of a model: it is ggml's ordinary type for the CPU, with one
function in it replaced; so, after the load, none of its functions is Python. As in `ggml`, nothing
here is promised: what is relied on is looked at first, and refused (StreamingUnavailable) where it
is another.

Structures: `ggml/src/ggml-backend-impl.h`.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from deepseek_r1.weights.ggml import (
    WORD,
    Ggml,
    address_of,
    set_word,
    typed,
    unexpected,
    word_at,
    words_at,
)
from deepseek_r1.weights.region import Region

_BUFT_WORDS = 8  # six functions, the device, the context
_ALLOC_BUFFER = 1  # of the buffer type's functions
_FREE, _INIT_TENSOR, _CLEAR = 0, 2, 9  # of the buffer's functions
_BUFFER_FUNCTIONS = 11  # before the type, the context and the size

_AllocBuffer = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)
_InitTensor = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)
_Free = ctypes.CFUNCTYPE(None, ctypes.c_size_t)
_Clear = ctypes.CFUNCTYPE(None, ctypes.c_size_t, ctypes.c_uint8)
_SMALL_BYTES = 256 << 10  # buffers below it are left to ggml
_changing = threading.Lock()  # of the ordinary type, which all of the process share


class _Override(ctypes.Structure):
    _fields_ = (("pattern", ctypes.c_char_p), ("type", ctypes.c_void_p))


class BufferType:
    """A `ggml_backend_buffer_type` whose buffers tell `on_tensor` of each tensor put into them.

    Addresses inside the buffers are reserved and never touched: whoever hears of a tensor has
    to give it a place before anything is computed.
    """

    def __init__(self, ggml: Ggml, on_tensor: Callable[[int], None]) -> None:
        """Raises StreamingUnavailable where ggml's structures are not as expected."""
        self._ggml, self._on_tensor = ggml, on_tensor
        self._reserved: list[Region] = []
        self._alloc = _AllocBuffer(self._on_alloc)
        self._init = _InitTensor(self._on_init)
        cpu = ggml.cpu_type()
        self._words = (ctypes.c_size_t * _BUFT_WORDS)(*words_at(cpu, 0, _BUFT_WORDS))
        if word_at(cpu + 6 * WORD) != ggml.type_device(cpu) or not self._words[_ALLOC_BUFFER]:
            raise unexpected("a buffer type")
        self._words[_ALLOC_BUFFER] = address_of(self._alloc)
        self._check_buffer()
        every = _Override(b".*", ctypes.addressof(self._words))
        self._overrides = (_Override * 2)(every)  # the second, empty one ends the list
        self.overrides = ctypes.addressof(self._overrides)

    def _check_buffer(self) -> None:
        """A buffer of the kind `_on_alloc` changes, looked at and given back."""
        region = Region(4096, huge_pages=False)
        buffer = self._ggml.buffer_around(region.address, region.nbytes)
        told = [self._ggml.buffer_type(buffer), region.address, self._ggml.buffer_size(buffer)]
        sound = (
            words_at(buffer, _BUFFER_FUNCTIONS, 3) == told
            and self._ggml.buffer_base(buffer) == region.address
            and word_at(buffer) == 0  # frees nothing
            and word_at(buffer + _INIT_TENSOR * WORD) == 0
        )
        self._ggml.buffer_free(buffer)
        region.close()
        if not sound:
            raise unexpected("a buffer")

    def _on_alloc(self, _type: int, nbytes: int) -> int:
        try:
            region = Region(nbytes, huge_pages=False)
            self._reserved.append(region)
            buffer: int = self._ggml.buffer_around(region.address, region.nbytes)
            set_word(buffer + _INIT_TENSOR * WORD, address_of(self._init))
        except (OSError, ValueError):  # no address space: llama.cpp says that it cannot allocate
            return 0
        return buffer

    def _on_init(self, _buffer: int, tensor: int) -> int:
        self._on_tensor(tensor)
        return 0

    def close(self) -> None:
        """After the model is gone."""
        for region in self._reserved:
            region.close()
        self._reserved.clear()


class OrdinaryType:
    """ggml's ordinary memory under another address, for the tensors that `pattern` finds.

    llama.cpp puts a weight into memory of a processor's own layout where there is one (AMX). An
    embedding that is the output as well would then be there twice, once to be looked up and once
    to be multiplied with; an override to the ordinary type itself would not change that.
    """

    def __init__(self, handle: Any, pattern: bytes) -> None:
        """`pattern` is a regular expression. Keep this for as long as the model.

        Raises AttributeError where the library does not offer the type.
        """
        cpu = typed(handle.ggml_backend_cpu_buffer_type, ctypes.c_size_t)()
        self._words = (ctypes.c_size_t * _BUFT_WORDS)(*words_at(cpu, 0, _BUFT_WORDS))
        found = _Override(pattern, ctypes.addressof(self._words))
        self._overrides = (_Override * 2)(found)
        self.overrides = ctypes.addressof(self._overrides)


@dataclass
class CaughtBuffer:
    """A buffer in memory of ours, until ggml frees it."""

    region: Region
    tensors: dict[int, int] = field(default_factory=dict)  # in it: offset and bytes of each

    def give_back(self, start: int, end: int) -> None:
        """What is between two offsets is not needed any more.

        When it is used again it is zero, or on macOS what it was.
        """
        self.region.discard(start, end)
        self.region.commit(start, end)


class Catch:
    """The buffers of ggml's ordinary type that llama.cpp makes for a context, in memory of ours.

    Zeros are written nowhere: memory of ours is zero until it is used, and is cleared once, unused.
    """

    def __init__(self, ggml: Ggml, nbytes: int) -> None:
        """Of a buffer of `nbytes` the tensors are heard of."""
        self._ggml, self._nbytes = ggml, nbytes
        self._caught: dict[int, CaughtBuffer] = {}  # by ggml's address
        self._thread = 0  # that is caught for
        self._alloc = _AllocBuffer(self._on_alloc)
        self._functions = {
            _FREE: _Free(self._on_free),
            _INIT_TENSOR: _InitTensor(self._on_init),
            _CLEAR: _Clear(self._on_clear),
        }
        self._type = ggml.cpu_type()
        self._ordinary: Any = None

    @contextmanager
    def catching(self) -> Iterator[None]:
        """What the calling thread makes. Raises StreamingUnavailable for an unexpected ggml."""
        _check_functions(self._ggml)
        place = self._type + _ALLOC_BUFFER * WORD
        with _changing:
            before = word_at(place)
            self._ordinary, self._thread = _AllocBuffer(before), threading.get_ident()
            set_word(place, address_of(self._alloc))
            try:
                yield
            finally:
                set_word(place, before)
        for buffer in self._caught:  # every graph makes views: those are not heard of
            set_word(buffer + _INIT_TENSOR * WORD, 0)

    def those(self, usage: int) -> list[CaughtBuffer]:
        """Of the buffers that are there now, those that llama.cpp uses for this."""
        return [
            caught
            for buffer, caught in self._caught.items()
            if self._ggml.buffer_usage(buffer) == usage
        ]

    def _on_alloc(self, kind: int, nbytes: int) -> int:
        if nbytes < _SMALL_BYTES or threading.get_ident() != self._thread:
            return int(self._ordinary(kind, nbytes))
        try:
            region = Region(nbytes, huge_pages=False)
            region.commit(0, nbytes)
        except (OSError, ValueError):  # no address space: ggml says so itself
            return int(self._ordinary(kind, nbytes))
        buffer: int = self._ggml.buffer_around(region.address, nbytes)
        self._caught[buffer] = CaughtBuffer(region)
        for index, function in self._functions.items():
            if index != _INIT_TENSOR or nbytes == self._nbytes:
                set_word(buffer + index * WORD, address_of(function))
        return buffer

    def _on_init(self, buffer: int, tensor: int) -> int:
        caught = self._caught[buffer]
        offset = word_at(tensor + self._ggml.fields.data) - caught.region.address
        caught.tensors[offset] = max(self._ggml.nbytes(tensor), caught.tensors.get(offset, 0))
        return 0

    def _on_clear(self, buffer: int, _value: int) -> None:
        caught = self._caught[buffer]
        caught.give_back(0, caught.region.nbytes)

    def _on_free(self, buffer: int) -> None:
        self._caught.pop(buffer).region.close()


def _check_functions(ggml: Ggml) -> None:
    """ggml clears and frees a buffer with the functions that we put into it, and with no others.

    Raises StreamingUnavailable.
    """
    told: list[str] = []
    clear, free = _Clear(lambda *_: told.append("clear")), _Free(lambda _: told.append("free"))
    region = Region(_SMALL_BYTES, huge_pages=False)
    buffer = ggml.buffer_around(region.address, region.nbytes)
    set_word(buffer + _CLEAR * WORD, address_of(clear))
    set_word(buffer + _FREE * WORD, address_of(free))
    ggml.buffer_clear(buffer, 0)
    ggml.buffer_free(buffer)
    region.close()
    if told != ["clear", "free"]:
        raise unexpected("a buffer")
