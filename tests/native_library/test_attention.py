"""The attention kernels against the same sums in float64."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from deepseek_r1.engine.llama.attention import attention_vector_bits
from deepseek_r1.engine.llama.library import library
from deepseek_r1.native.native_library import AttentionLayout, ContextCallback, native
from deepseek_r1.weights.ggml.attention_layout import attention_layout
from deepseek_r1.weights.ggml.tensor_layout import Ggml, address_of

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not attention_vector_bits(), reason="llama.cpp computes attention here"),
]

F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8
SCALE = 0.11
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """The shape of an attention node."""

    width: int
    heads: int
    groups: int
    tokens: int
    cells: int
    value_width: int = 0  # as wide as the keys


class Node:
    """A node of attention with its operands, laid out as ggml does."""

    def __init__(self, layout: AttentionLayout, output: NDArray[np.float32]) -> None:
        self._layout, self._kept = layout, [output]
        self._node = self._tensor(F32, output)
        self.address = ctypes.addressof(self._node)
        ctypes.c_float.from_buffer(self._node, layout.parameters).value = SCALE
        self._operation = ctypes.c_int.from_buffer(self._node, layout.operation)
        self._operation.value = layout.attention_operation

    @property
    def is_custom(self) -> bool:
        """Whether the node became a custom node."""
        return self._operation.value == self._layout.custom_operation

    def add_operand(self, number: int, kind: int, data: NDArray, strides: list[int]) -> None:
        """Let operand `number` be this array of one-dimensional rows, ordered as `strides` say.

        `strides` has the bytes from row to row in ggml's dimension 1, then from head to head; the
        array's shape is heads, rows, and what a row consists of.
        """
        tensor = self._tensor(kind, data)
        values = data.shape[2] if kind in (F32, F16) else {Q8_0: 34, Q4_0: 18}[kind]
        if kind in (Q8_0, Q4_0):
            values = data.shape[2] // values * 32
        extents = [values, data.shape[1], data.shape[0], 1]
        fields = zip(extents, [0, *strides, 0], strict=True)
        for i, (extent, stride) in enumerate(fields):
            self._set(tensor, self._layout.offsets.extent + 8 * i, extent)
            self._set(tensor, self._layout.strides + 8 * i, stride)
        source = self._layout.offsets.source + 8 * number
        self._set(self._node, source, ctypes.addressof(tensor))
        self._kept += [data, tensor]

    def _tensor(self, kind: int, data: NDArray) -> ctypes.Array[ctypes.c_char]:
        tensor = ctypes.create_string_buffer(400)
        ctypes.c_int.from_buffer(tensor, self._layout.offsets.type).value = kind
        self._set(tensor, self._layout.offsets.data, data.ctypes.data)
        return tensor

    @staticmethod
    def _set(tensor: ctypes.Array[ctypes.c_char], offset: int, value: int) -> None:
        ctypes.c_int64.from_buffer(tensor, offset).value = value


def bit_widths() -> list[int]:
    return [bits for bits in (256, 512) if bits <= attention_vector_bits()]


@pytest.fixture(params=bit_widths(), ids=lambda bits: f"{bits} bits")
def attention(request: pytest.FixtureRequest) -> Iterator[tuple[int, AttentionLayout]]:
    functions = library().functions
    address = native().attention_new(request.param)
    compute = address_of(native().attention_compute)
    layout = attention_layout(Ggml(functions), functions, compute, address)
    native().attention_set_layout(address, ctypes.byref(layout))
    yield address, layout
    native().attention_free(address)


def quantized(values: Floats, kind: int) -> tuple[NDArray, Floats]:
    """The cache's bytes for these values, and the values that the bytes stand for."""
    if kind == F16:
        half = values.astype(np.float16)
        return half, half.astype(np.float64)
    blocks = values.reshape(*values.shape[:-1], -1, 32)
    most = np.abs(blocks).max(-1, keepdims=True)
    scale = (most / (127 if kind == Q8_0 else 7)).astype(np.float16)
    numbers = np.rint(blocks / scale.astype(np.float64)).astype(np.int8)
    exact = (numbers * scale.astype(np.float64)).reshape(values.shape)
    if kind == Q4_0:
        nibbles = (numbers + 8).astype(np.uint8)
        numbers = (nibbles[..., :16] | nibbles[..., 16:] << 4).view(np.int8)
    parts = np.concatenate([scale.view(np.int8), numbers], axis=-1)
    return np.ascontiguousarray(parts.reshape(*values.shape[:-1], -1)), exact


