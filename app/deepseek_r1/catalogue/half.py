"""A file that is on its way: what has come of it, and a journal that makes it resumable.

In `.downloads` below the models' folder stand `NAME.part`, the bytes from the first one on, and
`NAME.journal`: a line of JSON with the order and what the server said, then the SHA-256 of each
whole piece. A piece is on the disk before its line is. After a crash the pieces are compared with
their lines; what does not agree, and what came after the last line, less than `PIECE_BYTES`, is
fetched again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepseek_r1.catalogue.checksums import BLOCK_BYTES, Stop
from deepseek_r1.catalogue.errors import FileNameUnusable
from deepseek_r1.catalogue.models import Sha256
from deepseek_r1.catalogue.names import checked_name
from deepseek_r1.catalogue.orders import Order
from deepseek_r1.core import log
from deepseek_r1.core.files import write_safely

PIECE_BYTES = 8 << 20
STAGING = ".downloads"
_MOST_JOURNAL_BYTES = 8 << 20  # a terabyte's pieces


class Journal(BaseModel):
    """The journal's first line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    url: str
    file: str
    sha256: Sha256 | None
    size_bytes: Annotated[int, Field(gt=0)] | None
    size_exact: bool
    accept_unverified: bool
    total_bytes: Annotated[int, Field(gt=0)] | None = None  # as the server says
    etag: str | None = None  # only a strong one

    @property
    def order(self) -> Order:
        """The order it belongs to."""
        return Order(
            self.url,
            self.file,
            self.sha256,
            self.size_bytes,
            self.size_exact,
            self.accept_unverified,
        )


def journal_of(order: Order) -> Journal:
    """A journal of which nothing has come yet."""
    return Journal(
        url=order.url,
        file=order.file,
        sha256=order.sha256,
        size_bytes=order.size_bytes,
        size_exact=order.size_exact,
        accept_unverified=order.accept_unverified,
    )


