"""Measures our kernels beside llama.cpp's, on made weights in ggml's own graphs.

A fraction of a second for each type of weights, at most 100 MiB, before the model is loaded.
"""

import ctypes
import hashlib
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Final

from deepseek_r1.core import log
from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.engine.llama.binding.kernels import mul_mat, supported_kernels
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.formats.ggml_types import TENSOR_TYPES, TensorType
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import cpu
from deepseek_r1.memory.kernel_times import (
    MEASURED_ROWS,
    KernelTimes,
    TypeTimes,
    keep_times,
    kept_times,
    measured_kinds,
)
from deepseek_r1.native.native_library import LIBRARY, NodeKernels, native
from deepseek_r1.weights.ggml.tensor_layout import TYPE_F32, WORD, Ggml, InitParams, typed, word_at

_WIDTH, _OUTPUTS = 2048, 2048  # of a matrix
_MATRICES: Final = 8  # more than a processor's nearest caches hold; of many rows one is enough
_MANY_ROWS: Final = 8
_MADE_ROWS: Final = 16  # rows of weights that differ from each other
_MOST_S, _AGREE = 0.25, 1.1  # for one number of rows
_MOST_DISTURBED: Final = 2  # of the numbers of rows
_CPU: Final = 0  # GGML_BACKEND_DEVICE_TYPE_CPU


def measured_times(library: Library, *headers: ModelHeader) -> KernelTimes:
    """Return the profile's times, with those of the models' types, measured where they lack.

    While other programs disturb the measuring nothing is added: it is tried at the next load.
    """
    ours = hashlib.blake2b(LIBRARY.read_bytes(), digest_size=8).hexdigest()
    kept, build = kept_times(), f"{library.name} {library.build} {ours}"
    if kept.build not in ("", build):
        kept = keep_times(KernelTimes())  # no bill is made by another build's
    types = kept.types
    kinds = set[str]().union(*map(measured_kinds, headers)) - types.keys()
    found: dict[str, TypeTimes] = {}
    try:
        for number, kind in TENSOR_TYPES.items():
            if kind.name in kinds and kind.block > 1 and not _needs_importance(library, number):
                found[kind.name], disturbed = _measure(library, number, kind)
                if disturbed > _MOST_DISTURBED:
                    log.engine.info("other programs disturb the measuring of kernels")
                    return kept
    except StreamingUnavailable as error:
        log.engine.warning("kernels are not measured: %s", error)
        return KernelTimes()
    if not found:
        return kept
    return keep_times(KernelTimes(build=build, types=types | found))


def _needs_importance(library: Library, number: int) -> bool:
    asked = typed(library.functions.ggml_quantize_requires_imatrix, ctypes.c_bool, ctypes.c_int)
    return bool(asked(number))


def _measure(library: Library, number: int, kind: TensorType) -> tuple[TypeTimes, int]:
    """Return the times, and for how many numbers of rows they were disturbed.

    Raises StreamingUnavailable.
    """
    disturbed = 0
    found: dict[str, dict[int, float]] = {"plain": {}, "ours": {}, "repacked": {}}
    with ExitStack() as opened:
        bench = _Bench(library, number, kind, opened)
        for rows in MEASURED_ROWS:
            arms = {name: graph for name in found if (graph := bench.graph(name, rows)) is not None}
            seconds: dict[str, list[float]] = {name: [] for name in arms}
            end = time.perf_counter() + _MOST_S
            while not _steady(seconds.values()) and time.perf_counter() < end:
                for name, graph in arms.items():
                    seconds[name].append(bench.seconds(graph))
            disturbed += not _steady(seconds.values())
            million = _matrices(rows) * _WIDTH * _OUTPUTS / 1e6
            for name, each in seconds.items():
                found[name][rows] = round(min(each) * 1e6 / million, 2)
    log.engine.info("microseconds for a million weights in %s: %s", kind.name, found)
    return TypeTimes.model_validate(found), disturbed


def _steady(arms: Iterable[list[float]]) -> bool:
    """Whether the three fastest turns of each arm agree: other programs disturbed none of them."""
    fastest = [sorted(each)[:3] for each in arms]
    return all(len(each) == 3 and each[2] < _AGREE * each[0] for each in fastest)


def _matrices(rows: int) -> int:
    return _MATRICES if rows < _MANY_ROWS else 1


