"""The kernels for processors without AVX, against what ggml's plain functions for them compute.

`ggml_vec_dot_q4_1_q8_1_generic` and the others are written again here with numpy, because a ggml
for AVX rounds differently. With the LLAMA_CPP_LIB_PATH of a build without AVX,
`test_mul_mat_kernels.py` compares the kernels with that ggml's own.
"""

import ctypes
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from deepseek_r1.engine.llama.binding.kernels import mul_mat
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.native.native_library import MulMatKernel, NodeKernels, native
from deepseek_r1.weights.ggml.tensor_layout import Ggml, address_of
from support.ggml_nodes import (
    BLOCKS,
    F32,
    Q3_K,
    Q4_1,
    Q4_K,
    Q5_0,
    Q5_1,
    Q5_K,
    Q6_K,
    Q8_0,
    Q8_1,
    Q8_K,
    Node,
    compute_all,
    node_layout,
)

pytestmark = pytest.mark.integration

FLOAT, BITS = np.float32, np.uint32
KINDS = pytest.mark.parametrize(
    "kind",
    [Q4_1, Q5_0, Q5_1, Q8_0, Q3_K, Q4_K, Q5_K, Q6_K],
    ids=["Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q3_K", "Q4_K", "Q5_K", "Q6_K"],
)
WITH_MINIMUMS = {Q4_1, Q5_1, Q4_K, Q5_K}


class Kernels:
    """The kernels, without a context."""

    def __init__(self) -> None:
        self._made = mul_mat(Ggml(library().functions), MulMatKernel.SSE42)
        self._user_data = self._made.user_data
        self._layout = node_layout("MUL_MAT", native().mul_mat_compute, self._user_data)

    def products(self, kind, weights, activations, threads):
        """Each row of activations times each row of weights."""
        rows, width = activations.shape
        result = np.full((rows, len(weights)), np.nan, FLOAT)
        node = Node(self._layout, result, bytes(8))
        node.add_operand(0, kind, weights, [width, len(weights)], [weights.strides[0]])
        node.add_operand(1, F32, activations, [width, rows], [activations.strides[0]])
        every = NodeKernels(None, self._user_data)
        compute_all(every, native().mul_mat_compute, self._user_data, node, threads)
        return result

    def close(self) -> None:
        self._made.close()


@pytest.fixture
def kernels() -> Iterator[Kernels]:
    if not native().mul_mat_supported(MulMatKernel.SSE42):
        pytest.skip("this processor or this compiler has no such instructions")
    made = Kernels()
    yield made
    made.close()


