"""ggml's tensors as they lie in memory: where which of their fields are.

Nothing of it is promised by ggml: `Ggml` finds every offset by asking ggml's own functions about
structures it made, and refuses (StreamingUnavailable) where the answers do not agree. With
`ggml_buffer`, which holds ggml's buffers to the same, this is all that is known of its structures.

Structure: `ggml/include/ggml.h` (ggml_tensor).
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Final

from deepseek_r1.core.errors import StreamingUnavailable

WORD: Final = 8
# All of the process's memory as words: reads a field in 50 ns, where making a ctypes object for
# it takes 180. The index is the address / 8.
WORDS: Final = (ctypes.c_size_t * (1 << 44)).from_address(0)
_TENSOR_WORDS: Final = 42  # sizeof(ggml_tensor) / 8; looked at no further
_TYPE_F32: Final = 0
TYPE_I32: Final = 26
_I64: Final = ctypes.c_int64


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
            self._init = typed(handle.ggml_init, word, _InitParams)
            self._free = typed(handle.ggml_free, None, word)
            self._new = typed(handle.ggml_new_tensor_2d, word, word, ctypes.c_int, *[_I64] * 2)
            self._get_rows = typed(handle.ggml_get_rows, word, word, word, word)
            self._view = typed(handle.ggml_view_tensor, word, word, word)
            self._data = typed(handle.ggml_get_data, word, word)
            self._name = typed(handle.ggml_get_name, text, word)
            self.nbytes = typed(handle.ggml_nbytes, word, word)
            self.cpu_type = typed(handle.ggml_backend_cpu_buffer_type, word)
            self.type_device = typed(handle.ggml_backend_buft_get_device, word, word)
            self.buffer_around = typed(handle.ggml_backend_cpu_buffer_from_ptr, word, word, word)
            self.buffer_type = typed(handle.ggml_backend_buffer_get_type, word, word)
            self.buffer_base = typed(handle.ggml_backend_buffer_get_base, word, word)
            self.buffer_size = typed(handle.ggml_backend_buffer_get_size, word, word)
            self.buffer_usage = typed(handle.ggml_backend_buffer_get_usage, ctypes.c_int, word)
            self.buffer_clear = typed(handle.ggml_backend_buffer_clear, None, word, ctypes.c_uint8)
            self.buffer_free = typed(handle.ggml_backend_buffer_free, None, word)
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
            extent = _only([i for i in _range(table) if words_at(table, i, 2) == [1031, 37]])
            strides = _only([i for i in _range(table) if words_at(table, i, 2) == [4, 4 * 1031]])
            if (word_at(table) & 0xFFFFFFFF, word_at(rows) & 0xFFFFFFFF) != (_TYPE_F32, TYPE_I32):
                raise unexpected("the type of a tensor")
            sources = _only([i for i in _range(taken) if words_at(taken, i, 2) == [table, rows]])
            both = [i for i in _range(view) if words_at(view, i, 1) == [table]]
            fields = TensorFields(
                extent=extent * WORD,
                strides=strides * WORD,
                sources=sources * WORD,
                viewed=_only([i for i in both if i != sources]) * WORD,
                data=_only([i for i in _range(table) if self._is_data(table, i)]) * WORD,
            )
            self._check_extent(table, fields)
            return fields
        finally:
            self._free(context)

    def _is_data(self, tensor: int, index: int) -> bool:
        """Whether ggml sees a change of this word as one of the data's address."""
        if word_at(tensor + index * WORD):
            return False
        set_word(tensor + index * WORD, 4096)
        seen: int = self._data(tensor)
        set_word(tensor + index * WORD, 0)
        return seen == 4096

    def _check_extent(self, table: int, fields: TensorFields) -> None:
        """A tensor with rows of no length has no bytes."""
        before = self.nbytes(table)
        set_word(table + fields.extent, 0)
        without = self.nbytes(table)
        set_word(table + fields.extent, 1031)
        if (before, without) != (1031 * 37 * 4, 0):
            raise unexpected("sizes of a tensor")


def typed(function: Any, result: Any, *arguments: Any) -> Any:
    """The function with its types; a new object, so that no other user of it is changed."""
    kind = ctypes.CFUNCTYPE(result, *arguments)
    return kind(address_of(function))


def address_of(callback: Any) -> int:
    """Of a function that ctypes made or found."""
    return ctypes.cast(callback, ctypes.c_void_p).value or 0


def words_at(address: int, first: int, count: int) -> list[int]:
    """`count` of the words behind an address, from number `first` on."""
    start = (address >> 3) + first
    return [WORDS[i] for i in range(start, start + count)]


def _range(_tensor: int) -> range:
    return range(_TENSOR_WORDS - 1)


def _only(found: list[int]) -> int:
    if len(found) != 1:
        raise unexpected("a tensor")
    return found[0]


def unexpected(what: str) -> StreamingUnavailable:
    """What is said of a ggml that is another one than we know."""
    return StreamingUnavailable(detail=f"{what} is laid out in another way")
