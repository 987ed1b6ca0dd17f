"""The partial file of a download, with a journal that makes it resumable.

`.downloads` below the models' folder holds `NAME.part`, the first bytes of the file, and
`NAME.journal`: a line of JSON with the spec and the server's validators, then for each complete
piece the SHA-256 of the file up to its end. A piece is on the disk before its line is written.
After a crash the pieces are compared with their lines. Pieces that do not match, and the bytes
after the last line, fewer than `PIECE_BYTES`, are fetched again.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field, ValidationError, model_validator

from deepseek_r1.catalogue.checksums import BLOCK_BYTES, Stop
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.errors import DownloadRunning, FileNameUnusable
from deepseek_r1.catalogue.file_rules import checked_name, require_present
from deepseek_r1.core import log
from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.paths import make_private_dir, profile_dir

PIECE_BYTES = 8 << 20
STAGING = ".downloads"
_MOST_JOURNAL_BYTES = 8 << 20  # enough for the pieces of a terabyte
_DIGEST = re.compile(rb"[0-9a-f]{64}")


class DownloadJournal(BaseModel, frozen=True, defer_build=True, extra="forbid"):
    """The journal's first line."""

    spec: DownloadSpec
    total_bytes: Annotated[int, Field(gt=0)] | None = None  # from the server
    etag: str | None = None  # only a strong one

    @model_validator(mode="before")
    @classmethod
    def _from_version_1(cls, given: Any) -> Any:
        """Read the first form as well, in which the spec's fields are beside the others."""
        if not isinstance(given, dict) or given.get("version") != 1:
            return given
        server = {"total_bytes": given.get("total_bytes"), "etag": given.get("etag")}
        others = (*server, "version")
        return {**server, "spec": {key: v for key, v in given.items() if key not in others}}


class PartialFile:
    """The bytes received so far. Not thread-safe; the caller holds the file's lock.

    Every method may raise OSError, and so may the constructor.
    """

    def __init__(self, folder: Path, spec: DownloadSpec) -> None:
        self.spec = spec
        self.staging = folder / STAGING
        self.part = self.staging / f"{spec.file}.part"
        self._journal_path = self.staging / f"{spec.file}.journal"
        self.journal = DownloadJournal(spec=spec)
        self.done = 0  # bytes
        self._whole = hashlib.sha256()  # of them
        self._pieces: list[str] = []
        self.staging.mkdir(parents=True, exist_ok=True)
        self.part.touch()
        self._file = self.part.open("r+b", buffering=0)

    def resume(self, stop: Stop, on_progress: Callable[[int], object] = lambda _done: None) -> None:
        """Keep the bytes that are right. `on_progress` gets the bytes checked."""
        kept, pieces = _read_journal(self._journal_path)
        if kept is not None and _same_file(kept.spec, self.spec):
            self._verify_pieces(pieces, stop, on_progress)
        if kept is not None and self.done:
            etag = kept.etag if kept.spec.url == self.spec.url else None
            update = {"total_bytes": kept.total_bytes, "etag": etag}
            self.journal = self.journal.model_copy(update=update)
        self._file.truncate(self.done)
        self._file.seek(self.done)
        self._write_journal()

    def _verify_pieces(
        self, pieces: list[str], stop: Stop, on_progress: Callable[[int], object]
    ) -> None:
        for expected in pieces:
            whole, piece, size = self._whole.copy(), hashlib.sha256(), 0
            while block := self._file.read(min(BLOCK_BYTES, PIECE_BYTES - size)):
                whole.update(block)
                piece.update(block)  # a journal of version 1 has this digest
                size += len(block)
                on_progress(self.done + size)
                stop.check(self.spec.file)
            digests = whole.hexdigest(), piece.hexdigest()
            if size < PIECE_BYTES or expected not in digests:
                return
            self._whole = whole
            self.done += size
            self._pieces.append(digests[0])

    def set_server_file(self, total_bytes: int | None, etag: str | None) -> None:
        """Record the size and the ETag that the server reports."""
        journal = self.journal.model_copy(update={"total_bytes": total_bytes, "etag": etag})
        if journal != self.journal:
            self.journal = journal
            self._write_journal()

    def write(self, data: bytes) -> None:
        """Append bytes of the file."""
        view = memoryview(data)
        while view:
            block = view[: PIECE_BYTES - self.done % PIECE_BYTES]
            written = self._file.write(block)
            self._whole.update(block[:written])
            self.done += written
            view = view[written:]
            if self.done % PIECE_BYTES == 0:
                self._end_piece()

    def _end_piece(self) -> None:
        os.fsync(self._file.fileno())
        self._pieces.append(self._whole.hexdigest())
        with self._journal_path.open("ab") as out:  # as text, Windows would end lines with "\r\n"
            out.write(self._pieces[-1].encode("ascii") + b"\n")
            out.flush()
            os.fsync(out.fileno())

    def restart(self) -> None:
        """Discard the bytes received: they belong to another file."""
        self.done = 0
        self._whole = hashlib.sha256()
        self._pieces.clear()
        self._file.seek(0)
        self._file.truncate()
        self.journal = DownloadJournal(spec=self.spec)
        self._write_journal()

    def finish(self) -> str:
        """Sync the complete file to the disk and return its SHA-256."""
        os.fsync(self._file.fileno())
        self.close()
        return self._whole.hexdigest()

    def close(self) -> None:
        """Close the file and keep it."""
        self._file.close()

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
        if journal is not None and f"{journal.spec.file}.journal" == path.name:
            with contextlib.suppress(OSError):  # deleted meanwhile
                found.append((journal.spec, path.with_suffix(".part").stat().st_size))
    return tuple(found)


def discard(folder: Path, file: str) -> None:
    """Delete the partial file and the journal of `file`. Raises OSError."""
    for ending in ("part", "journal"):
        (folder / STAGING / f"{checked_name(file)}.{ending}").unlink(missing_ok=True)


def _same_file(kept: DownloadSpec, wanted: DownloadSpec) -> bool:
    """True if both specs mean one file; for different addresses only a checksum shows that."""
    return kept.sha256 == wanted.sha256 and (kept.sha256 is not None or kept.url == wanted.url)


def _read_journal(path: Path) -> tuple[DownloadJournal | None, list[str]]:
    """Returns the journal and its digests; None where there is no valid journal."""
    try:
        with path.open("rb") as file:
            first, *rest = file.read(_MOST_JOURNAL_BYTES).split(b"\n")
        journal = DownloadJournal.model_validate_json(first)
        checked_name(journal.spec.file)
    except FileNotFoundError:
        return None, []
    except (ValidationError, FileNameUnusable) as damaged:
        log.models.warning("the journal %s is damaged: %s", path.name, damaged)
        return None, []
    # A crash may have cut the last line.
    return journal, [line.decode() for line in takewhile(_DIGEST.fullmatch, rest[:-1])]


def prepare_staging(folder: Path) -> None:
    """Create the staging folder in the models' folder. Raises FolderUnusable, OSError."""
    require_present(folder)
    if profile_dir() in folder.parents:
        make_private_dir(profile_dir())
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
