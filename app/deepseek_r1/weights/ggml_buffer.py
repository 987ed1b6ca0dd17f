"""The one module that knows ggml's structures: where in memory which of its fields are.

A buffer type of our own receives every tensor of a model. It is ggml's ordinary one for the CPU,
with one function in it replaced; so, after the load, none of its functions is Python. Nothing
here is promised by ggml: `discover` finds every offset by asking ggml's own functions about
structures it made, and refuses (StreamingUnavailable) where the answers do not agree.

Structures: `ggml/include/ggml.h` (ggml_tensor) and `ggml/src/ggml-backend-impl.h`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.weights.region import Region

_WORD: Final = 8
# All of the process's memory as words: reads a field in 50 ns, where making a ctypes object for
# it takes 180. The index is the address / 8.
WORDS: Final = (ctypes.c_size_t * (1 << 44)).from_address(0)
_TENSOR_WORDS: Final = 42  # sizeof(ggml_tensor) / 8; looked at no further
_TYPE_F32: Final = 0
TYPE_I32: Final = 26
_BUFT_WORDS: Final = 8  # six functions, the device, the context
_ALLOC_BUFFER = 1  # of the buffer type's functions
_INIT_TENSOR = 2  # of the buffer's functions
_BUFFER_FUNCTIONS = 11  # before the type, the context and the size

_AllocBuffer = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)
_InitTensor = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)


class _Override(ctypes.Structure):
    _fields_ = (("pattern", ctypes.c_char_p), ("type", ctypes.c_void_p))


class _InitParams(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("buffer", ctypes.c_void_p), ("bare", ctypes.c_bool))


def word_at(address: int) -> int:
    """The eight bytes at an address that is a multiple of eight."""
    return WORDS[address >> 3]


def set_word(address: int, value: int) -> None:
    """Change the eight bytes at an address that is a multiple of eight."""
    WORDS[address >> 3] = value


@dataclass(frozen=True, slots=True)
class TensorFields:
    """Offsets in bytes inside a `ggml_tensor`."""

    extent: int  # ne[0], how many values a row has; ne[1] follows
    strides: int  # nb[0], bytes from a value to the next; nb[1], from a row to the next, follows
    sources: int  # src[0]; src[1] follows
    viewed: int  # view_src
    data: int


class Ggml:
    """ggml's functions, through the handle of the very library that llama.cpp uses."""

    def __init__(self, handle: Any) -> None:
        """Raises StreamingUnavailable where the library lacks a function or is another one."""
        word, text = ctypes.c_size_t, ctypes.c_char_p
        try:
            self._init = _typed(handle.ggml_init, word, _InitParams)
            self._free = _typed(handle.ggml_free, None, word)
            self._new = _typed(handle.ggml_new_tensor_2d, word, word, ctypes.c_int, *[_I64] * 2)
            self._get_rows = _typed(handle.ggml_get_rows, word, word, word, word)
            self._view = _typed(handle.ggml_view_tensor, word, word, word)
            self._data = _typed(handle.ggml_get_data, word, word)
            self._name = _typed(handle.ggml_get_name, text, word)
            self.nbytes = _typed(handle.ggml_nbytes, word, word)
            self._cpu_type = _typed(handle.ggml_backend_cpu_buffer_type, word)
            self._type_device = _typed(handle.ggml_backend_buft_get_device, word, word)
            self._from_ptr = _typed(handle.ggml_backend_cpu_buffer_from_ptr, word, word, word)
            self._buffer_type = _typed(handle.ggml_backend_buffer_get_type, word, word)
            self._buffer_base = _typed(handle.ggml_backend_buffer_get_base, word, word)
            self._buffer_size = _typed(handle.ggml_backend_buffer_get_size, word, word)
            self._buffer_free = _typed(handle.ggml_backend_buffer_free, None, word)
        except AttributeError as error:
            raise StreamingUnavailable(detail=str(error)) from error
        self.fields = self._discover()

    def name(self, tensor: int) -> str:
        """What ggml calls a tensor."""
        return (self._name(tensor) or b"").decode("utf-8", "replace")

    def _discover(self) -> TensorFields:
        context = self._init(_InitParams(1 << 16, None, True))
        try:
            table = self._new(context, _TYPE_F32, 1031, 37)
            rows = self._new(context, TYPE_I32, 5, 1)
            taken, view = self._get_rows(context, table, rows), self._view(context, table)
            extent = _only([i for i in _range(table) if _words(table, i, 2) == [1031, 37]])
            strides = _only([i for i in _range(table) if _words(table, i, 2) == [4, 4 * 1031]])
            if (word_at(table) & 0xFFFFFFFF, word_at(rows) & 0xFFFFFFFF) != (_TYPE_F32, TYPE_I32):
                raise _unexpected("the type of a tensor")
            sources = _only([i for i in _range(taken) if _words(taken, i, 2) == [table, rows]])
            both = [i for i in _range(view) if _words(view, i, 1) == [table]]
            fields = TensorFields(
                extent=extent * _WORD,
                strides=strides * _WORD,
                sources=sources * _WORD,
                viewed=_only([i for i in both if i != sources]) * _WORD,
                data=_only([i for i in _range(table) if self._is_data(table, i)]) * _WORD,
            )
            self._check_extent(table, fields)
            return fields
        finally:
            self._free(context)

    def _is_data(self, tensor: int, index: int) -> bool:
        """Whether ggml sees a change of this word as one of the data's address."""
        if word_at(tensor + index * _WORD):
            return False
        set_word(tensor + index * _WORD, 4096)
        seen: int = self._data(tensor)
        set_word(tensor + index * _WORD, 0)
        return seen == 4096

    def _check_extent(self, table: int, fields: TensorFields) -> None:
        """A tensor with rows of no length has no bytes."""
        before = self.nbytes(table)
        set_word(table + fields.extent, 0)
        without = self.nbytes(table)
        set_word(table + fields.extent, 1031)
        if (before, without) != (1031 * 37 * 4, 0):
            raise _unexpected("sizes of a tensor")


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
        cpu = ggml._cpu_type()
        self._words = (ctypes.c_size_t * _BUFT_WORDS)(*_words(cpu, 0, _BUFT_WORDS))
        if word_at(cpu + 6 * _WORD) != ggml._type_device(cpu) or not self._words[_ALLOC_BUFFER]:
            raise _unexpected("a buffer type")
        self._words[_ALLOC_BUFFER] = _address_of(self._alloc)
        self._check_buffer()
        every = _Override(b".*", ctypes.addressof(self._words))
        self._overrides = (_Override * 2)(every)  # the second, empty one ends the list
        self.overrides = ctypes.addressof(self._overrides)

    def _check_buffer(self) -> None:
        """A buffer of the kind `_on_alloc` changes, looked at and given back."""
        region = Region(4096, huge_pages=False)
        buffer = self._ggml._from_ptr(region.address, region.nbytes)
        told = [self._ggml._buffer_type(buffer), region.address, self._ggml._buffer_size(buffer)]
        sound = (
            _words(buffer, _BUFFER_FUNCTIONS, 3) == told
            and self._ggml._buffer_base(buffer) == region.address
            and word_at(buffer) == 0  # frees nothing
            and word_at(buffer + _INIT_TENSOR * _WORD) == 0
        )
        self._ggml._buffer_free(buffer)
        region.close()
        if not sound:
            raise _unexpected("a buffer")

    def _on_alloc(self, _type: int, nbytes: int) -> int:
        try:
            region = Region(nbytes, huge_pages=False)
            self._reserved.append(region)
            buffer: int = self._ggml._from_ptr(region.address, region.nbytes)
            set_word(buffer + _INIT_TENSOR * _WORD, _address_of(self._init))
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
        cpu = _typed(handle.ggml_backend_cpu_buffer_type, ctypes.c_size_t)()
        self._words = (ctypes.c_size_t * _BUFT_WORDS)(*_words(cpu, 0, _BUFT_WORDS))
        found = _Override(pattern, ctypes.addressof(self._words))
        self._overrides = (_Override * 2)(found)
        self.overrides = ctypes.addressof(self._overrides)


_I64: Final = ctypes.c_int64


def _typed(function: Any, result: Any, *arguments: Any) -> Any:
    """The function with its types; a new object, so that no other user of it is changed."""
    kind = ctypes.CFUNCTYPE(result, *arguments)
    return kind(_address_of(function))


def _address_of(callback: Any) -> int:
    return ctypes.cast(callback, ctypes.c_void_p).value or 0


def _words(address: int, first: int, count: int) -> list[int]:
    start = (address >> 3) + first
    return [WORDS[i] for i in range(start, start + count)]


def _range(_tensor: int) -> range:
    return range(_TENSOR_WORDS - 1)


def _only(found: list[int]) -> int:
    if len(found) != 1:
        raise _unexpected("a tensor")
    return found[0]


def _unexpected(what: str) -> StreamingUnavailable:
    return StreamingUnavailable(detail=f"{what} is laid out in another way")
