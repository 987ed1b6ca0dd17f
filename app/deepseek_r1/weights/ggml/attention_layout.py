"""Finds out how a node of attention in ggml's graph becomes a custom node.

Found by calling ggml's own functions, as in `tensor_layout`: a custom node is made, and its number
and parameters are kept.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.native.native_library import AttentionLayout
from deepseek_r1.weights.ggml.tensor_layout import (
    TYPE_F32,
    WORD,
    Ggml,
    InitParams,
    native_offsets,
    read_word_array,
    typed,
    unexpected,
)

_TYPE_F16: Final = 1
_ALL_THREADS: Final = -1  # GGML_N_TASKS_MAX
_PARAMETER_BYTES: Final = 64
# At the end of a custom node's parameters; native/attention.cpp keeps the scale there.
_UNUSED_BYTES: Final = 16
_SCALE, _BIAS, _SOFT_CAP = 0.1875, 0.3125, 0.4375
_WIDTH, _CELLS = 32, 96


def attention_layout(ggml: Ggml, functions: Any, compute: int, user_data: int) -> AttentionLayout:
    """Return the layout for custom nodes that call the function at `compute` with `user_data`.

    Raises StreamingUnavailable where the library lacks a function or has another layout.
    """
    word, real, i64 = ctypes.c_size_t, ctypes.c_float, ctypes.c_int64
    try:
        init = typed(functions.ggml_init, word, InitParams)
        free = typed(functions.ggml_free, None, word)
        new = typed(functions.ggml_new_tensor_2d, word, word, ctypes.c_int, i64, i64)
        attend = typed(functions.ggml_flash_attn_ext, word, *[word] * 5, real, real, real)
        custom = typed(
            functions.ggml_custom_4d, word, word, ctypes.c_int, *[i64] * 4, word, ctypes.c_int,
            word, ctypes.c_int, word,
        )  # fmt: skip
        name = typed(functions.ggml_op_name, ctypes.c_char_p, ctypes.c_int)
    except AttributeError as error:
        raise StreamingUnavailable(detail=str(error)) from error
    context = init(InitParams(1 << 16, None, True))
    try:
        keys, values = (new(context, _TYPE_F16, _WIDTH, _CELLS) for _ in range(2))
        queries, mask = new(context, TYPE_F32, _WIDTH, 1), new(context, _TYPE_F16, _CELLS, 1)
        attention = attend(context, queries, keys, values, mask, _SCALE, _BIAS, _SOFT_CAP)
        operands = [queries, keys, values, mask]
        if read_word_array(attention + ggml.fields.sources, 0, len(operands)) != operands:
            raise unexpected("the operands of attention")
        node = custom(context, TYPE_F32, 1, 1, 1, 1, 0, 0, compute, _ALL_THREADS, user_data)
        operation, parameters = _find_operation(attention, ggml)
        custom_operation = _int_at(node + operation)
        if name(_int_at(attention + operation)) != b"FLASH_ATTN_EXT" or (
            name(custom_operation) != b"CUSTOM"
        ):
            raise unexpected("the operation of a node")
        custom_parameters = ctypes.string_at(node + parameters, _PARAMETER_BYTES)
        if any(custom_parameters[-_UNUSED_BYTES:]):
            raise unexpected("a custom node")
        layout = AttentionLayout(
            offsets=native_offsets(ggml.fields),
            strides=ggml.fields.strides,
            operation=operation,
            parameters=parameters,
            attention_operation=_int_at(attention + operation),
            custom_operation=custom_operation,
        )
        offset = AttentionLayout.custom_parameters.offset
        ctypes.memmove(ctypes.addressof(layout) + offset, custom_parameters, _PARAMETER_BYTES)
        return layout
    finally:
        free(context)


def _find_operation(attention: int, ggml: Ggml) -> tuple[int, int]:
    """Return the offsets of an attention node's operation and of its parameters, behind it."""
    first = ggml.fields.strides + 4 * WORD
    parameters = bytes((ctypes.c_float * 3)(_SCALE, _BIAS, _SOFT_CAP))
    if ctypes.string_at(attention + first + 4, len(parameters)) != parameters:
        raise unexpected("the parameters of attention")
    return first, first + 4


def _int_at(address: int) -> int:
    return ctypes.c_int.from_address(address).value
