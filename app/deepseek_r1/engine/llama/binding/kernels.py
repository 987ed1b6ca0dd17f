"""Computes attention and products with kernels of our own, in place of llama.cpp's nodes.

Attention: `native/attention.hpp`. Products, `native/mul_mat.hpp`, of weights that have the file's
layout: with AVX2 or later, as many rows in Q3_K to Q6_K as were measured to be faster
(`memory.kernel_times`), and any number in Q1_0 and Q2_0, which llama.cpp does not compute in tiles.
Where that was built without AVX, and computes most types one number at a time, any number of rows,
and Q4_1, Q5_0, Q5_1 and Q8_0 as well, but not Q1_0. On ARM Q4_K, Q6_K and Q8_0.
"""

import ctypes
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deepseek_r1.core import log as _log
from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.formats.ggml_types import TENSOR_TYPES
from deepseek_r1.memory.kernel_times import UNMEASURED_ROWS
from deepseek_r1.native.native_library import MulMatKernel, Quantizers, native
from deepseek_r1.weights.ggml.tensor_layout import CustomNodes, Ggml, address_of

_NONE: Final[Mapping[str, tuple[int, int]]] = MappingProxyType({})
_VERSION: Final = 2  # of the order of summation, which decides the last digits of results
_OPERATIONS: Final = {"attention": "FLASH_ATTN_EXT", "mul_mat": "MUL_MAT", "graphics": "MUL_MAT"}
_AVX2_NEEDS: Final = frozenset(("AVX2", "FMA", "F16C"))


def supported_kernels(library: Library) -> list[MulMatKernel]:
    """Return the kernels that this processor runs and that give this llama.cpp's bits, best first.

    None where llama.cpp was built with AVX but not with AVX2, FMA and F16C. With NEON the bits are
    those of ggml's code for one row; it has other code for more, where it was built with i8mm.
    """
    features = library.cpu_variant.features
    same_bits: list[MulMatKernel] = []
    if _AVX2_NEEDS.issubset(features):
        same_bits = [each for each in MulMatKernel if each >= MulMatKernel.AVX2]
    elif "SSE3" in features and "AVX" not in features:
        same_bits = [MulMatKernel.SSE42]
    elif "NEON" in features:
        same_bits = [MulMatKernel.NEON, MulMatKernel.NEON_DOTPROD]
    supported = [each for each in same_bits if native().mul_mat_supported(each)]
    return sorted(supported, reverse=True)


def attention_vector_bits() -> int:
    """Return the bits of the vectors that attention has here: 512, 256, 128, or 0 without kernels.

    128 are NEON's, of every 64-bit ARM processor; x86 needs AVX2, FMA and F16C.
    """
    bits: int = native().attention_vector_bits()
    return bits


class Kernels:
    """The kernels for one operation of a context's graph. For the context's thread."""

    def __init__(self, ggml: Ggml, kind: str, user_data: int, name: str) -> None:
        """`kind`, a key of `_OPERATIONS`, begins the names of the native functions.

        Raises StreamingUnavailable where llama.cpp's structures are not the expected ones.
        """
        self.name, self.user_data = name, user_data
        self._free = getattr(native(), f"{kind}_free")
        compute = address_of(getattr(native(), f"{kind}_compute"))
        try:
            layout = CustomNodes(ggml).layout(_OPERATIONS[kind], compute, user_data)
        except BaseException:
            self.close()
            raise
        getattr(native(), f"{kind}_set_layout")(user_data, ctypes.byref(layout))

    def close(self) -> None:
        """Free its memory. The context has to be freed before."""
        self._free(self.user_data)


def mul_mat(
    ggml: Ggml, kernel: MulMatKernel, rows: Mapping[str, tuple[int, int]] = _NONE
) -> Kernels:
    """Return the products of a new context. Raises StreamingUnavailable.

    `rows` are the fewest and the most rows that ours compute, by the names of types.
    """
    functions = ggml.functions
    try:
        quantizers = Quantizers(
            address_of(functions.quantize_row_q8_K_ref),
            address_of(functions.quantize_row_q8_0_ref),
            address_of(functions.quantize_row_q8_1_ref),
        )
    except AttributeError as error:
        raise StreamingUnavailable(detail=str(error)) from error
    user_data = native().mul_mat_new(kernel, quantizers)
    native().mul_mat_set_rows(user_data, *UNMEASURED_ROWS)
    for number, kind in TENSOR_TYPES.items():
        if kind.name in rows:
            native().mul_mat_set_type_rows(user_data, number, *rows[kind.name])
    name = f"mul_mat {_VERSION}, {kernel.name}, {sorted(rows.items())}"
    return Kernels(ggml, "mul_mat", user_data, name)


def make_attention(library: Library, ggml: Ggml | None) -> Kernels | None:
    """Return the attention for a new context; None where llama.cpp computes it."""
    if not (bits := attention_vector_bits()):
        return None
    name = f"attention {_VERSION}, {bits} bits"
    try:
        ggml = ggml or Ggml(library.functions)
        return Kernels(ggml, "attention", native().attention_new(bits), name)
    except StreamingUnavailable as error:
        _log.engine.warning("llama.cpp computes attention itself: %s", error)
        return None


def make_mul_mat(
    library: Library, ggml: Ggml | None, rows: Mapping[str, tuple[int, int]] = _NONE
) -> Kernels | None:
    """Return the products for a new context; None where llama.cpp computes them."""
    if not (kernels := supported_kernels(library)):
        return None
    try:
        return mul_mat(ggml or Ggml(library.functions), kernels[0], rows)
    except StreamingUnavailable as error:
        _log.engine.warning("llama.cpp computes products itself: %s", error)
        return None
