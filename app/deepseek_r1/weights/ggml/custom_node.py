"""Finds out how a node of ggml's graph becomes a custom node.

Found by calling ggml's own functions, as in `tensor_layout`: a custom node is made, and its number
and parameters are kept.
"""

import ctypes
from typing import Any, Final

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.native.native_library import CustomNodeLayout
from deepseek_r1.weights.ggml.tensor_layout import (
    TYPE_F32,
    WORD,
    Ggml,
    InitParams,
    native_offsets,
    read_word_array,
    typed,
    unexpected,
    word_at,
)

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


def custom_node_layout(
    ggml: Ggml, functions: Any, operation: str, compute: int, user_data: int
) -> CustomNodeLayout:
    """Return the layout for custom nodes that call the function at `compute` with `user_data`.

    They replace nodes of an operation by ggml's name: "FLASH_ATTN_EXT" or "MUL_MAT". Raises
    StreamingUnavailable where the library lacks a function or has another layout.
    """
    made = _Nodes(functions)
    try:
        attention, offset, parameters = made.attention(ggml)
        node = made.custom(compute, user_data)
        replaced = _int_at((attention if operation == _ATTENTION else made.mul_mat(ggml)) + offset)
        names = [made.name(each) for each in (replaced, _int_at(node + offset))]
        if names != [operation.encode(), b"CUSTOM"]:
            raise unexpected("the operation of a node")
        custom_parameters = ctypes.string_at(node + parameters, _PARAMETER_BYTES)
        if any(custom_parameters[-_UNUSED_BYTES:]):
            raise unexpected("a custom node")
        layout = CustomNodeLayout(
            offsets=native_offsets(ggml.fields),
            strides=ggml.fields.strides,
            operation=offset,
            parameters=parameters,
            extra=made.offset_of_extra(ggml),
            replaced_operation=replaced,
            custom_operation=_int_at(node + offset),
        )
        field = CustomNodeLayout.custom_parameters.offset
        ctypes.memmove(ctypes.addressof(layout) + field, custom_parameters, _PARAMETER_BYTES)
        return layout
    finally:
        made.free()


class _Nodes:
    """Nodes without data, made by ggml."""

    def __init__(self, functions: Any) -> None:
        """Raises StreamingUnavailable where the library lacks a function."""
        word, real, i64 = ctypes.c_size_t, ctypes.c_float, ctypes.c_int64
        try:
            init = typed(functions.ggml_init, word, InitParams)
            self._free = typed(functions.ggml_free, None, word)
            self._new = typed(functions.ggml_new_tensor_2d, word, word, ctypes.c_int, i64, i64)
            self._attend = typed(functions.ggml_flash_attn_ext, word, *[word] * 5, real, real, real)
            self._mul_mat = typed(functions.ggml_mul_mat, word, word, word, word)
            self._custom = typed(
                functions.ggml_custom_4d, word, word, ctypes.c_int, *[i64] * 4, word, ctypes.c_int,
                word, ctypes.c_int, word,
            )  # fmt: skip
            self.name = typed(functions.ggml_op_name, ctypes.c_char_p, ctypes.c_int)
        except AttributeError as error:
            raise StreamingUnavailable(detail=str(error)) from error
        self._context = init(InitParams(1 << 16, None, True))

    def free(self) -> None:
        self._free(self._context)

    def attention(self, ggml: Ggml) -> tuple[int, int, int]:
        """Return a node of attention, and the offsets of its operation and parameters."""
        keys, values = (self._new(self._context, _TYPE_F16, _WIDTH, _CELLS) for _ in range(2))
        queries = self._new(self._context, TYPE_F32, _WIDTH, 1)
        mask = self._new(self._context, _TYPE_F16, _CELLS, 1)
        node = self._attend(self._context, queries, keys, values, mask, _SCALE, _BIAS, _SOFT_CAP)
        operands = [queries, keys, values, mask]
        if read_word_array(node + ggml.fields.sources, 0, len(operands)) != operands:
            raise unexpected("the operands of attention")
        return node, *_find_operation(node, ggml)

    def mul_mat(self, ggml: Ggml) -> int:
        operands = [self._new(self._context, TYPE_F32, 64, 2) for _ in range(2)]
        node: int = self._mul_mat(self._context, *operands)
        if read_word_array(node + ggml.fields.sources, 0, 2) != operands:
            raise unexpected("the operands of a multiplication")
        return node

    def offset_of_extra(self, ggml: Ggml) -> int:
        """Return the offset of a tensor's `extra`: behind its name, before the last 8 bytes."""
        first, second = (self._new(self._context, TYPE_F32, 64, 2) for _ in range(2))
        offset = ggml.fields.name + _NAME_BYTES
        if second - first != _OBJECT_BYTES + offset + 2 * WORD or word_at(first + offset):
            raise unexpected("the end of a tensor")
        return offset

    def custom(self, compute: int, user_data: int) -> int:
        node: int = self._custom(
            self._context, TYPE_F32, 1, 1, 1, 1, 0, 0, compute, _ALL_THREADS, user_data
        )
        return node


def _find_operation(attention: int, ggml: Ggml) -> tuple[int, int]:
    """Return the offsets of an attention node's operation and of its parameters, behind it."""
    first = ggml.fields.strides + 4 * WORD
    parameters = bytes((ctypes.c_float * 3)(_SCALE, _BIAS, _SOFT_CAP))
    if ctypes.string_at(attention + first + 4, len(parameters)) != parameters:
        raise unexpected("the parameters of attention")
    return first, first + 4


def _int_at(address: int) -> int:
    return ctypes.c_int.from_address(address).value
