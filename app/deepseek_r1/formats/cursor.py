"""Reads a GGUF header's bytes in order, with a limit on every size that a file can claim."""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from deepseek_r1.core.errors import (
    ModelFileDamaged,
    ModelFileMissing,
    ModelFileTruncated,
    ModelFileUnknown,
    ModelFileUnreadable,
)
from deepseek_r1.core.i18n import tr

MAX_HEADER_BYTES: Final = 64 << 20  # real ones reach about 20 MiB
MAX_STRING_BYTES: Final = 4 << 20  # long chat templates have some 100 KiB
MAX_ELEMENTS: Final = 3_000_000  # in all arrays of strings together; real ones reach 800,000
CHUNK_BYTES: Final = 1 << 20

_COUNTS: Final = {4: struct.Struct("<I"), 8: struct.Struct("<Q")}


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a model file; yields it with its size. Raises ModelFileMissing, ModelFileUnreadable."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block, a folder cannot be read
            raise ModelFileUnreadable(path=str(path), detail=tr("this is not a file"))
        with path.open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelFileMissing(path=str(path)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        detail = getattr(error, "strerror", None) or str(error)
        raise ModelFileUnreadable(path=str(path), detail=detail) from error


def printable(name: str) -> str:
    """The part of a name in a file that a sentence shows."""
    return "".join(filter(str.isprintable, name[:60]))


class Refusals:
    """The errors of the file at `path`."""

    path: Path

    def damaged(self, detail: str) -> ModelFileDamaged:
        """The error for a header that contradicts itself."""
        return ModelFileDamaged(path=str(self.path), detail=detail)

    def wrong_value(self, key: str, value: object) -> ModelFileDamaged:
        return self.damaged(tr("the key {key} has the value {value}", key=key, value=value))

    def unsuited(self, name: str, kind: str) -> ModelFileDamaged:
        text = tr(
            "the tensor {name} is stored as {kind}, which does not suit it", name=name, kind=kind
        )
        return self.damaged(text)

    def truncated(self, needed_bytes: int, actual_bytes: int) -> ModelFileTruncated:
        path = str(self.path)
        return ModelFileTruncated(path=path, needed_bytes=needed_bytes, actual_bytes=actual_bytes)

    def unknown(self, detail: str, advice: str = "") -> ModelFileUnknown:
        """The error for what a later version may know; `advice` is what to take instead."""
        usual = tr("Update R1 Desk, or choose a model from its list.")
        return ModelFileUnknown(path=str(self.path), detail=detail, advice=advice or usual)


class Cursor(Refusals):
    """A position in the header of an open file. Every read is checked against the file's size."""

    def __init__(self, file: BinaryIO, path: Path, file_bytes: int) -> None:
        self.path, self.file_bytes, self.position = path, file_bytes, 0
        self.count_bytes = 8  # size of a length or a count; 4 in the first version of GGUF
        self._file = file
        self._buffer = bytearray()
        self._elements = 0

    def _fill(self, end: int) -> None:
        """Read the bytes before `end` into the buffer, or refuse the file."""
        if end <= len(self._buffer):
            return
        if end > self.file_bytes:
            raise self.truncated(end, self.file_bytes)
        if end > MAX_HEADER_BYTES:
            raise self.damaged(
                tr("its header is longer than {mib} MiB", mib=MAX_HEADER_BYTES >> 20)
            )
        while len(self._buffer) < end:
            piece = self._file.read(CHUNK_BYTES)
            if not piece:  # the file shrank while we read
                raise self.truncated(end, len(self._buffer))
            self._buffer += piece

    def take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        self._fill(self.position)
        return bytes(self._buffer[start : self.position])

    def unpack(self, shape: struct.Struct) -> tuple[int | float | bool, ...]:
        return shape.unpack(self.take(shape.size))

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def count(self) -> int:
        return int.from_bytes(self.take(self.count_bytes), "little")

    def string(self, longest: int = MAX_STRING_BYTES) -> bytes:
        """The next string, not decoded."""
        size = self.count()
        if size > longest:
            raise self.damaged(tr("a text has {size} bytes", size=size))
        return self.take(size)

    def name(self, longest: int, refusal: str) -> str:
        """The next string, in printable ASCII and not empty; otherwise refused as damaged."""
        raw = self.string(longest)
        if not raw or not raw.isascii() or not raw.decode().isprintable():
            raise self.damaged(refusal)
        return raw.decode()

    def strings(self, count: int, *, keep: bool) -> list[bytes]:
        """Skip the next `count` strings; returns them with `keep`.

        One tight loop, because vocabularies have 150,000 strings and more.
        """
        self._elements += count
        if self._elements > MAX_ELEMENTS:
            raise self.damaged(tr("a list has {count} entries", count=count))
        width = self.count_bytes
        least = self.position + width * count
        if least > self.file_bytes:  # more than the file can hold
            raise self.truncated(least, self.file_bytes)
        buffer, position, filled = self._buffer, self.position, len(self._buffer)
        unpack, found = _COUNTS[width].unpack_from, []
        for _ in range(count):
            start = position + width
            if start > filled:
                self._fill(start)
                filled = len(buffer)
            (size,) = unpack(buffer, position)
            position = start + size
            if position > filled:
                if size > MAX_STRING_BYTES:
                    raise self.damaged(tr("a text has {size} bytes", size=size))
                self._fill(position)
                filled = len(buffer)
            if keep:
                found.append(bytes(buffer[start:position]))
        self.position = position
        return found
