"""Reads an old model file in order, and its tensors, whose names and data alternate."""

import struct
from pathlib import Path
from typing import BinaryIO, Final

from deepseek_r1.core.errors import LegacyModelFile, ModelFileTruncated
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import TensorInfo
from deepseek_r1.formats.cursor import Refusals
from deepseek_r1.formats.ggml_types import F32, FILE_TYPES, TENSOR_TYPES, TensorType
from deepseek_r1.legacy.ggml_layouts import GgmlFormat, GgmlLayout, Sizes

MAX_TOKEN_BYTES: Final = 4096
MAX_NAME_BYTES: Final = 128


class GgmlReader(Refusals):
    """A position in an open file. Every read is checked against the file's size."""

    def __init__(self, file: BinaryIO, path: Path, file_bytes: int) -> None:
        super().__init__(path)
        self.file_bytes, self.position, self._file = file_bytes, 0, file

    def truncated(self, expected: int, actual: int) -> ModelFileTruncated:
        """The error for a file that ends too early."""
        return ModelFileTruncated(path=str(self.path), expected=expected, actual=actual)

    @property
    def at_end(self) -> bool:
        """Whether the whole file has been read."""
        return self.position >= self.file_bytes

    def go_to(self, position: int) -> None:
        """Continue at a position. Raises ModelFileTruncated where it is behind the file's end."""
        if position > self.file_bytes:
            raise self.truncated(position, self.file_bytes)
        self.position = position
        self._file.seek(position)

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > self.file_bytes:
            raise self.truncated(end, self.file_bytes)
        data = self._file.read(count)
        if len(data) != count:  # the file shrank while we read
            raise self.truncated(end, self.position + len(data))
        self.position = end
        return data

    def numbers(self, count: int) -> tuple[int, ...]:
        """The next `count` 32-bit integers."""
        return struct.unpack(f"<{count}i", self.take(4 * count))

    def real(self) -> float:
        """The next 32-bit floating-point number."""
        (number,) = struct.unpack("<f", self.take(4))
        return float(number)

    def token(self) -> bytes:
        (size,) = struct.unpack("<I", self.take(4))
        if size > MAX_TOKEN_BYTES:
            raise self.damaged(tr("a text has {size} bytes", size=size))
        return self.take(size)

    def tensor_head(self) -> tuple[str, tuple[int, ...], int]:
        """A tensor's name, its shape with the row first, and the number of its type."""
        dimensions, length, kind = self.numbers(3)
        if not 1 <= dimensions <= 2 or not 1 <= length <= MAX_NAME_BYTES:
            raise self.damaged(tr("a tensor has no proper name"))
        shape = self.numbers(dimensions)
        raw = self.take(length)
        if not raw.isascii() or not raw.decode().isprintable():
            raise self.damaged(tr("a tensor has no proper name"))
        return raw.decode(), shape, kind


ALIGNMENT: Final = 32
_VERSION_FACTOR: Final = 1000  # ftype = version of the quantised blocks * 1000 + type
_BLOCKS_VERSION: Final = 2  # today's layout of quantised blocks
_PLAIN: Final = ("F32", "F16")
# `enum ggml_ftype`: the type of all matrices of a file of the GPT families.
_WEIGHT_TYPES: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K",
}  # fmt: skip
_READABLE: Final = frozenset(_WEIGHT_TYPES.values())


def read_type(reader: GgmlReader, layout: GgmlLayout, ftype: int, file: GgmlFormat) -> str:
    """The name of the file's quantisation.

    Raises LegacyModelFile where its blocks are older than those that the engine reads. Their layout
    changed twice in May 2023; an old block that is read in the new layout is noise.
    """
    if layout.one_type:
        blocks, number = divmod(ftype, _VERSION_FACTOR)
        name = _WEIGHT_TYPES.get(number)
        current = blocks == _BLOCKS_VERSION
    else:
        name = FILE_TYPES.get(ftype % _VERSION_FACTOR)
        current = file.version in layout.current_versions
    if name is None:
        raise reader.wrong_value("ftype", ftype)
    if name not in _PLAIN and not current:
        raise LegacyModelFile(
            path=str(reader.path),
            format=f"{file.container} {name}",
            detail=tr("Its numbers are packed in a way that was given up in May 2023."),
        )
    return name


def read_tensors(
    reader: GgmlReader, layout: GgmlLayout, sizes: Sizes, quantisation: str, *, aligned: bool
) -> tuple[TensorInfo, ...]:
    """The tensors, complete and without gaps. Raises ModelFileDamaged, ModelFileTruncated."""
    wanted = dict(layout.shapes(sizes))
    found: dict[str, TensorInfo] = {}
    while not reader.at_end:
        name, shape, number = reader.tensor_head()
        if name in found:
            raise reader.damaged(tr("the tensor {name} is there twice", name=name))
        if wanted.get(name) != shape:
            raise reader.damaged(tr("the tensor {name} has an impossible shape", name=name))
        kind = _suitable_type(reader, layout, (name, shape, number), quantisation)
        start = -(-reader.position // ALIGNMENT) * ALIGNMENT if aligned else reader.position
        elements = shape[0] * (shape[1] if len(shape) > 1 else 1)
        found[name] = TensorInfo(name, shape, kind.name, kind.nbytes(elements), offset=start)
        reader.go_to(start + found[name].nbytes)
    for name in wanted:
        if name not in found and name not in layout.optional:
            raise reader.damaged(tr("the tensor {name} is missing", name=name))
    return tuple(found.values())


def _suitable_type(
    reader: GgmlReader,
    layout: GgmlLayout,
    head: tuple[str, tuple[int, ...], int],
    quantisation: str,
) -> TensorType:
    """The type of a tensor. Raises ModelFileDamaged where it does not suit the tensor.

    Vectors are F32; matrices have the file's one type, or in later files one of many.
    """
    name, shape, number = head
    kind = TENSOR_TYPES.get(number)
    if kind is None:
        raise reader.damaged(tr("the tensor {name} has the unknown type {n}", name=name, n=number))
    if len(shape) == 1 or name in layout.wide:
        suits = kind is F32
    elif layout.one_type:
        suits = kind.name == quantisation
    else:
        suits = kind.name in _READABLE
    if not suits or shape[0] % kind.block:
        raise reader.unsuited(name, kind.name)
    return kind
