"""Measures how many weights of each type one core multiplies in a second, with ggml's own kernels.

    python bench/bench_types.py [--types Q4_K,Q3_K,IQ3_XXS] [--repetitions 2000]

One row of activations times weights, which the processor's caches hold, the types in turns; the
fastest run counts. `deepseek_r1.memory.forecast` has the ratios to Q4_K.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.runner import Report, argument_parser
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.formats.ggml_types import TENSOR_TYPES, TYPES_BY_NAME
from support.ggml_nodes import QUANTIZE, VEC_DOT, type_traits

TYPES: Final = "Q4_K,Q2_K,Q3_K,Q5_K,Q6_K,Q8_0,Q4_0,Q5_0,IQ4_XS,IQ3_S,IQ3_XXS,IQ2_XXS"
VALUES: Final = 1 << 17
_NUMBERS: Final = {kind.name: number for number, kind in TENSOR_TYPES.items()}


class Product:
    """Weights of one type times activations; what they are does not change the time."""

    def __init__(self, name: str) -> None:
        handle = library().api._lib
        weights = type_traits(handle, _NUMBERS[name])
        self._dot, self._found = VEC_DOT(weights.vec_dot), ctypes.c_float()
        self._weights = np.full(TYPES_BY_NAME[name].nbytes(VALUES), 0x21, np.uint8)
        values = np.full(VALUES, 0.5, np.float32)
        self._activations = np.zeros(TENSOR_TYPES[weights.vec_dot_type].nbytes(VALUES), np.uint8)
        quantise = QUANTIZE(type_traits(handle, weights.vec_dot_type).from_float)
        quantise(values.ctypes.data, self._activations.ctypes.data, VALUES)

    def seconds(self) -> float:
        """One product."""
        found, weights, activations = (
            ctypes.addressof(self._found),
            self._weights.ctypes.data,
            self._activations.ctypes.data,
        )
        started = time.perf_counter()
        self._dot(VALUES, found, 0, weights, 0, activations, 0, 1)
        return time.perf_counter() - started

    @property
    def gigabytes(self) -> float:
        return self._weights.nbytes / 1e9


def main() -> None:
    parser: argparse.ArgumentParser = argument_parser(__doc__, needs_model=False)
    parser.add_argument("--types", default=TYPES, help="names between commas; Q4_K comes first")
    parser.add_argument("--repetitions", type=int, default=2000)
    given = parser.parse_args()
    products = {name: Product(name) for name in given.types.split(",")}
    fastest = dict.fromkeys(products, 1e9)
    for _ in range(given.repetitions):
        for name, product in products.items():
            fastest[name] = min(fastest[name], product.seconds())
    rates = {name: product.gigabytes / fastest[name] for name, product in products.items()}
    report = Report(given)
    for name, rate in rates.items():
        ratio = rate / next(iter(rates.values()))
        report.row(
            f"{name:8} {rate:6.1f} GB/s   {ratio:5.2f} of the first   "
            f"{VALUES / fastest[name] / 1e9:6.1f} values a nanosecond",
            type=name, gb_s=rate, ratio=ratio,
        )  # fmt: skip
    report.end()


if __name__ == "__main__":
    main()
