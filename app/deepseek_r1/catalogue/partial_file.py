"""The partial file of a download, with a journal that makes it resumable.

`.downloads` below the models' folder holds `NAME.part`, the first bytes of the file, and
`NAME.journal`: a line of JSON with the spec and the server's validators, then the SHA-256 of each
complete piece. A piece is on the disk before its line is written. After a crash the pieces are
compared with their lines. Pieces that do not match, and the bytes after the last line, fewer than
`PIECE_BYTES`, are fetched again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepseek_r1.catalogue.checksums import BLOCK_BYTES, Stop
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.errors import DownloadRunning, FileNameUnusable
from deepseek_r1.catalogue.file_rules import checked_name, require_present
from deepseek_r1.catalogue.known_models import Sha256
from deepseek_r1.core import log
from deepseek_r1.core.atomic_write import write_atomically

PIECE_BYTES = 8 << 20
STAGING = ".downloads"
_MOST_JOURNAL_BYTES = 8 << 20  # enough for the pieces of a terabyte
_SPEC_FIELDS = ("url", "file", "sha256", "size_bytes", "size_exact", "accept_unverified")


class DownloadJournal(BaseModel):
    """The journal's first line."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")

    version: Literal[1] = 1
    url: str
    file: str
    sha256: Sha256 | None
    size_bytes: Annotated[int, Field(gt=0)] | None
    size_exact: bool
    accept_unverified: bool
    total_bytes: Annotated[int, Field(gt=0)] | None = None  # from the server
    etag: str | None = None  # only a strong one

    @property
    def spec(self) -> DownloadSpec:
        """The spec of the download."""
        return DownloadSpec(**{name: getattr(self, name) for name in _SPEC_FIELDS})


def journal_of(spec: DownloadSpec) -> DownloadJournal:
    """Returns the journal of a download that has no bytes yet."""
    return DownloadJournal(**{name: getattr(spec, name) for name in _SPEC_FIELDS})


class PartialFile:
    """The bytes received so far. Not thread-safe; the caller holds the file's lock.

    Every method may raise OSError.
    """

    def __init__(self, folder: Path, spec: DownloadSpec) -> None:
        self.spec = spec
        self.staging = folder / STAGING
        self.part = self.staging / f"{spec.file}.part"
        self._journal_path = self.staging / f"{spec.file}.journal"
        self.journal = journal_of(spec)
        self.done = 0  # bytes
        self._whole = hashlib.sha256()
        self._piece = hashlib.sha256()
        self._pieces: list[str] = []
        self._file: BinaryIO | None = None

    def open(self, stop: Stop, on_progress: Callable[[int], object] = lambda _done: None) -> None:
        """Open the partial file and check its bytes. `on_progress` gets the bytes checked."""
        self.staging.mkdir(parents=True, exist_ok=True)
        kept, pieces = _read_journal(self._journal_path)
        self.part.touch()
        self._file = self.part.open("r+b", buffering=0)
        if kept is not None and _same_file(kept.spec, self.spec):
            self._verify_pieces(pieces, stop, on_progress)
        if kept is not None and self.done:
            etag = kept.etag if kept.url == self.spec.url else None
            update = {"total_bytes": kept.total_bytes, "etag": etag}
            self.journal = self.journal.model_copy(update=update)
        self._file.truncate(self.done)
        self._file.seek(self.done)
        self._write_journal()

    def _verify_pieces(
        self, pieces: list[str], stop: Stop, on_progress: Callable[[int], object]
    ) -> None:
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
                on_progress(self.done + size)
                stop.check(self.spec.file)
            if size < PIECE_BYTES or piece.hexdigest() != expected:
                return
            self._whole = whole
            self.done += size
            self._pieces.append(expected)

    def set_server_file(self, total_bytes: int | None, etag: str | None) -> None:
        """Record the size and the ETag that the server reports."""
        update = {"total_bytes": total_bytes, "etag": etag}
        if self.journal.model_copy(update=update) != self.journal:
            self.journal = self.journal.model_copy(update=update)
            self._write_journal()

    def write(self, data: bytes) -> None:
        """Append bytes of the file."""
        view = memoryview(data)
        while view:
            rest = PIECE_BYTES - self.done % PIECE_BYTES
            block, view = view[:rest], view[rest:]
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
        with self._journal_path.open("ab") as out:  # as text, Windows would end lines with "\r\n"
            out.write(digest.encode("ascii") + b"\n")
            out.flush()
            os.fsync(out.fileno())
        self._pieces.append(digest)

    def restart(self) -> None:
        """Discard the bytes received: they belong to another file."""
        assert self._file is not None  # noqa: S101 - for the type checker
        self.done = 0
        self._whole, self._piece = hashlib.sha256(), hashlib.sha256()
        self._pieces.clear()
        self._file.seek(0)
        self._file.truncate()
        self.journal = journal_of(self.spec)
        self._write_journal()

    def finish(self) -> str:
        """Sync the complete file to the disk and return its SHA-256."""
        assert self._file is not None  # noqa: S101 - for the type checker
        os.fsync(self._file.fileno())
        self.close()
        return self._whole.hexdigest()

    def close(self) -> None:
        """Close the file and keep it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Delete the partial file and its journal."""
        self.close()
        discard(self.staging.parent, self.spec.file)

    def forget_journal(self) -> None:
        """Delete the journal of a complete file."""
        self._journal_path.unlink(missing_ok=True)

    def _write_journal(self) -> None:
        lines = [self.journal.model_dump_json(), *self._pieces]
        write_atomically(self._journal_path, ("\n".join(lines) + "\n").encode())


