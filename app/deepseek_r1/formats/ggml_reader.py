"""Reads an old model file in order: tensors' names and data alternate."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

from deepseek_r1.core.errors import ModelFileDamaged, ModelFileTruncated
from deepseek_r1.core.i18n import tr

MAX_TOKEN_BYTES: Final = 4096
MAX_NAME_BYTES: Final = 128


class GgmlReader:
    """A position in an open file. Every read is checked against the file's size."""

    def __init__(self, file: BinaryIO, path: Path, file_bytes: int) -> None:
        self.path, self.file_bytes, self.position = path, file_bytes, 0
        self._file = file

    def damaged(self, detail: str) -> ModelFileDamaged:
        """The error for a file that contradicts itself."""
        return ModelFileDamaged(path=str(self.path), detail=detail)

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
        """The next `count` bytes."""
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
        """The next token of a vocabulary."""
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
