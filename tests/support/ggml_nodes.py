"""Nodes of ggml's graph in memory of their own, for kernels that compute nodes."""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.native.native_library import CustomNodeLayout, NodeKernels, native
from deepseek_r1.weights.ggml.tensor_layout import CustomNodes, Ggml, address_of, typed

F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1 = 0, 1, 2, 3, 6, 7, 8, 9
Q3_K, Q4_K, Q5_K, Q6_K, Q8_K = 11, 12, 13, 14, 15
Q1_0, Q2_0 = 41, 42
BLOCKS = {
    F32: (1, 4), F16: (1, 2), Q4_0: (32, 18), Q4_1: (32, 20), Q5_0: (32, 22), Q5_1: (32, 24),
    Q8_0: (32, 34), Q8_1: (32, 36), Q3_K: (256, 110), Q4_K: (256, 144), Q5_K: (256, 176),
    Q6_K: (256, 210), Q8_K: (256, 292),
       Q1_0: (128, 18), Q2_0: (64, 18),
}  # fmt: skip
"""The values and bytes of a block of each type."""


class TypeTraits(ctypes.Structure):
    """ggml_type_traits_cpu."""

    _fields_ = (
        ("from_float", ctypes.c_size_t),
        ("vec_dot", ctypes.c_size_t),
        ("vec_dot_type", ctypes.c_int),
        ("nrows", ctypes.c_int64),
    )


QUANTIZE = ctypes.CFUNCTYPE(None, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int64)
VEC_DOT = ctypes.CFUNCTYPE(None, ctypes.c_int, *[ctypes.c_size_t] * 6, ctypes.c_int)


def type_traits(handle: Any, kind: int) -> TypeTraits:
    """How ggml's code for the processor packs and multiplies a type. `handle`: its library."""
    handle.ggml_cpu_init()
    traits = typed(handle.ggml_get_type_traits_cpu, ctypes.POINTER(TypeTraits), ctypes.c_int)
    found: TypeTraits = traits(kind).contents
    return found


def node_layout(operation: str, compute: Any, user_data: int) -> CustomNodeLayout:
    """The layout of nodes whose operation these kernels compute."""
    nodes = CustomNodes(Ggml(library().functions))
    return nodes.layout(operation, address_of(compute), user_data)


class Node:
    """A node with its operands, laid out as ggml does. Its result is an array of f32."""

    def __init__(
        self, layout: CustomNodeLayout, result: NDArray[np.float32], parameters: bytes
    ) -> None:
        self._layout, self._kept = layout, [result]
        self._operands: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._node = self._tensor(F32, result)
        extents = [*result.shape[::-1], 1, 1][:4]
        strides = [*result.strides[::-1], 0, 0][:4]
        self._set_shape(self._node, extents, strides)
        self.address = ctypes.addressof(self._node)
        ctypes.memmove(self.address + layout.parameters, parameters, len(parameters))
        self._operation = ctypes.c_int.from_buffer(self._node, layout.operation)
        self._operation.value = layout.replaced_operation

    @property
    def is_custom(self) -> bool:
        """Whether the node became a custom node."""
        return self._operation.value == self._layout.custom_operation

    def add_operand(
        self, number: int, kind: int, data: NDArray, extents: list[int], strides: list[int]
    ) -> None:
        """Let operand `number` be this array.

        `extents` are the values of a row, the rows, and the matrices of rows; `strides` the bytes
        from row to row and from matrix to matrix.
        """
        tensor = self._tensor(kind, data)
        self._set_shape(tensor, [*extents, 1, 1][:4], [BLOCKS[kind][1], *strides, 0, 0][:4])
        source = self._layout.offsets.source + 8 * number
        self._set(self._node, source, ctypes.addressof(tensor))
        self._operands[number] = tensor
        self._kept.append(data)

    def set_extra(self, number: int, address: int) -> None:
        """Let an operand have something extra, as a repacked weight has."""
        self._set(self._operands[number], self._layout.extra, address)

    def _set_shape(
        self, tensor: ctypes.Array[ctypes.c_char], extents: list[int], strides: list[int]
    ) -> None:
        for i, (extent, stride) in enumerate(zip(extents, strides, strict=True)):
            self._set(tensor, self._layout.offsets.extent + 8 * i, extent)
            self._set(tensor, self._layout.strides + 8 * i, stride)

    def _tensor(self, kind: int, data: NDArray) -> ctypes.Array[ctypes.c_char]:
        tensor = ctypes.create_string_buffer(400)
        ctypes.c_int.from_buffer(tensor, self._layout.offsets.type).value = kind
        self._set(tensor, self._layout.offsets.data, data.ctypes.data)
        return tensor

    @staticmethod
    def _set(tensor: ctypes.Array[ctypes.c_char], offset: int, value: int) -> None:
        ctypes.c_int64.from_buffer(tensor, offset).value = value


def announce(kernels: NodeKernels, node: Node) -> None:
    """Call the eval callback, as llama.cpp does before a node is computed."""
    native().kernels_on_node(node.address, True, ctypes.byref(kernels))


def compute_all(
    kernels: NodeKernels, compute: Callable[..., Any], user_data: int, node: Node, threads: int
) -> None:
    """Compute a node as llama.cpp does: the eval callback first, then all threads at once."""
    announce(kernels, node)
    assert node.is_custom
    with ThreadPoolExecutor(threads) as pool:
        calls = [
            pool.submit(compute, node.address, thread, threads, user_data)
            for thread in range(threads)
        ]
    for call in calls:
        call.result()
