"""Times the kernels of two builds of the native library, in turns and in one process.

    python bench/bench_builds.py BEFORE.so AFTER.so [--turns 30] [--outputs 1536]

One thread computes nodes in memory: products of Q4_K, Q6_K, Q8_0 and Q2_0 with 1, 2, 4 and 8 rows
of activations, by each kernel that the processor runs, and attention of R1's 1.5B shape behind 500
and 4,000 cells. The ratio is the first build's time / the second's: above 1 the second is faster.
It is that of the middle of all turns and that of each build's least time, which other programs
disturb the least.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.native.native_library import MulMatKernel, Native, NodeKernels, Quantizers
from deepseek_r1.weights.ggml.tensor_layout import address_of
from support.ggml_nodes import BLOCKS, F16, F32, Q2_0, Q4_K, Q6_K, Q8_0, Node, node_layout

TYPES: Final = {"Q4_K": Q4_K, "Q6_K": Q6_K, "Q8_0": Q8_0, "Q2_0": Q2_0}
WIDTH: Final = 1536
HEADS, GROUPS, HEAD_WIDTH = 12, 2, 128
Case = tuple[str, list[Callable[[], object]]]


def product_cases(builds: list[Native], outputs: int) -> Iterator[Case]:
    """Yield each product, and the function of each build that computes it."""
    functions = library().functions
    quantizers = Quantizers(
        *(
            address_of(getattr(functions, f"quantize_row_{each}_ref"))
            for each in ("q8_K", "q8_0", "q8_1")
        )
    )
    rng = np.random.default_rng(1)
    for kernel in MulMatKernel:
        if not all(build.mul_mat_supported(kernel) for build in builds):
            continue
        for name, kind in TYPES.items():
            count, nbytes = BLOCKS[kind]
            weights = rng.integers(0, 60, (outputs, WIDTH // count * nbytes)).astype(np.uint8)
            for rows in (1, 2, 4, 8):
                given = rng.normal(size=(rows, WIDTH)).astype(np.float32)
                computes = []
                for build in builds:
                    made = build.mul_mat_new(kernel, quantizers)
                    layout = node_layout("MUL_MAT", build.mul_mat_compute, made)
                    build.mul_mat_set_layout(made, ctypes.byref(layout))
                    build.mul_mat_set_rows(made, 1, 64)
                    node = Node(layout, np.zeros((rows, outputs), np.float32), bytes(8))
                    node.add_operand(0, kind, weights, [WIDTH, outputs], [weights.strides[0]])
                    node.add_operand(1, F32, given, [WIDTH, rows], [given.strides[0]])
                    build.kernels_on_node(node.address, True, ctypes.byref(NodeKernels(None, made)))
                    if node.is_custom:
                        computes.append(computing(build.mul_mat_compute, node, made))
                if len(computes) == len(builds):
                    yield f"{kernel.name} {name}, {rows} rows", computes


def attention_cases(builds: list[Native]) -> Iterator[Case]:
    """Yield attention at each depth, and the function of each build that computes it."""
    rng = np.random.default_rng(1)
    for bits in (256, 512):
        if not all(build.attention_vector_bits() >= bits for build in builds):
            continue
        for cells in (500, 4000):
            for tokens in (1, 15):
                queries = rng.normal(size=(tokens, HEADS, HEAD_WIDTH)).astype(np.float32)
                cache = rng.normal(size=(cells, GROUPS, HEAD_WIDTH)).astype(np.float16)
                computes = []
                for build in builds:
                    made = build.attention_new(bits)
                    layout = node_layout("FLASH_ATTN_EXT", build.attention_compute, made)
                    build.attention_set_layout(made, ctypes.byref(layout))
                    result = np.zeros((tokens, HEADS, HEAD_WIDTH), np.float32)
                    node = Node(layout, result, struct.pack("fff", 0.1, 0, 0))
                    steps = [queries.strides[0], queries.strides[1]]
                    node.add_operand(0, F32, queries, [HEAD_WIDTH, tokens, HEADS], steps)
                    for number in (1, 2):
                        steps = [cache.strides[0], cache.strides[1]]
                        node.add_operand(number, F16, cache, [HEAD_WIDTH, cells, GROUPS], steps)
                    build.kernels_on_node(node.address, True, ctypes.byref(NodeKernels(made, None)))
                    if node.is_custom:
                        computes.append(computing(build.attention_compute, node, made))
                if len(computes) == len(builds):
                    yield f"attention {bits} bits, {cells} cells, {tokens} tokens", computes


def computing(compute: Callable[..., object], node: Node, user_data: int) -> Callable[[], object]:
    """Return a call that computes a node with one thread."""
    return lambda: compute(node.address, 0, 1, user_data)


def main() -> None:
    """Print a line for each node."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("builds", nargs=2, type=Path)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--outputs", type=int, default=1536)
    asked = parser.parse_args()
    builds = [Native(ctypes.CDLL(str(each.resolve()))) for each in asked.builds]
    for cases in (product_cases(builds, asked.outputs), attention_cases(builds)):
        for name, computes in cases:
            times: list[list[float]] = [[], []]
            for turn in range(asked.turns):
                for which in (0, 1) if turn % 2 else (1, 0):
                    started = time.perf_counter()
                    computes[which]()
                    times[which].append((time.perf_counter() - started) * 1000)
            middles = [statistics.median(each) for each in times]
            least = [min(each) for each in times]
            print(
                f"{name:45} {middles[0]:8.3f} {middles[1]:8.3f} ms,"
                f" ratio {middles[0] / middles[1]:.3f}, of the least {least[0] / least[1]:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
