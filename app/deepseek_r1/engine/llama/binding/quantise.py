"""Quantizes and dequantizes rows with ggml's functions.

Only rows of plain numbers are passed, never a file: the contents of files were checked before. ggml
asserts its preconditions and would abort the process, so every call is checked first.
"""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.formats.ggml_types import TENSOR_TYPES, TensorType
from deepseek_r1.weights.ggml.tensor_layout import typed

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_NUMBERS: Final = {kind.name: number for number, kind in TENSOR_TYPES.items()}
# Types that ggml_quantize_chunk packs; the others are plain numbers, or for computing only.
PACKED: Final = frozenset(
    {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"}
    | {"IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S", "IQ1_M", "IQ4_NL", "IQ4_XS"}
    | {"Q1_0", "Q2_0", "TQ1_0", "TQ2_0", "MXFP4"}
)
_TO_FLOAT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class _Traits(ctypes.Structure):
    """The `struct ggml_type_traits` of ggml.h."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("interleaved", ctypes.c_int64),
        ("block_bytes", ctypes.c_size_t),
        ("is_quantised", ctypes.c_bool),
        ("to_float", ctypes.c_void_p),
        ("from_float", ctypes.c_void_p),
    )


class Quantiser:
    """Packs and unpacks rows on `threads` threads. Safe to share between threads."""

    def __init__(self, threads: int = 1) -> None:
        """Raises EngineStartFailed where the library is missing or not as expected."""
        self._threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self._threads, "quantise")  # started when used
        functions, pointer, i64 = library().functions, ctypes.c_void_p, ctypes.c_int64
        self._pack = typed(
            functions.ggml_quantize_chunk,
            ctypes.c_size_t, ctypes.c_int, pointer, pointer, i64, i64, i64, pointer,
        )  # fmt: skip
        self._prepare = typed(functions.ggml_quantize_init, None, ctypes.c_int)
        self._wants_importance = typed(
            functions.ggml_quantize_requires_imatrix, ctypes.c_bool, ctypes.c_int
        )
        self._traits = typed(functions.ggml_get_type_traits, ctypes.POINTER(_Traits), ctypes.c_int)

    def close(self) -> None:
        self._pool.shutdown()

    def needs_importance(self, kind: TensorType) -> bool:
        """Return whether ggml packs this type only with an importance matrix."""
        return bool(self._wants_importance(_NUMBERS[kind.name]))

    def pack(self, rows: Floats, kind: TensorType, importance: Floats | None = None) -> Bytes:
        """Pack rows of float32, of shape (rows, columns), into `kind`; returns bytes, row after
        row.

        `importance` has one weight a column, the mean squared activation it meets, or is None. The
        columns must be a multiple of the type's block, and every number finite. Raises ValueError.
        """
        count, columns = rows.shape
        number = self._checked(kind, columns)
        if kind.name not in PACKED:
            raise ValueError(f"{kind.name} cannot be packed")
        if importance is None and self.needs_importance(kind):
            raise ValueError(f"{kind.name} needs an importance matrix")
        if importance is not None and importance.shape != (columns,):
            raise ValueError("the importance and the rows have different widths")
        if not np.isfinite(rows).all():
            raise ValueError("a number is not finite")
        rows = np.ascontiguousarray(rows, np.float32)
        weights = None if importance is None else np.ascontiguousarray(importance, np.float32)
        packed = np.zeros((count, kind.nbytes(columns)), np.uint8)
        self._prepare(number)

        def part(first: int, last: int) -> None:
            self._pack(
                number,
                rows[first:last].ctypes.data,
                packed[first:last].ctypes.data,
                0,
                last - first,
                columns,
                None if weights is None else weights.ctypes.data,
            )

        self._spread(count, part)
        return packed

    def unpack(self, packed: Bytes, kind: TensorType, columns: int) -> Floats:
        """Unpack rows to float32, of shape (rows, columns). Raises ValueError."""
        number = self._checked(kind, columns)
        row_bytes = kind.nbytes(columns)
        packed = np.ascontiguousarray(packed, np.uint8).reshape(-1, row_bytes)
        if kind.name == "F32":
            return packed.view(np.float32)
        traits = self._traits(number).contents
        if not traits.to_float:
            raise ValueError(f"{kind.name} cannot be unpacked")
        convert = ctypes.cast(traits.to_float, _TO_FLOAT)
        rows = np.empty((len(packed), columns), np.float32)

        def part(first: int, last: int) -> None:
            count = (last - first) * columns
            convert(packed[first:last].ctypes.data, rows[first:last].ctypes.data, count)

        self._spread(len(packed), part)
        return rows

    def _checked(self, kind: TensorType, columns: int) -> int:
        """Return the type's number, after checking that the library defines it as we do."""
        number = _NUMBERS[kind.name]
        traits = self._traits(number).contents
        if (traits.block, traits.block_bytes) != (kind.block, kind.block_bytes):
            raise EngineStartFailed(detail=f"{kind.name} has another block size than expected")
        if columns % kind.block:
            raise ValueError(f"{columns} columns are not whole blocks of {kind.name}")
        return number

    def _spread(self, count: int, part: Callable[[int, int], None]) -> None:
        """Process the rows 0 to `count`, one part a thread. The calls release the GIL."""
        if self._threads == 1 or count < 2 * self._threads:
            part(0, count)
            return
        ends = [count * n // self._threads for n in range(self._threads + 1)]
        list(self._pool.map(part, ends[:-1], ends[1:]))
