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
ERROR = 5e-6
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
        self._set_shape(self._node, [*output.shape[::-1], 1], [4, *output.strides[1::-1], 0])
        self.address = ctypes.addressof(self._node)
        self.set_parameters()
        self._operation = ctypes.c_int.from_buffer(self._node, layout.operation)
        self._operation.value = layout.attention_operation

    def set_parameters(self, *, bias: float = 0.0, soft_cap: float = 0.0) -> None:
        """Set what an attention node has as its parameters."""
        for i, value in enumerate((SCALE, bias, soft_cap)):
            offset = self._layout.parameters + 4 * i
            ctypes.c_float.from_buffer(self._node, offset).value = value

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
        first = {F32: 4, F16: 2, Q8_0: 34, Q4_0: 18}[kind]
        self._set_shape(tensor, [values, data.shape[1], data.shape[0], 1], [first, *strides, 0])
        source = self._layout.offsets.source + 8 * number
        self._set(self._node, source, ctypes.addressof(tensor))
        self._kept += [data, tensor]

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


class Case:
    """A node of random operands, its output, and what attention is in float64."""

    def __init__(
        self,
        layout: AttentionLayout,
        shape: Shape,
        kinds: tuple[int, int],
        seed: int = 1,
        *,
        masked: bool = True,
        unseen: float = 0.0,
    ) -> None:
        """`kinds` are the types of keys and values; `unseen` is in all cells that no row sees."""
        rng, wide = np.random.default_rng(seed), shape.value_width or shape.width
        queries = rng.normal(size=(shape.tokens, shape.heads, shape.width)).astype(np.float32)
        mask = mask_of(shape, rng) if masked else np.zeros((shape.tokens, shape.cells))
        self.output = np.full((shape.tokens, shape.heads, wide), np.nan, np.float32)
        self.node = Node(layout, self.output)
        # Queries lie token by token, the cache cell by cell, each with all its heads.
        row = queries.strides
        self.node.add_operand(0, F32, queries.swapaxes(0, 1), [row[0], row[1]])
        cache = []
        for number, (kind, width) in enumerate(zip(kinds, (shape.width, wide), strict=True), 1):
            stored, exact = quantized(rng.normal(size=(shape.groups, shape.cells, width)), kind)
            cache.append(exact)
            cells = np.ascontiguousarray(stored.swapaxes(0, 1))
            if unseen:
                cells[np.isinf(mask).all(0)] = unseen
            strides = [cells.strides[0], cells.strides[1]]
            self.node.add_operand(number, kind, cells.swapaxes(0, 1), strides)
        if masked:
            half_mask = mask.astype(np.float16)[None]
            self.node.add_operand(3, F16, half_mask, [half_mask.strides[1], half_mask.nbytes])
        self.exact = expected(shape, queries.astype(np.float64), cache[0], cache[1], mask)

    @property
    def error(self) -> float:
        """The largest difference between the output and the exact result."""
        return float(np.abs(self.output - self.exact).max())


def run(
    attention: tuple[int, AttentionLayout], shape: Shape, kind: int, threads: int, seed: int = 1
) -> Case:
    """Compute a case whose keys and values have the same type."""
    case = Case(attention[1], shape, (kind, kind), seed)
    compute_all(attention[0], case.node, threads)
    return case


def announce(address: int, node: Node) -> None:
    """Call the eval callback, as llama.cpp does before a node is computed."""
    native().context_on_node(node.address, True, ctypes.byref(ContextCallback(address, None)))


def compute_all(address: int, node: Node, threads: int) -> None:
    """Compute a node as llama.cpp does: the eval callback first, then all threads at once."""
    announce(address, node)
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
    assert run(attention, shape, kind, threads=2).error < ERROR


def test_results_do_not_depend_on_the_number_of_threads(
    attention: tuple[int, AttentionLayout],
) -> None:
    results = [run(attention, SHAPES[3], F16, threads).output for threads in (1, 2, 3, 16)]
    assert all(np.array_equal(result, results[0]) for result in results)


def test_nodes_of_all_shapes_follow_one_another(attention: tuple[int, AttentionLayout]) -> None:
    """Memory that one node has filled must not be seen by the next."""
    for seed in range(3):
        for shape in SHAPES:
            assert run(attention, shape, F16, threads=3, seed=seed).error < ERROR


def test_keys_and_values_may_have_two_types_and_there_may_be_no_mask(
    attention: tuple[int, AttentionLayout],
) -> None:
    case = Case(attention[1], SHAPES[3], (Q8_0, F16), masked=False)
    compute_all(attention[0], case.node, 2)
    assert case.error < ERROR


@pytest.mark.parametrize("unseen", [np.nan, np.inf])
def test_what_overflowed_in_cells_that_nobody_sees_changes_nothing(
    attention: tuple[int, AttentionLayout], unseen: float
) -> None:
    """The cells of another sequence share a cache with those of the one that is computed."""
    case = Case(attention[1], SHAPES[2], (F16, F16), unseen=unseen)
    compute_all(attention[0], case.node, 2)
    assert case.error < ERROR


@pytest.mark.parametrize("reason", ["a bias by distance", "a soft cap", "sinks", "another width"])
def test_other_attention_is_left_to_llama_cpp(
    attention: tuple[int, AttentionLayout], reason: str
) -> None:
    width = 80 if reason == "another width" else 64
    node = Case(attention[1], Shape(width, 4, 2, 1, 100), (F16, F16)).node
    if reason == "sinks":
        node.add_operand(4, F32, np.zeros((1, 1, 4), np.float32), [16, 16])
    node.set_parameters(bias=reason == "a bias by distance", soft_cap=reason == "a soft cap")
    announce(attention[0], node)
    assert not node.is_custom
