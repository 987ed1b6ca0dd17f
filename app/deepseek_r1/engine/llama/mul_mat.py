"""Multiplies weights with few rows of activations with the application's own kernels.

Only weights as they are in the file: those that llama.cpp repacks have kernels for any number of
rows.
"""

from __future__ import annotations

import ctypes

from deepseek_r1.core import log as _log
from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.native.native_library import native
from deepseek_r1.weights.ggml.custom_node import custom_node_layout
from deepseek_r1.weights.ggml.tensor_layout import Ggml, address_of

_NEEDED = frozenset(("AVX2", "FMA", "F16C"))
_LEAST_ROWS = 2  # one row takes as long with ggml's kernels
# By level: from more rows on, llama.cpp's tiled kernel is faster (tests/benchmarks/bench_mul_mat.py).
_MOST_ROWS = {1: 12, 2: 24, 3: 32}


def mul_mat_levels() -> list[int]:
    """Return the kernels that this processor runs, best first; none without AVX2.

    3 stands for AVX-512 with VNNI, 2 for AVX-VNNI, 1 for AVX2. They need a library compiled by GCC,
    not for Windows.
    """
    return [level for level in (3, 2, 1) if native().mul_mat_has_level(level)]


class MulMat:
    """The multiplications of one context; see `native/mul_mat.hpp`. For the context's thread."""


    def __init__(self, library: Library, ggml: Ggml, level: int) -> None:
        """Raises StreamingUnavailable where llama.cpp's structures are not the expected ones."""
        self._native = native()
        functions = library.functions
        try:
            quantize = address_of(functions.quantize_row_q8_K_ref)
        except AttributeError as error:
            raise StreamingUnavailable(detail=str(error)) from error
        self.most_rows = _MOST_ROWS[level]
        self.name = f"up to {self.most_rows} rows 1"
        self.user_data: int = self._native.mul_mat_new(level, quantize)
        self._native.mul_mat_set_rows(self.user_data, _LEAST_ROWS, self.most_rows)
        compute = address_of(self._native.mul_mat_compute)
        try:
            layout = custom_node_layout(ggml, functions, "MUL_MAT", compute, self.user_data)
        except BaseException:
            self.close()
            raise
        self._native.mul_mat_set_layout(self.user_data, ctypes.byref(layout))

    def close(self) -> None:
        """Free its memory. The context has to be freed before."""
        self._native.mul_mat_free(self.user_data)


def make_mul_mat(library: Library, ggml: Ggml | None) -> MulMat | None:
    """Return the multiplications for a new context; None where llama.cpp computes them.

    That is where there are no kernels, where ggml's structures are not the expected ones, and where
    llama.cpp does not use AVX2 itself: the results of its kernels would differ from ours.
    """
    levels = mul_mat_levels()
    if not levels or not _NEEDED.issubset(library.cpu_variant.features):
        return None
    try:
        return MulMat(library, ggml or Ggml(library.functions), levels[0])
    except StreamingUnavailable as error:
        _log.engine.warning("llama.cpp computes all multiplications itself: %s", error)
        return None
