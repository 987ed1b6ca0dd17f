"""Computes the layout of the output file before anything is written."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from deepseek_r1.convert.gguf.key_values import KeyValue
from deepseek_r1.convert.precision import Precision
from deepseek_r1.convert.source_tensors import ModelSource, SourceTensor
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
        """Bytes of one row in the output."""
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
    kinds = [precision.kind_of(each, source.blocks) for each in source.tensors]
    entries, offset = [], 0
    starts = []
    for tensor, kind in zip(source.tensors, kinds, strict=True):
        starts.append(offset)
        entries.append(_entry(tensor, kind, offset))
        offset = aligned(offset + kind.nbytes(tensor.columns) * tensor.rows)
    kept = [each for each in keys if each.key != "general.alignment"]
    head = MAGIC + struct.pack("<IQQ", _VERSION, len(entries), len(kept))
    head += b"".join(each.packed() for each in kept) + b"".join(entries)
    head = head.ljust(aligned(len(head)), b"\0")
    places = tuple(
        TensorPlacement(tensor, kind, len(head) + start)
        for tensor, kind, start in zip(source.tensors, kinds, starts, strict=True)
    )
    return FileLayout(head, places, len(head) + offset)


def _entry(tensor: SourceTensor, kind: TensorType, offset: int) -> bytes:
    name = tensor.name.encode()
    return (
        struct.pack("<Q", len(name))
        + name
        + struct.pack("<I", len(tensor.shape))
        + struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        + struct.pack("<IQ", _NUMBERS[kind.name], offset)
    )


def aligned(position: int) -> int:
    """Returns the first aligned offset at or after `position`."""
    return -(-position // ALIGNMENT) * ALIGNMENT