class _Bench:
    """Matrices of one type in ggml's memory, and graphs that multiply them."""

    def __init__(self, library: Library, number: int, kind: TensorType, opened: ExitStack) -> None:
        self._functions, self._opened, self._number = library.functions, opened, number
        self._ggml = Ggml(library.functions)
        word, whole = ctypes.c_size_t, ctypes.c_int
        self._device = self._call("ggml_backend_dev_by_type", word, whole)(_CPU)
        self._backend = self._call("ggml_backend_dev_init", word, word, word)(self._device, 0)
        opened.callback(self._call("ggml_backend_free", None, word), self._backend)
        registry = self._call("ggml_backend_dev_backend_reg", word, word)(self._device)
        address = self._call("ggml_backend_reg_get_proc_address", word, word, ctypes.c_char_p)
        set_threads = address(registry, b"ggml_backend_set_n_threads")
        ctypes.CFUNCTYPE(None, word, whole)(set_threads)(self._backend, cpu().threads)
        self._floats = (ctypes.c_float * (_MADE_ROWS * _WIDTH))()
        made = random.Random(1)  # noqa: S311 - numbers of any kind
        self._floats[:] = [made.uniform(-1, 1) for _ in self._floats]
        self._data = self._quantised(kind)
        plain = self._ggml.backend_cpu_buffer_type()
        self._weights = {"plain": self._filled(plain), "repacked": []}
        self._weights["ours"] = self._weights["plain"]
        extra = address(registry, b"ggml_backend_dev_get_extra_bufts")
        for buffer_type in self._extra_types(extra):
            if not self._weights["repacked"] and self._repacks(buffer_type):
                self._weights["repacked"] = self._filled(buffer_type)
        self._kernels = NodeKernels()
        if kernels := supported_kernels(library):
            ours = mul_mat(self._ggml, kernels[0])
            opened.callback(ours.close)
            native().mul_mat_set_rows(ours.user_data, 1, MEASURED_ROWS[-1])
            self._kernels.mul_mat = ours.user_data
        self._compute = self._call("ggml_backend_graph_compute", whole, word, word)

    def _call(self, name: str, result: Any, *arguments: Any) -> Any:
        try:
            return typed(getattr(self._functions, name), result, *arguments)
        except AttributeError as error:
            raise StreamingUnavailable(detail=str(error)) from error

    def _quantised(self, kind: TensorType) -> bytes:
        data = ctypes.create_string_buffer(_MADE_ROWS * kind.nbytes(_WIDTH))
        i64, pointer = ctypes.c_int64, ctypes.c_void_p
        pack = self._call(
            "ggml_quantize_chunk", i64, ctypes.c_int, pointer, pointer, i64, i64, i64, pointer
        )
        pack(self._number, self._floats, data, 0, _MADE_ROWS, _WIDTH, None)
        return data.raw * (_OUTPUTS // _MADE_ROWS)

    @staticmethod
    def _extra_types(function: int) -> Iterator[int]:
        """Yield the buffer types whose weights have a layout for this processor."""
        if not function:
            return
        at = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_size_t)(function)(0)
        while at and (found := word_at(at)):
            yield found
            at += WORD

    def _context(self) -> int:
        context: int = self._call("ggml_init", ctypes.c_size_t, InitParams)(
            InitParams(1 << 20, None, True)
        )
        self._opened.callback(self._call("ggml_free", None, ctypes.c_size_t), context)
        return context

    def _matrix(self, context: int, number: int, width: int, rows: int) -> int:
        word, i64 = ctypes.c_size_t, ctypes.c_int64
        new = self._call("ggml_new_tensor_2d", word, word, ctypes.c_int, i64, i64)
        return int(new(context, number, width, rows))

    def _allocate(self, context: int, buffer_type: int) -> None:
        word = ctypes.c_size_t
        allocate = self._call("ggml_backend_alloc_ctx_tensors_from_buft", word, word, word)
        if not (buffer := allocate(context, buffer_type)):
            raise StreamingUnavailable(detail="a buffer")
        self._opened.callback(self._ggml.backend_buffer_free, buffer)

    def _filled(self, buffer_type: int) -> list[int]:
        context = self._context()
        found = [self._matrix(context, self._number, _WIDTH, _OUTPUTS) for _ in range(_MATRICES)]
        self._allocate(context, buffer_type)
        for each in found:
            self._set(each, self._data)
        return found

    def _set(self, tensor: int, data: bytes) -> None:
        word = ctypes.c_size_t
        fill = self._call("ggml_backend_tensor_set", None, word, ctypes.c_char_p, word, word)
        fill(tensor, data, 0, self._ggml.nbytes(tensor))

    def _products(self, weights: list[int], rows: int) -> tuple[int, int, list[int]]:
        word, context = ctypes.c_size_t, self._context()
        activations = self._matrix(context, TYPE_F32, _WIDTH, rows)
        multiply = self._call("ggml_mul_mat", word, word, word, word)
        return context, activations, [multiply(context, each, activations) for each in weights]

    def _repacks(self, buffer_type: int) -> bool:
        """Ask as llama.cpp does when it loads a weight."""
        word, context = ctypes.c_size_t, self._context()
        weight = self._matrix(context, self._number, _WIDTH, _OUTPUTS)
        self._allocate(context, buffer_type)
        node = self._products([weight], 1)[2][0]
        supports = self._call("ggml_backend_dev_supports_op", ctypes.c_bool, word, word)
        return bool(supports(self._device, node))

    def graph(self, name: str, rows: int) -> int | None:
        """Return a graph; None where there is no such way to multiply."""
        if not (weights := self._weights[name][: _matrices(rows)]):
            return None
        context, activations, nodes = self._products(weights, rows)
        self._allocate(context, self._ggml.backend_cpu_buffer_type())
        self._set(activations, bytes(self._floats) * -(-rows // _MADE_ROWS))
        word = ctypes.c_size_t
        graph: int = self._call("ggml_new_graph", word, word)(context)
        expand = self._call("ggml_build_forward_expand", None, word, word)
        name_of = self._call("ggml_op_desc", ctypes.c_char_p, word)
        for each in nodes:
            expand(graph, each)
            if name == "ours":
                native().kernels_on_node(each, True, ctypes.byref(self._kernels))
                if name_of(each) != b"CUSTOM":
                    return None
        return graph

    def seconds(self, graph: int) -> float:
        started = time.perf_counter()
        self._compute(self._backend, graph)
        return time.perf_counter() - started
