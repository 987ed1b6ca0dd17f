"""Offsets of the fields of ggml's tensors in memory.

ggml does not guarantee them. `Ggml` finds each offset by calling ggml's own functions on structures
that it made, and refuses a library whose answers do not agree (StreamingUnavailable). Only this
module, `buffer_type` and `custom_node`, which check buffers and nodes in the same way, know
ggml's structures, and the native code that gets the offsets.

Structure: `ggml/include/ggml.h` (ggml_tensor).
"""

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.native.native_library import CustomNodeLayout, TensorOffsets

WORD: Final = 8
# All of the process's memory as an array of words, indexed by address / 8. Reads a field in 50 ns,
# where making a ctypes object for it takes 180.
_MEMORY: Final = (ctypes.c_size_t * (1 << 44)).from_address(0)
_TENSOR_SIZE: Final = 42  # in words: sizeof(ggml_tensor) / 8
TYPE_F32: Final = 0
TYPE_I32: Final = 26
_TYPE_F16: Final = 1
_ALL_THREADS: Final = -1  # GGML_N_TASKS_MAX
_PARAMETER_BYTES: Final = 64
# At the end of a custom node's parameters; native/attention.cpp keeps the scale there.
_UNUSED_BYTES: Final = 16
_SCALE, _BIAS, _SOFT_CAP = 0.1875, 0.3125, 0.4375
_WIDTH, _CELLS = 32, 96
_NAME_BYTES: Final = 64  # GGML_MAX_NAME
_OBJECT_BYTES: Final = 32  # before each tensor of a context
_ATTENTION: Final = "FLASH_ATTN_EXT"


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


_I64 = ctypes.c_int64
# ggml's functions that are called, each with its result and its arguments.
_WORD, _TEXT, _INT, _REAL = ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int, ctypes.c_float
FUNCTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "init": (_WORD, InitParams),
    "free": (None, _WORD),
    "new_tensor_2d": (_WORD, _WORD, _INT, _I64, _I64),
    "get_rows": (_WORD, _WORD, _WORD, _WORD),
    "view_tensor": (_WORD, _WORD, _WORD),
    "mul_mat": (_WORD, _WORD, _WORD, _WORD),
    "flash_attn_ext": (_WORD, *[_WORD] * 5, _REAL, _REAL, _REAL),
    "custom_4d": (_WORD, _WORD, _INT, *[_I64] * 4, _WORD, _INT, _WORD, _INT, _WORD),
    "op_name": (_TEXT, _INT),
    "get_data": (_WORD, _WORD),
    "get_name": (_WORD, _WORD),
    "nbytes": (_WORD, _WORD),
    "backend_cpu_buffer_type": (_WORD,),
    "backend_buft_get_device": (_WORD, _WORD),
    "backend_cpu_buffer_from_ptr": (_WORD, _WORD, _WORD),
    "backend_buffer_get_type": (_WORD, _WORD),
    "backend_buffer_get_base": (_WORD, _WORD),
    "backend_buffer_get_size": (_WORD, _WORD),
    "backend_buffer_get_usage": (_INT, _WORD),
    "backend_buffer_clear": (None, _WORD, ctypes.c_uint8),
    "backend_buffer_free": (None, _WORD),
}


class Ggml:
    """ggml's functions, from the libraries that llama.cpp uses, and the layout of its tensors."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, functions: Any) -> None:
        """Raises StreamingUnavailable where the library lacks a function or has another layout."""
        self.functions = functions
        try:
            for name, types in FUNCTIONS.items():
                setattr(self, name, typed(getattr(functions, f"ggml_{name}"), *types))
        except AttributeError as error:
            raise StreamingUnavailable(detail=str(error)) from error
        self.fields = self._discover()

    def name(self, tensor: int) -> str:
        return ctypes.string_at(self.get_name(tensor)).decode("utf-8", "replace")

    def _discover(self) -> TensorFields:
        context = self.init(InitParams(1 << 16, None, True))
        try:
            table = self.new_tensor_2d(context, TYPE_F32, 1031, 37)
            rows = self.new_tensor_2d(context, TYPE_I32, 5, 1)
            taken, view = self.get_rows(context, table, rows), self.view_tensor(context, table)
            sources = _only(_offsets(taken, table, rows))
            if (word_at(table) & 0xFFFFFFFF, word_at(rows) & 0xFFFFFFFF) != (TYPE_F32, TYPE_I32):
                raise unexpected("the type of a tensor")
            fields = TensorFields(
                extent=_only(_offsets(table, 1031, 37)),
                strides=_only(_offsets(table, 4, 4 * 1031)),
                sources=sources,
                viewed=_only([at for at in _offsets(view, table) if at != sources]),
                data=_only([at for at in _offsets(table, 0) if self._is_data(table, at)]),
                name=self.get_name(table) - table,
            )
            if not 0 < fields.name < _TENSOR_SIZE * WORD:
                raise unexpected("the name of a tensor")
            self._check_extent(table, fields)
            return fields
        finally:
            self.free(context)

    def _is_data(self, tensor: int, offset: int) -> bool:
        """Whether this word, which is 0, is for the address of the tensor's data."""
        set_word(tensor + offset, 4096)
        found: int = self.get_data(tensor)
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


