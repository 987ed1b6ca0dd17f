"""The first version of GGUF: every count and every length has 32 bits."""

from __future__ import annotations

import struct
from pathlib import Path

from support.raw_gguf import ARRAY, SIZES, STRING, RawGguf


def write_first_version(today: Path, path: Path) -> Path:
    """The model of a file of today in the first version's form, at `path`."""
    raw = RawGguf.parse(today.read_bytes())
    out = bytearray(struct.pack("<4s3I", b"GGUF", 1, len(raw.tensors), len(raw.keys)))
    for key in raw.keys:
        out += _text(key.name) + struct.pack("<I", key.kind) + _narrow(key.kind, key.data)
    for each in raw.tensors:
        out += _text(each.name) + struct.pack(f"<I{len(each.shape)}I", len(each.shape), *each.shape)
        out += struct.pack("<IQ", each.kind, each.offset)
    out += bytes(-len(out) % raw.alignment)
    for each in raw.tensors:
        out += each.data + bytes(-len(each.data) % raw.alignment)
    path.write_bytes(bytes(out))
    return path


def _text(raw: bytes) -> bytes:
    return struct.pack("<I", len(raw)) + raw


def _narrow(kind: int, data: bytes) -> bytes:
    if kind == STRING:
        return _text(data[8:])
    if kind != ARRAY:
        return data
    element, count = struct.unpack_from("<IQ", data)
    head, rest = struct.pack("<II", element, count), data[12:]
    if element != STRING:
        assert len(rest) == count * SIZES[element]
        return head + rest
    at, texts = 0, []
    for _ in range(count):
        (size,) = struct.unpack_from("<Q", rest, at)
        texts.append(_text(rest[at + 8 : at + 8 + size]))
        at += 8 + size
    return head + b"".join(texts)
