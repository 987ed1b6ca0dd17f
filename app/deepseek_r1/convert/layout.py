"""Where everything lies in the file that will be written, known before the first byte is."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from deepseek_r1.convert.key_values import KeyValue
from deepseek_r1.convert.precision import Precision
from deepseek_r1.convert.tensors import Source, SourceTensor
from deepseek_r1.formats.ggml_types import TENSOR_TYPES, TensorType

ALIGNMENT: Final = 32  # GGUF's default, so it need not be stated
_VERSION: Final = 3
_NUMBERS: Final = {kind.name: number for number, kind in TENSOR_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of the source, the type it gets, and where its bytes go, counted from byte 0."""

    tensor: SourceTensor
    kind: TensorType
    offset: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in the output."""
        return self.kind.nbytes(self.tensor.columns)

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.row_bytes * self.tensor.rows


@dataclass(frozen=True, slots=True)
class Layout:
    """The header, and the tensors in the order they are written. `nbytes` is the file's size."""

    header: bytes
    places: tuple[Place, ...]
    nbytes: int


def lay_out(source: Source, precision: Precision, keys: tuple[KeyValue, ...]) -> Layout:
    """The file for `source` stored as `precision` says, with `keys` in its header."""
    kinds = [precision.kind_of(each, source.blocks) for each in source.tensors]
    entries, offset = [], 0
    starts = []
    for tensor, kind in zip(source.tensors, kinds, strict=True):
        starts.append(offset)
        entries.append(_entry(tensor, kind, offset))
        offset = aligned(offset + kind.nbytes(tensor.columns) * tensor.rows)
    kept = [each for each in keys if each.key != "general.alignment"]
    head = b"GGUF" + struct.pack("<IQQ", _VERSION, len(entries), len(kept))
    head += b"".join(each.packed() for each in kept) + b"".join(entries)
    head = head.ljust(aligned(len(head)), b"\0")
    places = tuple(
        Place(tensor, kind, len(head) + start)
        for tensor, kind, start in zip(source.tensors, kinds, starts, strict=True)
    )
    return Layout(head, places, len(head) + offset)


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
    """The next place at or behind `position` where a tensor may start."""
    return -(-position // ALIGNMENT) * ALIGNMENT
