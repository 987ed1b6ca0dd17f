"""The attention kernels against the same sums in float64."""

import ctypes
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from deepseek_r1.engine.llama.binding.kernels import attention_vector_bits
from deepseek_r1.native.native_library import CustomNodeLayout, NodeKernels, native
from support.ggml_nodes import (
    BLOCKS,
    F16,
    F32,
    Q4_0,
    Q8_0,
    Node,
    announce,
    compute_all,
    node_layout,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not attention_vector_bits(), reason="llama.cpp computes attention here"),
]

SCALE = 0.11
PARAMETERS = struct.pack("fff", SCALE, 0, 0)  # no bias by distance, no soft cap
ERROR = 5e-6
Floats = NDArray[np.float64]
Attention = tuple[int, CustomNodeLayout]  # the kernels' address


@dataclass(frozen=True)
class Shape:
    """The shape of an attention node."""

    width: int
    heads: int
    groups: int
    tokens: int
    cells: int
    value_width: int = 0  # as wide as the keys


def bit_widths() -> list[int]:
    widest = attention_vector_bits()
    return [256, 512] if widest == 512 else [widest]


@pytest.fixture(params=bit_widths(), ids=lambda bits: f"{bits} bits")
def attention(request: pytest.FixtureRequest) -> Iterator[Attention]:
    address = native().attention_new(request.param)
    layout = node_layout("FLASH_ATTN_EXT", native().attention_compute, address)
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


def add_operand(node: Node, number: int, kind: int, data: NDArray, strides: list[int]) -> None:
    """Add an array of heads, rows, and what a row consists of; `strides` from row and head."""
    values, nbytes = BLOCKS[kind]
    width = data.shape[2] if values == 1 else data.shape[2] // nbytes * values
    node.add_operand(number, kind, data, [width, data.shape[1], data.shape[0]], strides)


class Case:
    """A node of random operands, its output, and what attention is in float64."""

    def __init__(
        self, layout, shape, kinds, seed=1, *, masked=True, unseen=0.0, parameters=PARAMETERS
    ):
        """`kinds` are the types of keys and values; `unseen` is in all cells that no row sees."""
        rng, wide = np.random.default_rng(seed), shape.value_width or shape.width
        queries = rng.normal(size=(shape.tokens, shape.heads, shape.width)).astype(np.float32)
        mask = mask_of(shape, rng) if masked else np.zeros((shape.tokens, shape.cells))
        self.output = np.full((shape.tokens, shape.heads, wide), np.nan, np.float32)
        self.node = Node(layout, self.output, parameters)
        # Queries lie token by token, the cache cell by cell, each with all its heads.
        row = queries.strides
        add_operand(self.node, 0, F32, queries.swapaxes(0, 1), [row[0], row[1]])
        cache = []
        for number, (kind, width) in enumerate(zip(kinds, (shape.width, wide), strict=True), 1):
            stored, exact = quantized(rng.normal(size=(shape.groups, shape.cells, width)), kind)
            cache.append(exact)
            cells = np.ascontiguousarray(stored.swapaxes(0, 1))
            if unseen:
                cells[np.isinf(mask).all(0)] = unseen
            strides = [cells.strides[0], cells.strides[1]]
            add_operand(self.node, number, kind, cells.swapaxes(0, 1), strides)
        if masked:
            half_mask = mask.astype(np.float16)[None]
            add_operand(self.node, 3, F16, half_mask, [half_mask.strides[1], half_mask.nbytes])
        self.exact = expected(shape, queries.astype(np.float64), cache[0], cache[1], mask)

    @property
    def error(self) -> float:
        """The largest difference between the output and the exact result."""
        return float(np.abs(self.output - self.exact).max())


def run(attention, shape, kind, threads=2, seed=1, *, values=None, masked=True, unseen=0.0):
    """Compute a case whose values have the type of its keys unless `values` is another one."""
    address, layout = attention
    case = Case(layout, shape, (kind, values or kind), seed, masked=masked, unseen=unseen)
    every = NodeKernels(address, None)
    compute_all(every, native().attention_compute, address, case.node, threads)
    return case


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
def test_attention_is_exact_to_the_last_digits_of_f32(attention, shape, kind):
    assert run(attention, shape, kind).error < ERROR


def test_results_do_not_depend_on_the_number_of_threads(attention):
    results = [run(attention, SHAPES[3], F16, threads).output for threads in (1, 2, 3, 16)]
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.slow
def test_nodes_of_all_shapes_follow_one_another(attention: Attention) -> None:
    """Memory that one node has filled must not be seen by the next."""
    for seed in range(3):
        for shape in SHAPES:
            assert run(attention, shape, F16, threads=3, seed=seed).error < ERROR


def test_keys_and_values_may_have_two_types_and_there_may_be_no_mask(attention):
    assert run(attention, SHAPES[3], Q8_0, values=F16, masked=False).error < ERROR


@pytest.mark.parametrize("unseen", [np.nan, np.inf])
def test_what_overflowed_in_cells_that_nobody_sees_changes_nothing(attention, unseen):
    """The cells of another sequence share a cache with those of the one that is computed."""
    assert run(attention, SHAPES[2], F16, unseen=unseen).error < ERROR


@pytest.mark.parametrize("reason", ["a bias by distance", "a soft cap", "sinks", "another width"])
def test_other_attention_is_left_to_llama_cpp(attention: Attention, reason: str) -> None:
    width = 80 if reason == "another width" else 64
    parameters = struct.pack("fff", SCALE, reason == "a bias by distance", reason == "a soft cap")
    shape = Shape(width, 4, 2, 1, 100)
    node = Case(attention[1], shape, (F16, F16), parameters=parameters).node
    if reason == "sinks":
        add_operand(node, 4, F32, np.zeros((1, 1, 4), np.float32), [16, 16])
    announce(NodeKernels(attention[0], None), node)
    assert not node.is_custom
