"""Encodes the key-value pairs of a GGUF header, or copies them from a file byte for byte.

Source: `ggml/docs/gguf.md`. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from deepseek_r1.formats.container import Container

_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_SCALAR_BYTES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key and its encoded value. `payload` is the type's number followed by the value."""

    key: str
    payload: bytes

    def packed(self) -> bytes:
        """The encoded entry of a header."""
        return _text(self.key.encode()) + self.payload


def u32(key: str, value: int) -> KeyValue:
    """Returns an unsigned 32-bit entry."""
    return KeyValue(key, struct.pack("<II", _U32, value))


def f32(key: str, value: float) -> KeyValue:
    """Returns a 32-bit float entry."""
    return KeyValue(key, struct.pack("<If", _F32, value))


def flag(key: str, value: bool) -> KeyValue:
    """Returns a boolean entry."""
    return KeyValue(key, struct.pack("<I?", _BOOL, value))


def text(key: str, value: str) -> KeyValue:
    """Returns a string entry."""
    return KeyValue(key, struct.pack("<I", _STRING) + _text(value.encode()))


def texts(key: str, values: Iterable[str]) -> KeyValue:
    """Returns an entry with a list of strings."""
    entries = [_text(each.encode()) for each in values]
    head = struct.pack("<IIQ", _ARRAY, _STRING, len(entries))
    return KeyValue(key, head + b"".join(entries))


def i32s(key: str, values: Sequence[int]) -> KeyValue:
    """Returns an entry with a list of signed 32-bit numbers."""
    head = struct.pack("<IIQ", _ARRAY, _I32, len(values))
    return KeyValue(key, head + np.asarray(values, "<i4").tobytes())


def _text(raw: bytes) -> bytes:
    return struct.pack("<Q", len(raw)) + raw


def replaced(old: Iterable[KeyValue], new: Iterable[KeyValue]) -> tuple[KeyValue, ...]:
    """Returns `old` with the values of `new`; new keys are added at the end."""
    changes = {each.key: each for each in new}
    kept = [changes.pop(each.key, each) for each in old]
    return (*kept, *changes.values())


def copied(container: Container) -> tuple[KeyValue, ...]:
    """Returns all entries of a file that `read_container` accepted, byte for byte.

    Lengths are not checked again: `read_container` checked them against the file and its caps.
    Supports versions 2 and 3; version 1 has shorter counts.
    """
    with container.path.open("rb") as file:
        raw = memoryview(file.read(container.data_start or container.needed_bytes))
    at = 24  # magic, version, two counts
    entries = []
    for _ in container.kinds:
        size = _u64(raw, at)
        key = bytes(raw[at + 8 : at + 8 + size]).decode()
        at += 8 + size
        end = _value_end(raw, at)
        entries.append(KeyValue(key, bytes(raw[at:end])))
        at = end
    return tuple(entries)


def _value_end(raw: memoryview, at: int) -> int:
    """Returns the end of the value whose type is at offset `at`."""
    kind = _u32(raw, at)
    at += 4
    if kind == _STRING:
        return at + 8 + _u64(raw, at)
    if kind != _ARRAY:
        return at + _SCALAR_BYTES[kind]
    element, count = _u32(raw, at), _u64(raw, at + 4)
    at += 12
    if element != _STRING:
        return at + count * _SCALAR_BYTES[element]
    for _ in range(count):
        at += 8 + _u64(raw, at)
    return at


def _u32(raw: memoryview, at: int) -> int:
    return int.from_bytes(raw[at : at + 4], "little")


def _u64(raw: memoryview, at: int) -> int:
    return int.from_bytes(raw[at : at + 8], "little")


def parameter_label(parameters: int) -> str:
    """Returns the parameter count in the usual form: 7.6B, 135M."""
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if parameters >= size:
            number = (
                f"{parameters / size:.1f}" if parameters < 10 * size else f"{parameters // size}"
            )
            return f"{number.removesuffix('.0')}{unit}"
    return str(parameters)


def name_of(path: Path) -> str:
    """Returns the name for a model without one: its folder's or file's name, without the path."""
    resolved = path.resolve()
    return resolved.name if resolved.is_dir() else resolved.stem
