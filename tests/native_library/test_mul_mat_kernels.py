"""The kernels for few rows of activations against ggml's own, bit by bit.

ggml multiplies Q2_0 by plain C, whose last bits are the compiler's: it may fuse a product and a
sum. There the bits are those of the order that `native/mul_mat_q2_0.hpp` states, by numpy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from deepseek_r1.engine.llama.binding.kernels import mul_mat, supported_kernels
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.native.native_library import CustomNodeLayout, MulMatKernel, NodeKernels, native
from deepseek_r1.weights.ggml.tensor_layout import Ggml, address_of
from support.ggml_nodes import (
    BLOCKS,
    F16,
    F32,
    Q1_0,
    Q2_0,
    Q3_K,
    Q4_0,
    Q4_1,
    Q4_K,
    Q5_0,
    Q5_1,
    Q5_K,
    Q6_K,
    Q8_0,
    Q8_1,
    Q8_K,
    QUANTIZE,
    VEC_DOT,
    Node,
    announce,
    compute_all,
    node_layout,
    type_traits,
)

pytestmark = pytest.mark.integration

NO_HINT = bytes(8)
MOST_ROWS = 70
MANY_ROWS = 16  # for which weights are unpacked before, with AVX-512
UNPACKED_FIRST = {Q4_0, Q5_0, Q8_0, Q4_K, Q6_K}
NAMES = {
    Q1_0: "Q1_0", Q2_0: "Q2_0", Q4_0: "Q4_0", Q4_1: "Q4_1", Q5_0: "Q5_0", Q5_1: "Q5_1",
    Q8_0: "Q8_0", Q3_K: "Q3_K", Q4_K: "Q4_K", Q5_K: "Q5_K", Q6_K: "Q6_K",
}  # fmt: skip
K_TYPES = (Q3_K, Q4_K, Q5_K, Q6_K)
WITH_SSE42 = (Q2_0, Q4_1, Q5_0, Q5_1, Q8_0, *K_TYPES)
WITH_AVX2 = (Q1_0, Q2_0, Q4_0, Q5_0, Q8_0, *K_TYPES)
COMPUTED = [
    (kernel, kind)
    for kernel in MulMatKernel
    for kind in (WITH_SSE42 if kernel == MulMatKernel.SSE42 else WITH_AVX2)
]


@pytest.fixture(autouse=True)
def _kernels_are_used() -> None:
    if not supported_kernels(library()):
        pytest.skip("llama.cpp multiplies here")


def quantised_rows(quantise, block, values):
    """Rows of numbers, packed by a function of ggml's into blocks of so many values and bytes."""
    stored = np.zeros((len(values), values.shape[1] // block[0] * block[1]), np.uint8)
    for row, to in zip(values, stored, strict=True):
        quantise(row.ctypes.data, to.ctypes.data, len(row))
    return stored


class GgmlKernels:
    """ggml's quantisation and dot product of one type of weights."""

    def __init__(self, kind: int) -> None:
        handle = library().api._lib
        if not hasattr(handle, "ggml_get_type_traits_cpu"):
            pytest.skip("llama.cpp loads its kernels from a separate library")
        weights = type_traits(handle, kind)
        activations = type_traits(handle, weights.vec_dot_type)
        self._block, self._activation_block = BLOCKS[kind], BLOCKS[weights.vec_dot_type]
        self._quantize = QUANTIZE(weights.from_float)
        self._quantize_activations = QUANTIZE(activations.from_float)
        self._dot = VEC_DOT(weights.vec_dot)

    def quantized(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Rows of weights."""
        return quantised_rows(self._quantize, self._block, values)

    def quantized_activations(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Rows of activations."""
        return quantised_rows(self._quantize_activations, self._activation_block, values)

    def products(self, weights, activations):
        """Each row of activations times each row of weights."""
        width, rows = activations.shape[1], self.quantized_activations(activations)
        found = np.zeros((len(activations), len(weights)), np.float32)
        for i, row in enumerate(rows):
            for j, weight in enumerate(weights):
                at = found[i:, j:].ctypes.data
                self._dot(width, at, 0, weight.ctypes.data, 0, row.ctypes.data, 0, 1)
        return found


class Q20Terms:
    """What a product of Q2_0 weights and Q8_0 activations adds up, for each pair of rows.

    `pairs`: for each block of weights two sums of 32 products, exact, times the activations' scale.
    `scales`: the weights'. Axes: rows of activations, rows of weights, blocks (, halves).
    """

    def __init__(self, weights: NDArray[np.uint8], activations: NDArray[np.uint8]) -> None:
        blocks = weights.reshape(len(weights), -1, 18)
        quants = (blocks[..., 2:, None] >> np.arange(0, 8, 2)) & 3
        values = quants.reshape(*blocks.shape[:2], 2, 32).astype(np.int64) - 1
        halves = activations.reshape(len(activations), -1, 2, 34)
        sums = np.einsum("obhv,rbhv->robh", values, halves[..., 2:].view(np.int8).astype(np.int64))
        scales = halves[..., :2].copy().view(np.float16)[..., 0].astype(np.float32)
        with np.errstate(all="ignore"):  # a scale in f16 may be infinite
            self.pairs = scales[:, None] * sums.astype(np.float32)
        self.scales = blocks[..., :2].copy().view(np.float16)[..., 0].astype(np.float32)

    def products(self) -> NDArray[np.float32]:
        """The sums in f32, each operation rounded, block after block."""
        found = np.zeros(self.pairs.shape[:2], np.float32)
        with np.errstate(all="ignore"):
            for block in range(self.pairs.shape[2]):
                both = self.pairs[:, :, block, 0] + self.pairs[:, :, block, 1]
                found += self.scales[:, block] * both
        return found

    def exact(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The sums in f64, and how far away f32 may be: a rounding of 2^-24 for each operation.

        A pair's scale has 11 bits and its sum 14: their product is exact in f32 too, or nearly.
        """
        terms = self.scales[None, :, :, None].astype(np.float64) * self.pairs
        roundings = self.pairs.shape[2] + 3
        return terms.sum(axis=(2, 3)), roundings * 2.0**-24 * np.abs(terms).sum(axis=(2, 3))


def decoded_activations(kind: int, stored: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The values of rows of activations that ggml's reference has quantised."""
    blocks = stored.reshape(len(stored), -1, BLOCKS[kind][1])
    scale, quants = {Q8_0: (np.float16, 2), Q8_1: (np.float16, 4), Q8_K: (np.float32, 4)}[kind]
    scales = blocks[..., : scale().nbytes].copy().view(scale).astype(np.float64)
    values = blocks[..., quants : quants + BLOCKS[kind][0]].view(np.int8)
    return (scales * values).reshape(len(stored), -1)


def exact_products(kind, weights, activations):
    """The sums in f64, and how far away f32 may be: a rounding for each addition and scale."""
    to = type_traits(library().api._lib, kind).vec_dot_type
    name = {Q8_0: "q8_0", Q8_1: "q8_1", Q8_K: "q8_K"}[to]
    quantise = QUANTIZE(address_of(getattr(library().functions, f"quantize_row_{name}_ref")))
    stored = quantised_rows(quantise, BLOCKS[to], activations)
    values = decoded_activations(to, stored)
    decoded = dequantize(weights, GGMLQuantizationType(kind)).astype(np.float64)
    exact, size = values @ decoded.T, np.abs(values) @ np.abs(decoded).T
    if to == Q8_1:  # its blocks state their sum, by which the weights' minimum is multiplied
        sums, minimums = (
            rows.reshape(len(rows), -1, BLOCKS[of][1])[..., 2:4].copy().view(np.float16)[..., 0]
            for of, rows in ((Q8_1, stored), (kind, weights))
        )
        sums, minimums = sums.astype(np.float64), minimums.astype(np.float64)
        exact += (sums - values.reshape(len(sums), -1, 32).sum(axis=2)) @ minimums.T
        size += np.abs(sums) @ np.abs(minimums).T
    return exact, activations.shape[1] // 8 * 2.0**-24 * size


@dataclass
class Kernels:
    """Our kernels for one kind of instructions, and the type of weights to try them with."""

    kernel: MulMatKernel
    kind: int
    user_data: int
    layout: CustomNodeLayout

    @property
    def all(self) -> NodeKernels:
        """The kernels of a context that has no others."""
        return NodeKernels(None, self.user_data)

    def has_expected_bits(self, rows: int) -> bool:
        """Not where weights are unpacked before, and floats added up in an order of its own.

        Nor without AVX beside a ggml with it, which rounds differently: `make test-processors`
        compares the bits.
        """
        if self.kernel == MulMatKernel.SSE42 and self.kind != Q2_0:
            return self.kernel in supported_kernels(library())
        has_lanes = self.kernel == MulMatKernel.AVX512_VNNI and self.kind in UNPACKED_FIRST
        return not (has_lanes and rows >= MANY_ROWS)

    def are_right(self, case: Case) -> bool:
        """Whether each bit of the result is the expected one, or it is as exact as f32 can be."""
        if self.has_expected_bits(len(case.result)):
            return case.same_bits
        with np.errstate(all="ignore"):  # a sum that Q8_1 states in f16 may be infinite
            exact, most = exact_products(self.kind, case.weights, case.activations)
            right = np.abs(case.result - exact) <= most
        return bool(np.all(right | ~np.isfinite(exact)))

    def compute(self, node: Node, threads: int) -> None:
        """Compute a node with several threads."""
        compute_all(self.all, native().mul_mat_compute, self.user_data, node, threads)

    def compute_at_once(self, node: Node, threads: int) -> None:
        """Compute a custom node with threads that begin together."""
        ready = threading.Barrier(threads)

        def work(thread: int) -> None:
            ready.wait()
            native().mul_mat_compute(node.address, thread, threads, self.user_data)

        workers = [threading.Thread(target=work, args=(each,)) for each in range(threads)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()


@pytest.fixture(params=COMPUTED, ids=lambda each: f"{each[0].name}-{NAMES[each[1]]}")
def kernels(request: pytest.FixtureRequest) -> Iterator[Kernels]:
    kernel, kind = request.param
    without_avx = kernel == MulMatKernel.SSE42 and native().mul_mat_supported(kernel)
    if not without_avx and kernel not in supported_kernels(library()):
        pytest.skip("this processor has no such instructions, or llama.cpp's bits are others")
    made = mul_mat(Ggml(library().functions), kernel)
    native().mul_mat_set_rows(made.user_data, 1, MOST_ROWS)
    layout = node_layout("MUL_MAT", native().mul_mat_compute, made.user_data)
    yield Kernels(kernel, kind, made.user_data, layout)
    made.close()


def has_minimums(kind: int) -> bool:
    return kind in {Q4_1, Q5_1, Q4_K, Q5_K}


def expected_products(kind, weights, activations):
    """The products whose bits the kernels have to have."""
    ggml = GgmlKernels(kind)
    if kind == Q2_0:
        return Q20Terms(weights, ggml.quantized_activations(activations)).products()
    return ggml.products(weights, activations)


class Case:
    """A multiplication of random operands, its result, and what is expected."""

    def __init__(
        self, layout, kind, rows, outputs, width, seed=1, *, parameters=NO_HINT, any_bytes=False
    ):
        """`any_bytes`: the weights' scales and values are any that a block can hold."""
        rng, ggml = np.random.default_rng(seed), GgmlKernels(kind)
        self.weights = ggml.quantized(rng.normal(size=(outputs, width)).astype(np.float32))
        if any_bytes:
            blocks = self.weights.reshape(outputs, -1, BLOCKS[kind][1])
            # Not the scales in f16.
            held = (
                slice(None, -2) if kind in {Q3_K, Q6_K} else slice(2 + 2 * has_minimums(kind), None)
            )
            blocks[..., held] = rng.integers(0, 256, blocks[..., held].shape)
        # Rows that lie apart, of very different sizes.
        scales = 10.0 ** rng.integers(-6, 6, size=(rows, 1))
        apart = (rng.normal(size=(rows, width + 32)) * scales).astype(np.float32)
        if any_bytes:
            apart[:] = np.where(apart > 0, 1, -1)  # all are 127 or -127, quantised
        activations = self.activations = apart[:, :width]
        self.expected = expected_products(kind, self.weights, activations)
        self.result = np.full((rows, outputs), np.nan, np.float32)
        self.node = Node(layout, self.result, parameters)
        self.node.add_operand(0, kind, self.weights, [width, outputs], [self.weights.strides[0]])
        self.node.add_operand(1, F32, activations, [width, rows], [apart.strides[0]])

    @property
    def same_bits(self) -> bool:
        """Whether each bit is the expected one."""
        return np.array_equal(self.result.view(np.uint32), self.expected.view(np.uint32))


# Groups of eight rows, and what is left of them.
@pytest.mark.parametrize("rows", [*range(1, 10), 12, 15, 16, 17, 25, 32, MOST_ROWS])
def test_each_row_has_the_expected_bits(kernels: Kernels, rows: int) -> None:
    if kernels.kind == Q1_0 and rows == 1:
        pytest.skip("ggml is as fast")
    case = Case(kernels.layout, kernels.kind, rows, outputs=70, width=1536)
    kernels.compute(case.node, threads=2)
    assert kernels.are_right(case)


def test_a_row_has_the_same_bits_beside_any_number_of_others(kernels: Kernels) -> None:
    few, many = (Case(kernels.layout, kernels.kind, rows, 70, 2304) for rows in (17, MOST_ROWS))
    activations = many.activations[:17].copy()
    few.node.add_operand(1, F32, activations, [2304, 17], [activations.strides[0]])
    weights = few.weights
    many.node.add_operand(0, kernels.kind, weights, [2304, 70], [weights.strides[0]])
    for case in (few, many):
        kernels.compute(case.node, threads=2)
    assert np.array_equal(few.result.view(np.uint32), many.result[:17].view(np.uint32))


def test_products_of_q2_0_are_as_exact_as_ggml_s(kernels: Kernels) -> None:
    """Neither is further from the exact sums than f32 has to be, however ggml was compiled."""
    if kernels.kind != Q2_0:
        pytest.skip("the other types have ggml's bits")
    case = Case(kernels.layout, Q2_0, rows=5, outputs=40, width=4096)
    kernels.compute(case.node, threads=2)
    ggml = GgmlKernels(Q2_0)
    exact, most = Q20Terms(case.weights, ggml.quantized_activations(case.activations)).exact()
    for found in (case.result, ggml.products(case.weights, case.activations)):
        assert np.all(np.abs(found - exact) <= most)


@pytest.mark.parametrize("rows", [9, 17])
def test_weights_and_activations_of_any_size_do_not_overflow(kernels: Kernels, rows: int) -> None:
    case = Case(kernels.layout, kernels.kind, rows, outputs=200, width=1024, any_bytes=True)
    kernels.compute(case.node, threads=2)
    assert kernels.are_right(case)


@pytest.mark.parametrize("threads", [3, 8])
def test_the_number_of_threads_changes_no_bit(kernels: Kernels, threads: int) -> None:
    """The same node again and again: threads that come late find the counters of their node."""
    case = Case(kernels.layout, kernels.kind, rows=5, outputs=300, width=2048)
    kernels.compute(case.node, threads=1)
    assert kernels.are_right(case)
    first = case.result.copy()
    for _ in range(20):
        case.result.fill(np.nan)
        kernels.compute_at_once(case.node, threads)
        assert np.array_equal(case.result, first)


def test_nodes_of_all_shapes_follow_one_another(kernels: Kernels) -> None:
    """Memory that one node has filled must not be seen by the next."""
    for seed in range(2):
        for rows, outputs, width in ((16, 3, 2048), (2, 1, 256), (7, 40, 4096), (9, 33, 256)):
            case = Case(kernels.layout, kernels.kind, rows, outputs, width, seed)
            kernels.compute(case.node, threads=3)
            assert kernels.are_right(case)


def test_activations_that_are_zero_or_huge(kernels: Kernels) -> None:
    case = Case(kernels.layout, kernels.kind, rows=3, outputs=8, width=256)
    activations = np.zeros((3, 256), np.float32)
    activations[1, 7], activations[2] = 3e37, -1e30
    case.node.add_operand(1, F32, activations, [256, 3], [activations.strides[0]])
    case.activations = activations
    case.expected = expected_products(kernels.kind, case.weights, activations)
    kernels.compute(case.node, threads=2)
    if kernels.has_expected_bits(3):
        assert np.array_equal(case.result, case.expected, equal_nan=True)
    else:
        assert not case.result[0].any()


def refused_nodes(layout: CustomNodeLayout) -> Iterator[tuple[str, Node]]:
    """Nodes that are computed with one thing changed, and what is changed."""
    values, halves = np.zeros((3, 2, 512), np.float32), np.zeros((2, 256), np.float16)
    yield "too many rows", Case(layout, Q4_K, MOST_ROWS + 1, 8, 256).node
    hint = Case(layout, Q4_K, 2, 8, 256, parameters=bytes([0, 0, 0, 0, 1, 0, 0, 0]))
    yield "a hint", hint.node
    for what, number, kind, extents, strides in (
        ("weights in f32", 0, F32, [256, 8], [1024]),
        ("several matrices of weights", 0, Q4_K, [256, 8, 2], [144, 1152]),
        ("several matrices of activations", 1, F32, [256, 2, 3], [2048, 4096]),
        ("another width", 1, F32, [512, 2], [2048]),
    ):
        node = Case(layout, Q4_K, 2, 8, 256).node
        node.add_operand(number, kind, values, extents, strides)
        yield what, node
    activations_in_f16 = Case(layout, Q4_K, 2, 8, 256).node
    activations_in_f16.add_operand(1, F16, halves, [256, 2], [512])
    yield "activations in f16", activations_in_f16
    repacked = Case(layout, Q4_K, 2, 8, 256)
    repacked.node.set_extra(0, 4096)
    yield "repacked weights", repacked.node


def test_other_multiplications_are_left_to_llama_cpp(kernels: Kernels) -> None:
    computed = Case(kernels.layout, Q4_K, 2, 8, 256).node
    announce(kernels.all, computed)
    assert computed.is_custom
    for what, node in refused_nodes(kernels.layout):
        if what == "too many rows" and kernels.kernel == MulMatKernel.SSE42:
            continue  # ggml, without vectors there, is slower with any number
        announce(kernels.all, node)
        assert not node.is_custom, what
