"""A GGUF file as a list of fields that a test may set to anything, sound or not."""

from __future__ import annotations

import copy
import struct
from dataclasses import dataclass, field
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
SIZES = {U8: 1, I8: 1, U16: 2, I16: 2, U32: 4, I32: 4, F32: 4, BOOL: 1, U64: 8, I64: 8, F64: 8}
FORMATS = {
    U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i",
    F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d",
}  # fmt: skip
SHALLOW_BLOCKS = 3


def string(text: str | bytes) -> bytes:
    """A GGUF string."""
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def payload(kind: int, value: object) -> bytes:
    """The bytes of a value of a kind; lists need `array`."""
    if kind == STRING:
        assert isinstance(value, str | bytes)
        return string(value)
    return struct.pack("<" + FORMATS[kind], value)


def array(kind: int, values: list[object], *, count: int | None = None) -> bytes:
    """The bytes of an array; `count` may lie."""
    head = struct.pack("<IQ", kind, len(values) if count is None else count)
    return head + b"".join(payload(kind, value) for value in values)


@dataclass
class RawKey:
    """A key, its kind and its bytes."""

    name: bytes
    kind: int
    data: bytes


@dataclass
class RawTensor:
    """A line of the tensor table, and the data it stands for."""

    name: bytes
    shape: list[int]
    kind: int
    offset: int
    data: bytes
    dimensions: int | None = None  # what the file claims, where that differs


@dataclass
class RawGguf:
    """A whole file."""

    keys: list[RawKey]
    tensors: list[RawTensor]
    magic: bytes = b"GGUF"
    version: int = 3
    alignment: int = 32
    key_count: int | None = None
    tensor_count: int | None = None
    tail: bytes = field(default=b"")

    @classmethod
    def parse(cls, data: bytes) -> RawGguf:
        """Take a sound file apart."""
        return _Parser(data).parse()

    def copy(self) -> RawGguf:
        """One that may be broken without breaking this one."""
        return copy.deepcopy(self)

    def key(self, name: str) -> RawKey:
        """The key of that name."""
        return next(each for each in self.keys if each.name == name.encode())

    def tensor(self, name: str) -> RawTensor:
        """The tensor of that name."""
        return next(each for each in self.tensors if each.name == name.encode())

    def set(self, name: str, kind: int, value: object) -> RawGguf:
        """Set or add a key."""
        data = value if kind == ARRAY and isinstance(value, bytes) else payload(kind, value)
        found = [each for each in self.keys if each.name == name.encode()]
        if found:
            found[0].kind, found[0].data = kind, data
        else:
            self.keys.append(RawKey(name.encode(), kind, data))
        return self

    def drop(self, name: str) -> RawGguf:
        """Remove a key."""
        self.keys = [each for each in self.keys if each.name != name.encode()]
        return self

    def drop_tensor(self, name: str) -> RawGguf:
        """Remove a tensor and close the gap."""
        self.tensors = [each for each in self.tensors if each.name != name.encode()]
        return self.lay_out()

    def lay_out(self) -> RawGguf:
        """Give every tensor the offset that its place demands."""
        end = 0
        for tensor in self.tensors:
            tensor.offset = end
            end = -(-(end + len(tensor.data)) // self.alignment) * self.alignment
        return self

    def header(self) -> bytes:
        """Everything before the data's padding."""
        count = len(self.keys) if self.key_count is None else self.key_count
        tensors = len(self.tensors) if self.tensor_count is None else self.tensor_count
        parts = [self.magic, struct.pack("<IQQ", self.version, tensors, count)]
        parts += [string(k.name) + struct.pack("<I", k.kind) + k.data for k in self.keys]
        for each in self.tensors:
            claimed = len(each.shape) if each.dimensions is None else each.dimensions
            parts.append(string(each.name) + struct.pack("<I", claimed))
            parts.append(b"".join(struct.pack("<Q", n & (1 << 64) - 1) for n in each.shape))
            parts.append(struct.pack("<IQ", each.kind, each.offset & (1 << 64) - 1))
        return b"".join(parts)

    def bytes(self) -> bytes:
        """The file."""
        out = bytearray(self.header())
        out += bytes(-len(out) % self.alignment)
        for each in self.tensors:
            out += each.data + bytes(-len(each.data) % self.alignment)
        return bytes(out) + self.tail

    def write(self, path: Path) -> Path:
        """The file at `path`."""
        path.write_bytes(self.bytes())
        return path


class _Parser:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def parse(self) -> RawGguf:
        magic, version = self.take(4), self.number(4)
        tensor_count, key_count = self.number(8), self.number(8)
        keys = [self.key() for _ in range(key_count)]
        table = [self.tensor() for _ in range(tensor_count)]
        start = -(-self.at // 32) * 32
        ends = [each.offset for each in table[1:]] + [len(self.data) - start]
        for each, end in zip(table, ends, strict=True):
            each.data = self.data[start + each.offset : start + end]
        return RawGguf(keys, table, magic, version)

    def key(self) -> RawKey:
        name, kind = self.take(self.number(8)), self.number(4)
        start = self.at
        if kind == ARRAY:
            element, count = self.number(4), self.number(8)
            if element != STRING:
                self.at += count * SIZES[element]
            else:
                self.skip_strings(count)
        else:
            self.skip(kind)
        return RawKey(name, kind, self.data[start : self.at])

    def skip_strings(self, count: int) -> None:
        at, data, length = self.at, self.data, struct.Struct("<Q").unpack_from
        for _ in range(count):
            at += 8 + length(data, at)[0]
        self.at = at

    def skip(self, kind: int) -> None:
        self.take(self.number(8) if kind == STRING else SIZES[kind])

    def tensor(self) -> RawTensor:
        name, dimensions = self.take(self.number(8)), self.number(4)
        shape = [self.number(8) for _ in range(dimensions)]
        return RawTensor(name, shape, self.number(4), self.number(8), b"")


def shallow(starter: Path, path: Path, blocks: int = SHALLOW_BLOCKS) -> Path:
    """Write the starter with its first blocks alone to `path`: its way through the engine, short.

    Vocabulary, template, shapes and quantisation are the starter's; what it says has no meaning.
    """
    model = RawGguf.parse(starter.read_bytes()).set("llama.block_count", U32, blocks)
    kept = tuple(f"blk.{block}.".encode() for block in range(blocks))
    model.tensors = [
        each
        for each in model.tensors
        if each.name.startswith(kept) or not each.name.startswith(b"blk.")
    ]
    return model.lay_out().write(path)