class HalfFile:
    """The bytes of a file so far. Not thread-safe; the caller holds the file's lock.

    Every method raises OSError where the disk does.
    """

    def __init__(self, folder: Path, order: Order) -> None:
        self.order = order
        self.staging = folder / STAGING
        self.part = self.staging / f"{order.file}.part"
        self._journal_path = self.staging / f"{order.file}.journal"
        self.journal = journal_of(order)
        self.done = 0  # bytes
        self._whole = hashlib.sha256()
        self._piece = hashlib.sha256()
        self._pieces: list[str] = []
        self._file: BinaryIO | None = None

    def open(self, stop: Stop, tell: Callable[[int], object] = lambda _done: None) -> None:
        """Take up what is there, after reading it; `tell` hears the bytes checked so far."""
        self.staging.mkdir(parents=True, exist_ok=True)
        kept, pieces = _read_journal(self._journal_path)
        self.part.touch()
        self._file = self.part.open("r+b", buffering=0)
        if kept is not None and _same_file(kept.order, self.order):
            self._take_up(pieces, stop, tell)
        if kept is not None and self.done:
            etag = kept.etag if kept.url == self.order.url else None
            update = {"total_bytes": kept.total_bytes, "etag": etag}
            self.journal = self.journal.model_copy(update=update)
        self._file.truncate(self.done)
        self._file.seek(self.done)
        self._write_journal()

    def _take_up(self, pieces: list[str], stop: Stop, tell: Callable[[int], object]) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker
        for expected in pieces:
            whole, piece, size = self._whole.copy(), hashlib.sha256(), 0
            while size < PIECE_BYTES:
                block = self._file.read(min(BLOCK_BYTES, PIECE_BYTES - size))
                if not block:
                    break
                whole.update(block)
                piece.update(block)
                size += len(block)
                tell(self.done + size)
                stop.check(self.order.file)
            if size < PIECE_BYTES or piece.hexdigest() != expected:
                return
            self._whole = whole
            self.done += size
            self._pieces.append(expected)

    def learned(self, total_bytes: int | None, etag: str | None) -> None:
        """What the server says about the file."""
        update = {"total_bytes": total_bytes, "etag": etag}
        if self.journal.model_copy(update=update) != self.journal:
            self.journal = self.journal.model_copy(update=update)
            self._write_journal()

    def write(self, data: bytes) -> None:
        """More of the file."""
        view = memoryview(data)
        while view:
            room = PIECE_BYTES - self.done % PIECE_BYTES
            block, view = view[:room], view[room:]
            self._write_out(block)
            self._whole.update(block)
            self._piece.update(block)
            self.done += len(block)
            if self.done % PIECE_BYTES == 0:
                self._end_piece()

    def _write_out(self, block: memoryview) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker
        while block:
            block = block[self._file.write(block) :]

    def _end_piece(self) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker
        os.fsync(self._file.fileno())
        digest = self._piece.hexdigest()
        self._piece = hashlib.sha256()
        with self._journal_path.open("a", encoding="ascii") as out:
            out.write(digest + "\n")
            out.flush()
            os.fsync(out.fileno())
        self._pieces.append(digest)

    def restart(self) -> None:
        """Forget what has come: it belongs to another file."""
        assert self._file is not None  # noqa: S101 - for the type checker
        self.done = 0
        self._whole, self._piece = hashlib.sha256(), hashlib.sha256()
        self._pieces.clear()
        self._file.seek(0)
        self._file.truncate()
        self.journal = journal_of(self.order)
        self._write_journal()

    def finish(self) -> str:
        """All is there and on the disk; its SHA-256."""
        assert self._file is not None  # noqa: S101 - for the type checker
        os.fsync(self._file.fileno())
        self.close()
        return self._whole.hexdigest()

    def close(self) -> None:
        """Let go of the file; it stays as it is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Delete what has come."""
        self.close()
        discard(self.staging.parent, self.order.file)

    def forget_journal(self) -> None:
        """The file is whole and has its name: nothing is left to resume."""
        self._journal_path.unlink(missing_ok=True)

    def _write_journal(self) -> None:
        lines = [self.journal.model_dump_json(), *self._pieces]
        write_safely(self._journal_path, ("\n".join(lines) + "\n").encode())


def unfinished(folder: Path) -> tuple[tuple[Order, int], ...]:
    """The downloads that can be resumed, and how many bytes of each have come."""
    found = []
    for path in sorted((folder / STAGING).glob("*.journal")):
        journal, _ = _read_journal(path)
        if journal is None or f"{journal.file}.journal" != path.name:
            continue
        with contextlib.suppress(OSError):  # gone in between
            part = path.with_name(f"{journal.file}.part")
            found.append((journal.order, part.stat().st_size))
    return tuple(found)


def discard(folder: Path, file: str) -> None:
    """Delete what has come of a file. Raises OSError."""
    for ending in ("part", "journal"):
        (folder / STAGING / f"{checked_name(file)}.{ending}").unlink(missing_ok=True)


def _same_file(kept: Order, wanted: Order) -> bool:
    """One file, perhaps from another place: only a checksum says so of different places."""
    if kept.sha256 != wanted.sha256:
        return False
    return kept.sha256 is not None or kept.url == wanted.url


def _read_journal(path: Path) -> tuple[Journal | None, list[str]]:
    """The journal and its pieces; None where there is none of ours."""
    try:
        with path.open("rb") as file:
            first, *rest = file.read(_MOST_JOURNAL_BYTES).split(b"\n")
        journal = Journal.model_validate_json(first)
        checked_name(journal.file)
    except FileNotFoundError:
        return None, []
    except (ValidationError, FileNameUnusable) as damaged:
        log.models.warning("the journal %s is damaged: %s", path.name, damaged)
        return None, []
    return journal, list(_whole_lines(rest))


def _whole_lines(lines: list[bytes]) -> Iterator[str]:
    """The digests before the first line that is none: a crash may have cut the last one."""
    for line in lines[:-1]:
        if len(line) != 64 or set(line) - set(b"0123456789abcdef"):
            return
        yield line.decode()