class CustomNodes:
    """Finds out how a node of ggml's graph becomes a custom node, from nodes that ggml makes."""

    def __init__(self, ggml: Ggml) -> None:
        self._ggml, self._sources = ggml, ggml.fields.sources

    def layout(self, operation: str, compute: int, user_data: int) -> CustomNodeLayout:
        """Return the layout for custom nodes that call the function at `compute`.

        It gets `user_data`. They replace nodes of an operation by ggml's name: "FLASH_ATTN_EXT" or
        "MUL_MAT". Raises StreamingUnavailable where the library has another layout.
        """
        ggml = self._ggml
        context = ggml.init(InitParams(1 << 16, None, True))
        try:
            attention = self._attention(context)
            replaced = attention if operation == _ATTENTION else self._mul_mat(context)
            node = ggml.custom_4d(
                context, TYPE_F32, 1, 1, 1, 1, 0, 0, compute, _ALL_THREADS, user_data
            )
            at = ggml.fields.strides + 4 * WORD  # the operation; its parameters are behind it
            scales = bytes((ctypes.c_float * 3)(_SCALE, _BIAS, _SOFT_CAP))
            if ctypes.string_at(attention + at + 4, len(scales)) != scales:
                raise unexpected("the parameters of attention")
            numbers = [ctypes.c_int.from_address(each + at).value for each in (replaced, node)]
            if [ggml.op_name(each) for each in numbers] != [operation.encode(), b"CUSTOM"]:
                raise unexpected("the operation of a node")
            parameters = ctypes.string_at(node + at + 4, _PARAMETER_BYTES)
            if any(parameters[-_UNUSED_BYTES:]):
                raise unexpected("a custom node")
            layout = CustomNodeLayout(
                offsets=native_offsets(ggml.fields),
                strides=ggml.fields.strides,
                operation=at,
                parameters=at + 4,
                extra=self._offset_of_extra(context),
                replaced_operation=numbers[0],
                custom_operation=numbers[1],
            )
            field = CustomNodeLayout.custom_parameters.offset
            ctypes.memmove(ctypes.addressof(layout) + field, parameters, _PARAMETER_BYTES)
            return layout
        finally:
            ggml.free(context)

    def _attention(self, context: int) -> int:
        new = self._ggml.new_tensor_2d
        keys, values = (new(context, _TYPE_F16, _WIDTH, _CELLS) for _ in range(2))
        queries, mask = new(context, TYPE_F32, _WIDTH, 1), new(context, _TYPE_F16, _CELLS, 1)
        operands = [queries, keys, values, mask]
        node: int = self._ggml.flash_attn_ext(context, *operands, _SCALE, _BIAS, _SOFT_CAP)
        if read_word_array(node + self._sources, 0, len(operands)) != operands:
            raise unexpected("the operands of attention")
        return node

    def _mul_mat(self, context: int) -> int:
        operands = [self._ggml.new_tensor_2d(context, TYPE_F32, 64, 2) for _ in range(2)]
        node: int = self._ggml.mul_mat(context, *operands)
        if read_word_array(node + self._sources, 0, 2) != operands:
            raise unexpected("the operands of a multiplication")
        return node

    def _offset_of_extra(self, context: int) -> int:
        """The offset of a tensor's `extra`: behind its name, before the last 8 bytes."""
        first, second = (self._ggml.new_tensor_2d(context, TYPE_F32, 64, 2) for _ in range(2))
        offset = self._ggml.fields.name + _NAME_BYTES
        if second - first != _OBJECT_BYTES + offset + 2 * WORD or word_at(first + offset):
            raise unexpected("the end of a tensor")
        return offset
