"""The functions of the compiled library with their types. The C++ headers document what they do."""

import ctypes
import os
import sys
from ctypes import POINTER, c_char, c_double, c_float, c_int, c_int64, c_size_t, c_uint64, c_void_p
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepseek_r1.core.errors import EngineStartFailed

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LIBRARY = Path(__file__).with_name(f"streaming{_SUFFIX}")
_GRAPHICS = LIBRARY.with_name(f"ggml-vulkan{_SUFFIX}")
_GRAPHICS_VARIABLE = "R1DESK_GRAPHICS_LIBRARY"

# int (int64_t part, int64_t start, int64_t end, char *into)
FallbackRead = ctypes.CFUNCTYPE(c_int, c_int64, c_int64, c_int64, c_size_t)
OnNode = ctypes.CFUNCTYPE(c_int, c_uint64, c_int)
OnPass = ctypes.CFUNCTYPE(c_int)


class MulMatKernel(IntEnum):
    """The kernels for multiplications, by the instructions that they need."""

    SSE42 = 1
    AVX2 = 2
    AVX_VNNI = 3
    AVX512_VNNI = 4
    NEON = 5
    NEON_DOTPROD = 6


class NativeFile(ctypes.Structure):
    """An open file; `descriptor` is -1 where it has no direct reads."""

    _fields_ = (("nbytes", c_int64), ("stride", c_int64), ("descriptor", c_int64))


class NativeWeight(ctypes.Structure):
    """The range of a file that holds a weight."""

    _fields_ = (("part", c_int64), ("offset", c_int64), ("nbytes", c_int64))


class RingCounters(ctypes.Structure):
    """Counters of a ring since it was made."""

    read_bytes: int
    filled_bytes: int
    wait_s: float
    _fields_ = (("read_bytes", c_int64), ("filled_bytes", c_int64), ("wait_s", c_double))


class TensorOffsets(ctypes.Structure):
    """Offsets in bytes of the fields of a ggml_tensor that are read, and the numbers of types."""

    _fields_ = tuple(
        (name, c_int64) for name in ("type", "extent", "source", "data", "type_f32", "type_i32")
    )


class CustomNodeLayout(ctypes.Structure):
    """The values that turn a node into a custom node: offsets, and ggml's numbers."""

    _fields_ = (
        ("offsets", TensorOffsets),
        ("strides", c_int64),
        ("operation", c_int64),
        ("parameters", c_int64),
        ("extra", c_int64),
        ("replaced_operation", c_int64),
        ("custom_operation", c_int64),
        ("custom_parameters", c_char * 64),
    )


class Quantizers(ctypes.Structure):
    """Addresses of ggml's functions that quantise activations."""

    _fields_ = tuple((name, c_size_t) for name in ("q8_k", "q8_0", "q8_1"))


class NodeKernels(ctypes.Structure):
    """The kernels of a context: addresses of an Attention, a MulMat and a Graphics, or 0."""

    _fields_ = (("attention", c_void_p), ("mul_mat", c_void_p), ("graphics", c_void_p))


class GraphicsFunctions(ctypes.Structure):
    """Addresses of ggml's functions, which have these names, and of what they work on."""

    FUNCTIONS = (
        "new_tensor_2d", "mul_mat", "new_graph_custom", "build_forward_expand", "reset", "nbytes",
        "backend_tensor_alloc", "backend_tensor_set", "backend_tensor_get",
        "backend_dev_supports_op", "backend_graph_compute", "get_type_traits",
    )  # fmt: skip
    _fields_ = (
        *((name, c_size_t) for name in FUNCTIONS),
        *((each, c_size_t) for each in ("context", "device", "backend", "buffer", "base", "abort")),
        ("buffer_bytes", c_int64),
        ("alignment", c_int64),
    )


class Handlers(ctypes.Structure):
    """The part of the eval callback that is written in Python."""

    _fields_ = (("on_node", OnNode), ("on_pass", OnPass))


class LlamaBatch(ctypes.Structure):
    """A llama_batch."""

    _fields_ = (("count", c_int), ("parts", c_void_p * 6))


class LlamaFunctions(ctypes.Structure):
    """llama.cpp's functions that the decode loop calls, and their arguments.

    All fields but `one` are addresses.
    """

    decode: Any
    _fields_ = (
        ("decode", c_void_p),
        ("sampler_sample", c_void_p),
        ("vocab_is_eog", c_void_p),
        ("token_to_piece", c_void_p),
        ("context", c_void_p),
        ("vocabulary", c_void_p),
        ("one", LlamaBatch),
        ("token", c_void_p),
    )