def random_weights(kind: int, outputs: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Rows of weights whose values, and scales of 6 and 8 bits, are any that a block can hold."""
    rng = np.random.default_rng(seed)
    values, nbytes = BLOCKS[kind]
    blocks = rng.integers(0, 256, (outputs, width // values, nbytes), dtype=np.uint8)
    scales = 2 if kind in WITH_MINIMUMS else 1
    first = slice(nbytes - 2, nbytes) if kind in {Q3_K, Q6_K} else slice(0, 2 * scales)
    halves = rng.normal(size=(outputs, width // values, scales)).astype(np.float16)
    halves[0, 0] = 6e-8  # the smallest one above 0
    blocks[..., first] = halves.view(np.uint8)
    return blocks.reshape(outputs, -1)


def quantised(kind: int, activations: NDArray[FLOAT]) -> NDArray[np.uint8]:
    """The blocks of activations, as [row, block, byte], by ggml's function."""
    name = {Q8_0: "q8_0", Q8_1: "q8_1", Q8_K: "q8_K"}[kind]
    signature = ctypes.CFUNCTYPE(None, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int64)
    quantise = signature(address_of(getattr(library().functions, f"quantize_row_{name}_ref")))
    values, nbytes = BLOCKS[kind]
    rows, width = activations.shape
    found = np.zeros((rows, width // values, nbytes), np.uint8)
    for row, to in zip(activations, found, strict=True):
        quantise(row.ctypes.data, to.ctypes.data, width)
    return found


def field(blocks: NDArray[np.uint8], first: int, kind: type, count: int) -> NDArray:
    """Numbers of each block, as [row, block, number]."""
    end = first + count * np.dtype(kind).itemsize
    return np.ascontiguousarray(blocks[..., first:end]).view(kind)


def f16(blocks: NDArray[np.uint8], first: int) -> NDArray[FLOAT]:
    """The number in f16 at one place of each block, as [row, block]."""
    return field(blocks, first, np.float16, 1)[..., 0].astype(FLOAT)


def nibbles(blocks: NDArray[np.uint8], first: int) -> NDArray[np.int32]:
    """The 32 values of four bits in 16 bytes."""
    low_bits = blocks[..., first : first + 16].astype(np.int32)
    return np.concatenate([low_bits & 15, low_bits >> 4], axis=-1)


def fifth_bits(blocks: NDArray[np.uint8], first: int) -> NDArray[np.int32]:
    bits = field(blocks, first, np.uint32, 1)
    return ((bits >> np.arange(32, dtype=np.uint32)) & 1).astype(np.int32) << 4


def block_quants(kind: int, blocks: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The values of the blocks of 32, without scale and minimum."""
    if kind == Q8_0:
        return field(blocks, 2, np.int8, 32).astype(np.int32)
    if kind == Q4_1:
        return nibbles(blocks, 4)
    if kind == Q5_0:
        return (nibbles(blocks, 6) | fifth_bits(blocks, 2)) - 16
    return nibbles(blocks, 8) | fifth_bits(blocks, 4)


def products_of_blocks(kind, weights, activations):
    """The types with 32 values a block."""
    x = weights.reshape(len(weights), -1, BLOCKS[kind][1])
    has_minimum = kind in {Q4_1, Q5_1}
    y = quantised(Q8_1 if has_minimum else Q8_0, activations)
    values = block_quants(kind, x)
    quants = field(y, 4 if has_minimum else 2, np.int8, 32).astype(np.int32)
    result = np.zeros((len(y), len(x)), FLOAT)
    for i in range(x.shape[1]):
        sums = quants[:, i] @ values[:, i].T
        term = (f16(x, 0)[:, i] * f16(y, 0)[:, i, None]) * sums.astype(FLOAT)
        if has_minimum:
            term = term + f16(x, 2)[:, i] * f16(y, 2)[:, i, None]
        result = result + term
    return result


def q4_k_scales(block: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The scales and minimums of the groups, as [..., group]."""
    packed = block[..., 4:16].astype(np.int32)
    scales = np.concatenate(
        [packed[..., :4] & 63, packed[..., 8:] & 15 | packed[..., :4] >> 6 << 4], -1
    )
    minimums = np.concatenate(
        [packed[..., 4:8] & 63, packed[..., 8:] >> 4 | packed[..., 4:8] >> 6 << 4], -1
    )
    return scales, minimums


def q3_k_scales(block: NDArray[np.uint8]) -> NDArray[np.int32]:
    packed = block[..., 96:108].astype(np.int32)
    low = np.concatenate([packed[..., :8] & 15, packed[..., :8] >> 4], -1)
    high = np.concatenate([packed[..., 8:] >> 2 * i & 3 for i in range(4)], -1)
    return (low | high << 4) - 32


def q3_k_quants(block: NDArray[np.uint8]) -> NDArray[np.int32]:
    low = block[..., 32:96].astype(np.int32).reshape(*block.shape[:-1], 2, 32)
    parts = [low[..., step // 4, :] >> 2 * (step % 4) & 3 for step in range(8)]
    return np.concatenate(parts, -1) + 4 * high_bits(block, 0) - 4


def high_bits(block: NDArray[np.uint8], first: int) -> NDArray[np.int32]:
    """One bit of each value: those of the first 32 are the lowest of 32 bytes."""
    held = block[..., first : first + 32].astype(np.int32)
    return np.concatenate([held >> step & 1 for step in range(8)], -1)


def q6_k_quants(block: NDArray[np.uint8]) -> NDArray[np.int32]:
    low = block[..., :128].astype(np.int32).reshape(*block.shape[:-1], 2, 2, 32)
    high = block[..., 128:192].astype(np.int32).reshape(*block.shape[:-1], 2, 32)
    parts = [
        (low[..., part % 2, :] >> 4 * (part // 2) & 15) | (high >> 2 * part & 3) << 4
        for part in range(4)
    ]
    return np.stack(parts, axis=-2).reshape(*block.shape[:-1], 256) - 32


def products_of_k_blocks(kind, weights, activations):
    """The K types: value n of a block belongs to sum n % 8."""
    x, y = weights.reshape(len(weights), -1, BLOCKS[kind][1]), quantised(Q8_K, activations)
    sums = np.zeros((len(y), len(x), 8), FLOAT)
    result = np.zeros((len(y), len(x)), FLOAT)
    quants = field(y, 4, np.int8, 256).astype(np.int32)
    y_scales = field(y, 0, np.float32, 1)[..., 0]
    has_minimums = kind in WITH_MINIMUMS
    if has_minimums:
        low_bits = x[..., -128:].astype(np.int32).reshape(*x.shape[:2], 4, 1, 32)
        values = np.concatenate([low_bits & 15, low_bits >> 4], -2).reshape(*x.shape[:2], 256)
        if kind == Q5_K:
            values += high_bits(x, 16) << 4
        scales, minimums = q4_k_scales(x)
        scaled = values * np.repeat(scales, 32, -1)
    elif kind == Q3_K:
        scaled = q3_k_quants(x) * np.repeat(q3_k_scales(x), 16, -1)
    else:
        scales = field(x, 192, np.int8, 16).astype(np.int32)
        scaled = q6_k_quants(x) * np.repeat(scales, 16, -1)
    for i in range(x.shape[1]):
        lanes = np.einsum(
            "rnl,onl->rol", quants[:, i].reshape(-1, 32, 8), scaled[:, i].reshape(-1, 32, 8)
        )
        of = f16(x, 0 if has_minimums else BLOCKS[kind][1] - 2)[:, i] * y_scales[:, i, None]
        sums = sums + of[..., None] * lanes.astype(FLOAT)
        if has_minimums:
            pairs = field(y, 260, np.int16, 16)[:, i].astype(np.int32).reshape(-1, 8, 2).sum(-1)
            of_minimums = f16(x, 2)[:, i] * y_scales[:, i, None]
            result = result - of_minimums * (pairs @ minimums[:, i].T).astype(FLOAT)
    for lane in range(8):
        result = result + sums[..., lane]
    return result


def expected_products(kind, weights, activations):
    of = products_of_k_blocks if BLOCKS[kind][0] == 256 else products_of_blocks
    return of(kind, weights, activations)


def same_bits(kernels: Kernels, kind: int, rows: int, outputs: int, width: int) -> bool:
    weights = random_weights(kind, outputs, width, seed=rows)
    rng = np.random.default_rng(rows)
    scales = 10.0 ** rng.integers(-3, 3, size=(rows, 1))
    activations = (rng.normal(size=(rows, width)) * scales).astype(FLOAT)
    found = kernels.products(kind, weights, activations, threads=2)
    return np.array_equal(
        found.view(BITS), expected_products(kind, weights, activations).view(BITS)
    )


@KINDS
@pytest.mark.parametrize("rows", [*range(1, 10), 13, 64, 65, 130])
def test_each_row_has_the_bits_of_ggml(kernels: Kernels, kind: int, rows: int) -> None:
    """More rows than 64 are computed in parts."""
    assert same_bits(kernels, kind, rows, outputs=30, width=768)


@KINDS
@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5, 33, 70])
def test_any_number_of_weights(kernels: Kernels, kind: int, outputs: int) -> None:
    assert same_bits(kernels, kind, 3, outputs, width=256)


@pytest.mark.parametrize("kind", [Q4_1, Q5_0, Q5_1, Q8_0])
def test_widths_that_no_k_type_has(kernels: Kernels, kind: int) -> None:
    assert same_bits(kernels, kind, 3, outputs=20, width=576)


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_threads_that_come_late_change_no_bit_of_several_parts(kernels, threads):
    weights = random_weights(Q4_1, 70, 256, seed=1)
    activations = np.random.default_rng(1).normal(size=(130, 256)).astype(FLOAT)
    expected = expected_products(Q4_1, weights, activations)
    for _ in range(40):
        found = kernels.products(Q4_1, weights, activations, threads)
        assert np.array_equal(found.view(BITS), expected.view(BITS))


@KINDS
@pytest.mark.parametrize("scale", [np.inf, -np.inf, np.nan, 65504, -0.0, 6e-8, 1e-5])
def test_scales_of_any_size(kernels: Kernels, kind: int, scale: float) -> None:
    weights = random_weights(kind, 5, 512, seed=3)
    blocks = weights.reshape(5, -1, BLOCKS[kind][1])
    first = slice(-2, None) if kind in {Q3_K, Q6_K} else slice(0, 2)
    blocks[1, 1, first] = np.array([scale], np.float16).view(np.uint8)
    activations = np.random.default_rng(2).normal(size=(2, 512)).astype(FLOAT)
    found = kernels.products(kind, weights, activations, threads=1)
    with np.errstate(invalid="ignore", over="ignore"):
        expected = expected_products(kind, weights, activations)
    assert np.array_equal(found, expected, equal_nan=True)


@KINDS
def test_the_largest_values_do_not_overflow(kernels: Kernels, kind: int) -> None:
    for byte in (0, 0x7F, 0x80, 0xFF):
        weights = random_weights(kind, 12, 512, seed=5)
        values, nbytes = BLOCKS[kind]
        blocks = weights.reshape(12, 512 // values, nbytes)
        scales = 2 if kind in WITH_MINIMUMS else 1
        held = slice(None, -2) if kind in {Q3_K, Q6_K} else slice(2 * scales, None)
        blocks[..., held] = byte
        activations = np.where(np.arange(4 * 512).reshape(4, 512) % 3 > 0, 1, -1).astype(FLOAT)
        found = kernels.products(kind, weights, activations, threads=1)
        expected = expected_products(kind, weights, activations)
        assert np.array_equal(found.view(BITS), expected.view(BITS)), byte
