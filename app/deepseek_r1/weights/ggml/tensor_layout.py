"""Offsets of the fields of ggml's tensors in memory.

ggml does not guarantee them. `Ggml` finds each offset by calling ggml's own functions on structures
that it made, and refuses a library whose answers do not agree (StreamingUnavailable). Only this
module, `buffer_type` and `custom_node`, which check buffers and nodes in the same way, know
ggml's structures, and the native code that gets the offsets.

Structure: `ggml/include/ggml.h` (ggml_tensor).
"""

import ctypes
from dataclasses import dataclass
from typing import Any, Final

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.native.native_library import TensorOffsets

WORD: Final = 8
# All of the process's memory as an array of words, indexed by address / 8. Reads a field in 50 ns,
# where making a ctypes object for it takes 180.
_MEMORY: Final = (ctypes.c_size_t * (1 << 44)).from_address(0)
_TENSOR_SIZE: Final = 42  # in words: sizeof(ggml_tensor) / 8
TYPE_F32: Final = 0
TYPE_I32: Final = 26
_I64: Final = ctypes.c_int64


class InitParams(ctypes.Structure):
    """`ggml_init_params`: a new context of tensors without data."""

    _fields_ = (("size", ctypes.c_size_t), ("buffer", ctypes.c_void_p), ("bare", ctypes.c_bool))


def word_at(address: int) -> int:
    """The eight bytes at an address that is a multiple of eight."""
    return _MEMORY[address >> 3]


def set_word(address: int, value: int) -> None:
    """Change the eight bytes at an address that is a multiple of eight."""
    _MEMORY[address >> 3] = value


@dataclass(frozen=True, slots=True)
class TensorFields:
    """Offsets of a `ggml_tensor`'s fields, in bytes."""

    extent: int  # ne[0], the number of values in a row; ne[1] follows
    strides: int  # nb[0], bytes from one value to the next; nb[1], between rows, follows
    sources: int  # src[0]; src[1] follows
    viewed: int  # view_src
    data: int
    name: int  # characters, with a 0 behind the last


class Ggml:
    """ggml's functions, from the libraries that llama.cpp uses."""

    def __init__(self, functions: Any) -> None:
        """Raises StreamingUnavailable where the library lacks a function or has another layout."""
        word, text = ctypes.c_size_t, ctypes.c_char_p
        try:
            self._init = typed(functions.ggml_init, word, InitParams)
            self._free = typed(functions.ggml_free, None, word)
            self._new = typed(functions.ggml_new_tensor_2d, word, word, ctypes.c_int, *[_I64] * 2)
            self._get_rows = typed(functions.ggml_get_rows, word, word, word, word)
            self._view = typed(functions.ggml_view_tensor, word, word, word)
            self._data = typed(functions.ggml_get_data, word, word)
            self._name = typed(functions.ggml_get_name, text, word)
            self._name_address = typed(functions.ggml_get_name, word, word)
            self.nbytes = typed(functions.ggml_nbytes, word, word)
            self.cpu_type = typed(functions.ggml_backend_cpu_buffer_type, word)
            self.type_device = typed(functions.ggml_backend_buft_get_device, word, word)
            self.buffer_around = typed(functions.ggml_backend_cpu_buffer_from_ptr, word, word, word)
            self.buffer_type = typed(functions.ggml_backend_buffer_get_type, word, word)
            self.buffer_base = typed(functions.ggml_backend_buffer_get_base, word, word)
            self.buffer_size = typed(functions.ggml_backend_buffer_get_size, word, word)
            self.buffer_usage = typed(functions.ggml_backend_buffer_get_usage, ctypes.c_int, word)
            self.buffer_clear = typed(
                functions.ggml_backend_buffer_clear, None, word, ctypes.c_uint8
            )
            self.buffer_free = typed(functions.ggml_backend_buffer_free, None, word)
        except AttributeError as error:
            raise StreamingUnavailable(detail=str(error)) from error
        self.fields = self._discover()

    def name(self, tensor: int) -> str:
        return (self._name(tensor) or b"").decode("utf-8", "replace")

    def _discover(self) -> TensorFields:
        context = self._init(InitParams(1 << 16, None, True))
        try:
            table = self._new(context, TYPE_F32, 1031, 37)
            rows = self._new(context, TYPE_I32, 5, 1)
            taken, view = self._get_rows(context, table, rows), self._view(context, table)
            sources = _only(_offsets(taken, table, rows))
            if (word_at(table) & 0xFFFFFFFF, word_at(rows) & 0xFFFFFFFF) != (TYPE_F32, TYPE_I32):
                raise unexpected("the type of a tensor")
            fields = TensorFields(
                extent=_only(_offsets(table, 1031, 37)),
                strides=_only(_offsets(table, 4, 4 * 1031)),
                sources=sources,
                viewed=_only([at for at in _offsets(view, table) if at != sources]),
                data=_only([at for at in _offsets(table, 0) if self._is_data(table, at)]),
                name=self._name_address(table) - table,
            )
            if not 0 < fields.name < _TENSOR_SIZE * WORD:
                raise unexpected("the name of a tensor")
            self._check_extent(table, fields)
            return fields
        finally:
            self._free(context)

    def _is_data(self, tensor: int, offset: int) -> bool:
        """Whether this word, which is 0, is for the address of the tensor's data."""
        set_word(tensor + offset, 4096)
        found: int = self._data(tensor)
        set_word(tensor + offset, 0)
        return found == 4096

    def _check_extent(self, table: int, fields: TensorFields) -> None:
        """Check that a tensor whose rows have no values has no bytes."""
        before = self.nbytes(table)
        set_word(table + fields.extent, 0)
        empty = self.nbytes(table)
        set_word(table + fields.extent, 1031)
        if (before, empty) != (1031 * 37 * 4, 0):
            raise unexpected("sizes of a tensor")


def native_offsets(fields: TensorFields) -> TensorOffsets:
    """The offsets and types as the native library takes them."""
    return TensorOffsets(
        type=0,
        extent=fields.extent,
        source=fields.sources,
        data=fields.data,
        type_f32=TYPE_F32,
        type_i32=TYPE_I32,
    )


def typed(function: Any, result: Any, *arguments: Any) -> Any:
    """A new function object with these types. The given object, which others use, is unchanged."""
    prototype = ctypes.CFUNCTYPE(result, *arguments)
    return prototype(address_of(function))


def address_of(callback: Any) -> int:
    """The address of a function that ctypes made or found."""
    return ctypes.cast(callback, ctypes.c_void_p).value or 0


def read_word_array(address: int, first: int, count: int) -> list[int]:
    """`count` words, beginning `first` words behind an address."""
    start = (address >> 3) + first
    return [_MEMORY[i] for i in range(start, start + count)]


def _offsets(tensor: int, *values: int) -> list[int]:
    """The offsets at which a tensor holds these values, one after the other."""
    return [
        index * WORD
        for index in range(_TENSOR_SIZE - 1)
        if read_word_array(tensor, index, len(values)) == [*values]
    ]


def _only(found: list[int]) -> int:
    if len(found) != 1:
        raise unexpected("a tensor")
    return found[0]


def unexpected(structure: str) -> StreamingUnavailable:
    """The error for a ggml whose layout is another one than we know."""
    return StreamingUnavailable(detail=f"{structure} is laid out in another way")