class DecodeBuffers(ctypes.Structure):
    """Addresses of the decode loop's output buffers, and the text buffer's size in bytes."""

    _fields_ = (
        ("tokens", c_void_p),
        ("times_s", c_void_p),
        ("text", c_void_p),
        ("text_capacity", c_int),
    )


class DecodeResult(ctypes.Structure):
    """Counts of one run of the decode loop. `status` is 0 unless computing failed."""

    computed: int
    status: int
    text_tokens: int
    text_bytes: int
    _fields_ = tuple((name, c_int) for name in ("computed", "status", "text_tokens", "text_bytes"))


# Each function's result, then its arguments.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "watch_owner": (c_int, c_int64, c_int64),
    "restrict_threads": (c_int, c_int64),
    "ring_new": (c_void_p, POINTER(NativeFile), c_int, c_int64, FallbackRead, c_int),
    "ring_free": (None, c_void_p),
    "ring_add": (c_int, c_void_p, NativeWeight),
    "ring_set_order": (None, c_void_p, POINTER(c_int), c_int),
    "ring_acquire": (c_int, c_void_p, c_int, POINTER(c_size_t)),
    "ring_release": (None, c_void_p),
    "ring_acquired": (c_int, c_void_p, POINTER(c_int), c_int),
    "ring_restart": (None, c_void_p, c_int),
    "ring_stop": (None, c_void_p),
    "ring_set_memory": (None, c_void_p, c_size_t, c_int64),
    "ring_counters": (None, c_void_p, POINTER(RingCounters)),
    "callback_new": (c_void_p, c_void_p, TensorOffsets, Handlers),
    "callback_free": (None, c_void_p),
    "callback_evict": (None, c_void_p, c_uint64, c_int),
    "callback_admit": (None, c_void_p, c_uint64),
    "callback_set_filter": (None, c_void_p, c_int, c_int),
    "callback_touch": (c_int, c_void_p, c_uint64),
    "callback_begin_pass": (c_int, c_void_p, POINTER(c_uint64), c_int),
    "callback_on_node": (ctypes.c_bool, c_size_t, ctypes.c_bool, c_void_p),
    "callback_set_kernels": (None, c_void_p, NodeKernels),
    "kernels_on_node": (ctypes.c_bool, c_size_t, ctypes.c_bool, POINTER(NodeKernels)),
    "attention_vector_bits": (c_int,),
    "attention_new": (c_void_p, c_int),
    "attention_set_layout": (None, c_void_p, POINTER(CustomNodeLayout)),
    "attention_free": (None, c_void_p),
    "attention_compute": (None, c_size_t, c_int, c_int, c_void_p),
    "mul_mat_supported": (c_int, c_int),
    "mul_mat_new": (c_void_p, c_int, Quantizers),
    "mul_mat_set_layout": (None, c_void_p, POINTER(CustomNodeLayout)),
    "mul_mat_set_rows": (None, c_void_p, c_int64, c_int64),
    "mul_mat_set_type_rows": (None, c_void_p, c_int, c_int64, c_int64),
    "mul_mat_free": (None, c_void_p),
    "mul_mat_compute": (None, c_size_t, c_int, c_int, c_void_p),
    "graphics_new": (c_void_p, POINTER(GraphicsFunctions), c_int64),
    "graphics_set_layout": (None, c_void_p, POINTER(CustomNodeLayout)),
    "graphics_warm_up": (c_int, c_void_p, c_int, c_int64, c_int64, c_int64),
    "graphics_failure": (c_int, c_void_p),
    "graphics_free": (None, c_void_p),
    "graphics_compute": (None, c_size_t, c_int, c_int, c_void_p),
    "best_token": (c_int, c_void_p, c_size_t, c_int, POINTER(c_float)),
    "sample_token_or_none": (c_int, c_size_t, c_void_p, c_void_p, c_int),
    "decode_loop_run": (
        None, POINTER(LlamaFunctions), c_void_p, POINTER(DecodeBuffers), c_int, c_double, c_char,
        POINTER(DecodeResult),
    ),
}  # fmt: skip


class Native:
    """The library's functions. None of them holds Python's lock."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, handle: Any) -> None:
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(handle, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)


def graphics_library() -> Path | None:
    """The file of ggml's back end for graphics; None where it is not installed."""
    path = Path(os.environ.get(_GRAPHICS_VARIABLE) or _GRAPHICS)
    return path if path.is_file() else None


@cache
def native() -> Native:
    """The library that was compiled with the application. Raises EngineStartFailed."""
    try:
        return Native(ctypes.CDLL(str(LIBRARY)))
    except (OSError, AttributeError) as error:
        raise EngineStartFailed(detail=str(error)) from error
