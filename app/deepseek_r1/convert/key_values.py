"""Encodes the key-value pairs of a GGUF header, or copies them from a file byte for byte.

Source: `ggml/docs/gguf.md`. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepseek_r1.formats.container import ARRAY, STRING, Container, Scalar

_U32, _I32, _F32, _BOOL = 4, 5, 6, 7


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key and its encoded value. `payload` is the type's number followed by the value."""

    key: str
    payload: bytes

    def packed(self) -> bytes:
        """The encoded entry of a header."""
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