def expected(shape: Shape, queries: Floats, keys: Floats, values: Floats, mask: Floats) -> Floats:
    """Attention in float64: tokens x heads x width."""
    heads = np.repeat(np.arange(shape.groups), shape.heads // shape.groups)
    scores = np.einsum("thi,hci->thc", queries, keys[heads]) * SCALE + mask[:, None, :]
    most = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isinf(most), 0, most))
    total = weights.sum(-1, keepdims=True)
    return np.einsum("thc,hcv->thv", weights / np.where(total == 0, 1, total), values[heads])


def mask_of(shape: Shape, rng: np.random.Generator) -> Floats:
    """Causal, with cells of other sequences; the first of several tokens sees none."""
    first = shape.cells - shape.tokens
    visible = np.arange(shape.cells)[None, :] <= first + np.arange(shape.tokens)[:, None]
    visible &= rng.random((shape.tokens, shape.cells)) > 0.3
    visible[0, :] = shape.tokens == 1
    return np.where(visible, 0.0, -np.inf)


def run(
    attention: tuple[int, AttentionLayout], shape: Shape, kind: int, threads: int, seed: int = 1
) -> tuple[NDArray[np.float32], Floats]:
    """The kernels' result and the exact one, for random operands in a cache of this type."""
    address, layout = attention
    rng, wide = np.random.default_rng(seed), shape.value_width or shape.width
    queries = rng.normal(size=(shape.tokens, shape.heads, shape.width)).astype(np.float32)
    key_bytes, keys = quantized(rng.normal(size=(shape.groups, shape.cells, shape.width)), kind)
    value_bytes, values = quantized(rng.normal(size=(shape.groups, shape.cells, wide)), kind)
    mask = mask_of(shape, rng)
    output = np.full((shape.tokens, shape.heads, wide), np.nan, np.float32)
    node = Node(layout, output)
    # Queries lie token by token, and so do the cells of the cache: all heads of a cell together.
    row = queries.strides
    node.add_operand(0, F32, queries.swapaxes(0, 1), [row[0], row[1]])
    for number, data in ((1, key_bytes), (2, value_bytes)):
        cells = np.ascontiguousarray(data.swapaxes(0, 1))
        node.add_operand(number, kind, cells.swapaxes(0, 1), [cells.strides[0], cells.strides[1]])
    half_mask = mask.astype(np.float16)[None]
    node.add_operand(3, F16, half_mask, [half_mask.strides[1], half_mask.nbytes])
    compute_all(address, node, threads)
    return output, expected(shape, queries.astype(np.float64), keys, values, mask)


def compute_all(address: int, node: Node, threads: int) -> None:
    """Compute a node as llama.cpp does: the eval callback first, then all threads at once."""
    native().context_on_node(node.address, True, ctypes.byref(ContextCallback(address, None)))
    assert node.is_custom
    with ThreadPoolExecutor(threads) as pool:
        calls = [
            pool.submit(native().attention_compute, node.address, thread, threads, address)
            for thread in range(threads)
        ]
    for call in calls:
        call.result()


SHAPES = [
    Shape(width=64, heads=9, groups=3, tokens=1, cells=256),
    Shape(width=64, heads=14, groups=2, tokens=5, cells=100),
    Shape(width=128, heads=12, groups=2, tokens=1, cells=4096),
    Shape(width=128, heads=28, groups=4, tokens=13, cells=1000),
    Shape(width=128, heads=8, groups=8, tokens=70, cells=600),
    Shape(width=96, heads=4, groups=4, tokens=3, cells=31),
    Shape(width=192, heads=4, groups=4, tokens=2, cells=300, value_width=128),
    Shape(width=576, heads=16, groups=1, tokens=2, cells=300, value_width=512),
]


@pytest.mark.parametrize("kind", [F16, Q8_0, Q4_0], ids=["f16", "q8_0", "q4_0"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_attention_is_exact_to_the_last_digits_of_f32(
    attention: tuple[int, AttentionLayout], shape: Shape, kind: int
) -> None:
    result, exact = run(attention, shape, kind, threads=2)
    assert np.abs(result - exact).max() < 5e-6


def test_results_do_not_depend_on_the_number_of_threads(
    attention: tuple[int, AttentionLayout],
) -> None:
    shape = SHAPES[3]
    results = [run(attention, shape, F16, threads)[0] for threads in (1, 2, 3, 16)]
    assert all(np.array_equal(result, results[0]) for result in results)


def test_nodes_of_all_shapes_follow_one_another(attention: tuple[int, AttentionLayout]) -> None:
    """Memory that one node has filled must not be seen by the next."""
    for seed in range(3):
        for shape in SHAPES:
            result, exact = run(attention, shape, F16, threads=3, seed=seed)
            assert np.abs(result - exact).max() < 5e-6
