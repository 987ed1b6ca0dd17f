"""Computes the attention of llama.cpp's graph with the application's own kernels."""

from __future__ import annotations

import ctypes

from deepseek_r1.core import log as _log
from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.native.native_library import native
from deepseek_r1.weights.ggml.custom_node import custom_node_layout
from deepseek_r1.weights.ggml.tensor_layout import Ggml, address_of

_VERSION = 1  # of the kernels' order of summation, which decides the last digits of results


def attention_vector_bits() -> int:
    """Return the bits of the vectors that the kernels have here: 512, 256, or 0 without kernels.

    They need a processor with AVX2, FMA and F16C, and a library compiled by GCC, not for Windows.
    """
    bits: int = native().attention_vector_bits()
    return bits


class Attention:
    """The attention of one context; see `native/attention.hpp`. For the context's thread."""

    def __init__(self, library: Library, ggml: Ggml, vector_bits: int) -> None:
        """Raises StreamingUnavailable where llama.cpp's structures are not the expected ones."""
        self._native = native()
        self.name = f"attention {_VERSION}, {vector_bits} bits"
        self.user_data: int = self._native.attention_new(vector_bits)
        compute = address_of(self._native.attention_compute)
        try:
            layout = custom_node_layout(
                ggml, library.functions, "FLASH_ATTN_EXT", compute, self.user_data
            )
        except BaseException:
            self.close()
            raise
        self._native.attention_set_layout(self.user_data, ctypes.byref(layout))

    def close(self) -> None:
        """Free its memory. The context has to be freed before."""
        self._native.attention_free(self.user_data)


def make_attention(library: Library, ggml: Ggml | None) -> Attention | None:
    """Return the attention for a new context; None where llama.cpp computes it.

    llama.cpp does where there are no kernels or ggml's structures are not the expected ones.
    """
    bits = attention_vector_bits()
    if not bits:
        return None
    try:
        return Attention(library, ggml or Ggml(library.functions), bits)
    except StreamingUnavailable as error:
        _log.engine.warning("llama.cpp computes attention itself: %s", error)
        return None