def unfinished(folder: Path) -> tuple[tuple[DownloadSpec, int], ...]:
    """Lists the downloads that can be resumed, each with the bytes received."""
    found = []
    for path in sorted((folder / STAGING).glob("*.journal")):
        journal, _ = _read_journal(path)
        if journal is None or f"{journal.file}.journal" != path.name:
            continue
        with contextlib.suppress(OSError):  # deleted meanwhile
            part = path.with_name(f"{journal.file}.part")
            found.append((journal.spec, part.stat().st_size))
    return tuple(found)


def discard(folder: Path, file: str) -> None:
    """Delete the partial file and the journal of `file`. Raises OSError."""
    for ending in ("part", "journal"):
        (folder / STAGING / f"{checked_name(file)}.{ending}").unlink(missing_ok=True)


def _same_file(kept: DownloadSpec, wanted: DownloadSpec) -> bool:
    """True if both specs mean one file; for different addresses only a checksum shows that."""
    if kept.sha256 != wanted.sha256:
        return False
    return kept.sha256 is not None or kept.url == wanted.url


def _read_journal(path: Path) -> tuple[DownloadJournal | None, list[str]]:
    """Returns the journal and its digests; None where there is no valid journal."""
    try:
        with path.open("rb") as file:
            first, *rest = file.read(_MOST_JOURNAL_BYTES).split(b"\n")
        journal = DownloadJournal.model_validate_json(first)
        checked_name(journal.file)
    except FileNotFoundError:
        return None, []
    except (ValidationError, FileNameUnusable) as damaged:
        log.models.warning("the journal %s is damaged: %s", path.name, damaged)
        return None, []
    return journal, list(_whole_lines(rest))


def _whole_lines(lines: list[bytes]) -> Iterator[str]:
    """Yields the digests up to the first invalid line: a crash may have cut the last one."""
    for line in lines[:-1]:
        if len(line) != 64 or set(line) - set(b"0123456789abcdef"):
            return
        yield line.decode()


def prepare_staging(folder: Path) -> None:
    """Create the staging folder in the models' folder. Raises FolderUnusable, OSError."""
    require_present(folder)
    (folder / STAGING).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def staging_lock(
    folder: Path, file: str, error: type[DownloadRunning] = DownloadRunning
) -> Iterator[None]:
    """Hold the lock on `file` in an existing staging folder. Raises `error` if it is taken."""
    lock = FileLock(folder / STAGING / f"{file}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as taken:
        raise error(file=file) from taken
    try:
        yield
    finally:
        if os.name == "posix":  # unlinked while held: another process that has it open notices
            Path(lock.lock_file).unlink(missing_ok=True)  # (Windows: filelock does it)
        lock.release()
