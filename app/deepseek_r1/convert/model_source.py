"""A model to convert: keys, encoded as in a GGUF header, and readers of tensors, by a few rows.

Source of the encoding: `ggml/docs/gguf.md`. All numbers are little-endian.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepseek_r1.formats.container import ARRAY, STRING, Container, Scalar
from deepseek_r1.formats.ggml_types import TensorType

Floats = npt.NDArray[np.float32]
ReadRows = Callable[[int, int], Floats]
ReadPacked = Callable[[int, int], bytes | bytearray]
_U32, _I32, _F32, _BOOL = 4, 5, 6, 7


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key and its encoded value. `payload` is the type's number followed by the value."""

    key: str
    payload: bytes

    def packed(self) -> bytes:
        return packed_text(self.key) + self.payload


def scalar(key: str, value: Scalar) -> KeyValue:
    """Returns an entry with a text, a truth value, a u32 or an f32, by the value's own type."""
    match value:
        case str():
            return KeyValue(key, struct.pack("<I", STRING) + packed_text(value))
        case bool():
            return KeyValue(key, struct.pack("<I?", _BOOL, value))
        case int():
            return KeyValue(key, struct.pack("<II", _U32, value))
    return KeyValue(key, struct.pack("<If", _F32, value))


def texts(key: str, values: Iterable[str]) -> KeyValue:
    """Returns an entry with a list of strings."""
    entries = [packed_text(each) for each in values]
    head = struct.pack("<IIQ", ARRAY, STRING, len(entries))
    return KeyValue(key, head + b"".join(entries))


def i32s(key: str, values: Sequence[int]) -> KeyValue:
    """Returns an entry with a list of signed 32-bit numbers."""
    head = struct.pack("<IIQ", ARRAY, _I32, len(values))
    return KeyValue(key, head + np.asarray(values, "<i4").tobytes())


def packed_text(value: str) -> bytes:
    """Returns the length and the bytes of a text."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def replaced(old: Iterable[KeyValue], new: Mapping[str, Scalar]) -> tuple[KeyValue, ...]:
    """Returns `old` with the values of `new`; new keys are added at the end."""
    changes = {key: scalar(key, value) for key, value in new.items()}
    kept = [changes.pop(each.key, each) for each in old]
    return (*kept, *changes.values())


def copied(container: Container) -> tuple[KeyValue, ...]:
    """Returns all entries of a file that `read_container` accepted, byte for byte.

    Not of version 1, which has shorter counts.
    """
    with container.path.open("rb") as file:
        raw = file.read(max(end for _, end in container.spans.values()))
    return tuple(KeyValue(key, raw[start:end]) for key, (start, end) in container.spans.items())


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor under its GGUF name.

    `shape` has the row's length first, as in GGUF. `read_rows(first, last)` returns rows as float32
    (rows, columns); both ends must be multiples of `granule`, because rows may be permuted.
    `read_packed` returns the same rows in their stored type; it is None if ggml does not have it.
    """

    name: str
    shape: tuple[int, ...]
    kind: TensorType
    read_rows: ReadRows
    granule: int = 1
    read_packed: ReadPacked | None = None

    @property
    def columns(self) -> int:
        return self.shape[0]

    @property
    def rows(self) -> int:
        """The product of all other dimensions."""
        return prod(self.shape[1:])

    @property
    def elements(self) -> int:
        return self.columns * self.rows


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model to convert: its keys, its tensors in order, and its files."""

    path: Path
    architecture: str
    blocks: int
    keys: tuple[KeyValue, ...]
    tensors: tuple[SourceTensor, ...]
    files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()  # shown to the user after the conversion
