"""The functions of llama.cpp that the binding does not declare, each from the file that exports it.

llama.cpp is several shared libraries. On Linux and macOS a handle of libllama also finds the
functions of the libraries that it was linked with. On Windows it does not: GetProcAddress searches
one file. `EXPORTED_BY` therefore has every function with its library, and a function that is not in
it is refused on all systems, so that a missing entry is noticed on each of them.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any, Final

_BASE_FUNCTIONS: Final = (
    "ggml_backend_buffer_clear",
    "ggml_backend_buffer_free",
    "ggml_backend_buffer_get_base",
    "ggml_backend_buffer_get_size",
    "ggml_backend_buffer_get_type",
    "ggml_backend_buffer_get_usage",
    "ggml_backend_buft_alloc_buffer",
    "ggml_backend_buft_get_device",
    "ggml_backend_cpu_buffer_from_ptr",
    "ggml_backend_cpu_buffer_type",
    "ggml_custom_4d",
    "ggml_flash_attn_ext",
    "ggml_free",
    "ggml_get_data",
    "ggml_get_name",
    "ggml_get_rows",
    "ggml_get_type_traits",
    "ggml_init",
    "ggml_mul_mat",
    "ggml_nbytes",
    "ggml_new_tensor_2d",
    "ggml_op_name",
    "ggml_quantize_chunk",
    "ggml_quantize_init",
    "ggml_quantize_requires_imatrix",
    "ggml_view_tensor",
    "quantize_row_q8_0_ref",
    "quantize_row_q8_1_ref",
    "quantize_row_q8_K_ref",
)
EXPORTED_BY: Final[dict[str, str]] = {
    "ggml_backend_dev_count": "ggml",
    "ggml_backend_load_all_from_path": "ggml",
    "llama_print_system_info": "llama",
    "llama_version": "llama",
    **dict.fromkeys(_BASE_FUNCTIONS, "ggml-base"),
}
"""The library of each function, without "lib" and the suffix."""


class ExportedFunctions:
    """The functions in `EXPORTED_BY` as attributes, with ctypes' default types.

    The libraries are those that the binding has loaded; none is loaded a second time.
    """

    def __init__(self, api: Any) -> None:
        """`api` is the binding's low-level module."""
        self._folder, self._llama = Path(api._base_path), api._lib
        self._handles = {"llama": api._lib}  # and, on Windows only, those of the other libraries

    def __getattr__(self, name: str) -> Any:
        """Return the function. Raises AttributeError if it is unlisted or its file lacks it."""
        if name not in EXPORTED_BY:
            raise AttributeError(f"no library is listed for the function {name!r}")
        return getattr(self._handle(EXPORTED_BY[name]), name)

    def _handle(self, library: str) -> Any:
        if sys.platform == "win32" and library not in self._handles:
            self._handles[library] = ctypes.CDLL(str(self._folder / f"{library}.dll"))
        return self._handles.get(library, self._llama)
