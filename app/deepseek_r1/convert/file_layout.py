"""The layout of the output file, computed first, and its tensors in their new types, by pieces."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from deepseek_r1.convert.errors import ImportanceNeeded, NumbersUnfit
from deepseek_r1.convert.model_source import (
    Floats,
    KeyValue,
    ModelSource,
    SourceTensor,
    packed_text,
)
from deepseek_r1.convert.precision import Precision
from deepseek_r1.core.i18n import tr
from deepseek_r1.engine.llama.binding.quantise import PACKED, Quantiser
from deepseek_r1.formats.container import MAGIC
from deepseek_r1.formats.ggml_types import TENSOR_TYPES, TensorType

ALIGNMENT: Final = 32  # GGUF's default, so the header does not state it
_VERSION: Final = 3
_NUMBERS: Final = {kind.name: number for number, kind in TENSOR_TYPES.items()}


@dataclass(frozen=True, slots=True)
class TensorPlacement:
    """A tensor of the source with its new type and its byte offset in the output file."""

    tensor: SourceTensor
    kind: TensorType
    offset: int

    @property
    def row_bytes(self) -> int:
        return self.kind.nbytes(self.tensor.columns)

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.offset + self.row_bytes * self.tensor.rows


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The header and the tensors in file order. `nbytes` is the file's size."""

    header: bytes
    places: tuple[TensorPlacement, ...]
    nbytes: int


def plan_layout(
    source: ModelSource, precision: Precision, keys: tuple[KeyValue, ...]
) -> FileLayout:
    """Returns the layout of `source` stored at `precision`, with `keys` in its header."""
    places: list[TensorPlacement] = []
    for tensor in source.tensors:
        offset = aligned(places[-1].end) if places else 0
        places.append(TensorPlacement(tensor, precision.kind_of(tensor, source.blocks), offset))
    kept = [each for each in keys if each.key != "general.alignment"]
    head = MAGIC + struct.pack("<IQQ", _VERSION, len(places), len(kept))
    head += b"".join(each.packed() for each in kept) + b"".join(map(_entry, places))
    head = head.ljust(aligned(len(head)), b"\0")
    moved = tuple(replace(each, offset=len(head) + each.offset) for each in places)
    return FileLayout(head, moved, aligned(moved[-1].end))


def _entry(place: TensorPlacement) -> bytes:
    shape = place.tensor.shape
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    kind = struct.pack("<IQ", _NUMBERS[place.kind.name], place.offset)
    return packed_text(place.tensor.name) + sizes + kind


def aligned(position: int) -> int:
    """Returns the first aligned offset at or after `position`."""
    return -(-position // ALIGNMENT) * ALIGNMENT


# Bytes per number during a conversion: stored, as float32 (twice if rows are permuted or bits
# widened), quantised, and a mask of the finite numbers.
BYTES_A_NUMBER: Final = 18
MOST_NUMBERS: Final = 4 << 20  # per piece; larger ones are no faster
_F16_MOST: Final = 65_504.0
_LEAST_SHARE: Final = 1e-6  # of the mean importance

# Mean squared activation of each column of a matrix; for stacked matrices (matrices, columns).
Importance = Mapping[str, Floats]


class PieceMaker:
    """Converts tensors in pieces of at most `most_numbers` numbers, but at least one granule."""

    def __init__(self, quantiser: Quantiser, importance: Importance, most_numbers: int) -> None:
        self._quantiser, self._importance = quantiser, importance
        self._most = most_numbers

    def pieces(
        self, place: TensorPlacement, first: int = 0
    ) -> Iterator[bytes | bytearray | memoryview]:
        """Yields the rows from `first` to the last, in pieces of whole granules."""
        tensor = place.tensor
        granule = tensor.granule
        step = max(1, self._most // (tensor.columns * granule)) * granule
        matrix, start = self._matrix_rows(place), first
        while start < tensor.rows:
            end = min(start + step, tensor.rows, (start // matrix + 1) * matrix)
            yield self._piece(place, start, end)
            start = end

    def _matrix_rows(self, place: TensorPlacement) -> int:
        """Returns the number of rows that share an importance vector: one matrix of a stack."""
        weights = self._importance.get(place.tensor.name)
        if weights is None or weights.ndim == 1 or len(weights) == 1:
            return place.tensor.rows
        return place.tensor.shape[1]

    def _piece(
        self, place: TensorPlacement, first: int, last: int
    ) -> bytes | bytearray | memoryview:
        tensor, kind = place.tensor, place.kind
        if tensor.read_packed is not None and tensor.kind is kind:
            return tensor.read_packed(first, last)  # same type: the bytes are copied
        rows = tensor.read_rows(first, last)
        self._check(place, rows)
        match kind.name:
            case "F32":
                packed: Any = np.ascontiguousarray(rows, "<f4")
            case "F16":
                packed = rows.astype("<f2")
            case "BF16":
                packed = _to_bf16(rows)
            case _:
                packed = self._quantiser.pack(rows, kind, self._weights(place, first))
        return memoryview(packed).cast("B")

    def _check(self, place: TensorPlacement, rows: Floats) -> None:
        kind = place.kind.name
        largest = max(float(rows.max()), -float(rows.min()))  # NaN stays NaN
        if not np.isfinite(largest):
            detail = tr("It contains infinity or NaN.")
        elif kind == "F16" and largest > _F16_MOST:
            detail = tr("Its largest number is {number}.", number=f"{largest:.6g}")
        else:
            return
        raise NumbersUnfit(name=place.tensor.name, kind=kind.lower(), detail=detail)

    def _weights(self, place: TensorPlacement, first: int) -> Floats | None:
        found = self._importance.get(place.tensor.name)
        if found is None:
            return None
        matrices = found.reshape(-1, place.tensor.columns)
        number = first // place.tensor.shape[1] if len(matrices) > 1 else 0
        weights: Floats = matrices[number]
        # Unused columns keep a small weight because ggml divides by sums of these.
        return np.maximum(weights, max(float(weights.mean()) * _LEAST_SHARE, 1e-30))


def require_importance(
    places: tuple[TensorPlacement, ...], quantiser: Quantiser, importance: Importance
) -> None:
    """Raise ImportanceNeeded at the start instead of after hours."""
    for place in places:
        if place.kind.name in PACKED and place.kind is not place.tensor.kind:
            known = place.tensor.name in importance
            if not known and quantiser.needs_importance(place.kind):
                raise ImportanceNeeded(kind=place.kind.name.lower())


def _to_bf16(rows: Floats) -> Any:
    """Returns bfloat16 bits, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(rows, "<f4").view("<u4")
    odd = (bits >> 16) & 1
    odd += 0x7FFF
    odd += bits
    odd >>= 16
    return odd.astype("<u2")
