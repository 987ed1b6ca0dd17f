"""Multiplies weights with rows of activations with the application's own kernels.

With AVX2 or later, they compute few rows, and only weights in Q4_K and Q6_K that have the file's
layout: streamed ones, and those that llama.cpp does not repack for the processor. Where llama.cpp
was built without AVX, and computes most types one number at a time, they compute any number of
rows, and Q4_1, Q5_0, Q5_1 and Q8_0 as well.
"""

from __future__ import annotations

import ctypes
from typing import Final

from deepseek_r1.core import log as _log
from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.native.native_library import MulMatKernel, Quantizers, native
from deepseek_r1.weights.ggml.custom_node import custom_node_layout
from deepseek_r1.weights.ggml.tensor_layout import Ggml, address_of

_VERSION: Final = 1  # of the kernels' results
_NO_LIMIT: Final = 1 << 31
# The fewest and the most rows. With AVX2, one row takes as long with ggml's kernels, and from more
# rows on its tiled kernel is faster (tests/benchmarks/bench_kernels.py).
_ROWS: Final = {
    MulMatKernel.SSE42: (1, _NO_LIMIT),
    MulMatKernel.AVX2: (2, 12),
    MulMatKernel.AVX_VNNI: (2, 24),
    MulMatKernel.AVX512_VNNI: (2, 32),
}
_AVX2_NEEDS: Final = frozenset(("AVX2", "FMA", "F16C"))


def supported_kernels(library: Library) -> list[MulMatKernel]:
    """Return the kernels that this processor runs and that give this llama.cpp's bits, best first.

    None on Windows, in a library that another compiler than GCC made, and where llama.cpp was built
    with AVX but not with AVX2, FMA and F16C.
    """
    features = library.cpu_variant.features
    same_bits: list[MulMatKernel] = []
    if _AVX2_NEEDS.issubset(features):
        same_bits = [each for each in MulMatKernel if each >= MulMatKernel.AVX2]
    elif "SSE3" in features and "AVX" not in features:
        same_bits = [MulMatKernel.SSE42]
    supported = [each for each in same_bits if native().mul_mat_supported(each)]
    return sorted(supported, reverse=True)


class MulMat:
    """The multiplications of one context; see `native/mul_mat.hpp`. For the context's thread."""

    def __init__(self, library: Library, ggml: Ggml, kernel: MulMatKernel) -> None:
        """Raises StreamingUnavailable where llama.cpp's structures are not the expected ones."""
        self._native = native()
        functions = library.functions
        try:
            quantizers = Quantizers(
                address_of(functions.quantize_row_q8_K_ref),
                address_of(functions.quantize_row_q8_0_ref),
                address_of(functions.quantize_row_q8_1_ref),
            )
        except AttributeError as error:
            raise StreamingUnavailable(detail=str(error)) from error
        least, most = _ROWS[kernel]
        limit = f"up to {most} rows" if most < _NO_LIMIT else kernel.name
        self.name = f"mul_mat {_VERSION}, {limit}"
        self.user_data: int = self._native.mul_mat_new(kernel, quantizers)
        self._native.mul_mat_set_rows(self.user_data, least, most)
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

    llama.cpp does where there are no kernels or ggml's structures are not the expected ones.
    """
    kernels = supported_kernels(library)
    if not kernels:
        return None
    try:
        return MulMat(library, ggml or Ggml(library.functions), kernels[0])
    except StreamingUnavailable as error:
        _log.engine.warning("llama.cpp computes all multiplications itself: %s", error)
        return None
