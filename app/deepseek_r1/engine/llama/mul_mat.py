"""Multiplies weights with few rows of activations with the application's own kernels.

Only weights in Q4_K and Q6_K with the file's layout: streamed ones, and those that llama.cpp does
not repack for the processor.
"""

from __future__ import annotations

import ctypes
from typing import Final

from deepseek_r1.core import log as _log
from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.native.native_library import MulMatKernel, native
from deepseek_r1.weights.ggml.custom_node import custom_node_layout
from deepseek_r1.weights.ggml.tensor_layout import Ggml, address_of

_VERSION: Final = 1  # of the kernels' results
_LEAST_ROWS: Final = 2  # one row takes as long with ggml's kernels
# From more rows on, llama.cpp's tiled kernel is faster (tests/benchmarks/bench_mul_mat.py). Whoever
# changes these numbers raises `inference.draft_profile`'s version: stored times depend on them.
_MOST_ROWS: Final = {
    MulMatKernel.AVX2: 12,
    MulMatKernel.AVX_VNNI: 24,
    MulMatKernel.AVX512_VNNI: 32,
}
_LLAMA_CPP_NEEDS: Final = frozenset(("AVX2", "FMA", "F16C"))


def supported_kernels() -> list[MulMatKernel]:
    """Return the kernels that this processor runs, best first.

    None without AVX2, on Windows, and in a library that another compiler than GCC made.
    """
    return [each for each in sorted(MulMatKernel)[::-1] if native().mul_mat_supported(each)]


class MulMat:
    """The multiplications of one context; see `native/mul_mat.hpp`. For the context's thread."""

    def __init__(self, library: Library, ggml: Ggml, kernel: MulMatKernel) -> None:
        """Raises StreamingUnavailable where llama.cpp's structures are not the expected ones."""
        self._native = native()
        functions = library.functions
        try:
            quantize = address_of(functions.quantize_row_q8_K_ref)
        except AttributeError as error:
            raise StreamingUnavailable(detail=str(error)) from error
        self.most_rows = _MOST_ROWS[kernel]
        self.name = f"mul_mat {_VERSION}, up to {self.most_rows} rows"
        self.user_data: int = self._native.mul_mat_new(kernel, quantize)
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


def are_kernels_used(library: Library) -> bool:
    """Return whether this processor has kernels that give the bits of this llama.cpp."""
    return bool(supported_kernels()) and _LLAMA_CPP_NEEDS.issubset(library.cpu_variant.features)


def make_mul_mat(library: Library, ggml: Ggml | None) -> MulMat | None:
    """Return the multiplications for a new context; None where llama.cpp computes them.

    llama.cpp does where there are no kernels or ggml's structures are not the expected ones, and
    where it does not use AVX2 itself: the results of its kernels would differ from ours.
    """
    if not are_kernels_used(library):
        return None
    try:
        return MulMat(library, ggml or Ggml(library.functions), supported_kernels()[0])
    except StreamingUnavailable as error:
        _log.engine.warning("llama.cpp computes all multiplications itself: %s", error)
        return None
