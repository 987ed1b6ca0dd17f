"""Writes the output of a conversion so that an interrupted run can continue.

`NAME.part` holds the bytes written so far. `NAME.part.json` is the journal: the number of valid
bytes, their digest, the sources and the header. A later run reads those bytes again and continues
after them if the digest matches; otherwise it starts over.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from filelock import FileLock, Timeout

from deepseek_r1.convert.errors import (
    DiskTooSmall,
    OutputBusy,
    OutputInTheWay,
    OutputIsInput,
    OutputUnwritable,
)
from deepseek_r1.convert.file_layout import FileLayout
from deepseek_r1.core.atomic_write import sync_folder

_MIB: Final = 1 << 20
_READ_BYTES: Final = 4 << 20
_SAVE_EVERY_S: Final = 5.0
_SAVE_EVERY_BYTES: Final = 256 << 20

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ConversionJournal:
    """The journal of a conversion: the first `nbytes` bytes are valid and have this `sha256`.

    `sources` identifies the files and the request without reading them, `source_sha256` their
    contents, `header_sha256` the header of the output.
    """

    sources: str
    source_sha256: str
    header_sha256: str
    nbytes: int
    sha256: str


def check_output(path: Path, sources: tuple[Path, ...], *, force: bool) -> None:
    """Raise OutputIsInput, OutputInTheWay or OutputUnwritable for an unusable output path."""
    if path.is_dir():
        raise OutputUnwritable(path=str(path), detail=os.strerror(errno.EISDIR))
    if not path.parent.is_dir():
        raise OutputUnwritable(path=str(path), detail=os.strerror(errno.ENOENT))
    if path.exists():
        if any(each.exists() and path.samefile(each) for each in sources):
            raise OutputIsInput(path=str(path))
        if not force:
            raise OutputInTheWay(path=str(path))
    if not os.access(path.parent, os.W_OK):
        raise OutputUnwritable(path=str(path), detail=os.strerror(errno.EACCES))


class Output:
    """The output file of one conversion. Call all other methods inside `locked`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self._journal_path = path.with_name(path.name + ".part.json")
        self._lock = FileLock(str(path.with_name(path.name + ".part.lock")))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the output's lock, and turn the system's errors into ours."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputBusy(path=str(self.path)) from error
        except OSError as error:
            raise self._failed(error) from error
        try:
            yield
        finally:
            if os.name == "posix":  # unlinked while held: another process that has it open notices
                Path(self._lock.lock_file).unlink(missing_ok=True)  # (Windows: filelock does it)
            self._lock.release()

    def journal(self) -> ConversionJournal | None:
        """The journal of an earlier run, or None."""
        try:
            values = json.loads(self._journal_path.read_bytes())
            return ConversionJournal(**values) if self.part.is_file() else None
        except (OSError, ValueError, TypeError):  # missing or damaged: start over
            return None

    def discard(self) -> None:
        """Delete the files of an earlier run."""
        self._journal_path.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def reserve(self, layout: FileLayout) -> None:
        """Allocate the part file in its full length and write the header. Raises DiskTooSmall."""
        try:
            there = self.part.stat().st_blocks * 512 if self.part.exists() else 0
        except AttributeError:  # Windows has no statvfs
            there = 0
        free = shutil.disk_usage(self.path.parent).free + there
        if free < layout.nbytes:
            raise self._too_small(layout.nbytes, free)
        try:
            with self.part.open("r+b" if self.part.exists() else "w+b") as file:
                file.write(layout.header)
                file.truncate(layout.nbytes)
        except OSError as error:
            raise self._failed(error, layout.nbytes) from error

    def verified(self, nbytes: int, sha256: str, on_bytes: OnBytes) -> hashlib._Hash | None:
        """Returns the running digest of the first `nbytes` bytes, None if it is not `sha256`."""
        digest = hashlib.sha256()
        with self.part.open("rb", buffering=0) as file:
            left = nbytes
            while left:
                piece = file.read(min(_READ_BYTES, left))
                if not piece:
                    return None
                digest.update(piece)
                left -= len(piece)
                on_bytes(len(piece))
        return digest if digest.hexdigest() == sha256 else None

    @contextmanager
    def writer(
        self, layout: FileLayout, start: ConversionJournal, digest: hashlib._Hash
    ) -> Iterator[GGUFWriter]:
        """Yields a writer that continues after the bytes of `start`.

        The journal is saved at the end, also after an error or an interrupt.
        """
        try:
            with self.part.open("r+b", buffering=0) as file:
                file.seek(start.nbytes)
                writer = GGUFWriter(file, digest, start, self._save)
                try:
                    yield writer
                finally:
                    writer.save()
        except OSError as error:
            raise self._failed(error, layout.nbytes) from error

    def publish(self) -> None:
        """Rename the complete part file to the output, atomically and durably."""
        try:
            self.part.replace(self.path)
            self._journal_path.unlink(missing_ok=True)
            sync_folder(self.path.parent)
        except OSError as error:
            raise self._failed(error) from error

    def _save(self, journal: ConversionJournal) -> None:
        values = asdict(journal)
        fresh = self._journal_path.with_name(self._journal_path.name + ".new")
        fresh.write_text(json.dumps(values), encoding="utf-8")
        fresh.replace(self._journal_path)

    def _failed(self, error: OSError, nbytes: int = 0) -> DiskTooSmall | OutputUnwritable:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return self._too_small(nbytes, shutil.disk_usage(self.path.parent).free)
        return OutputUnwritable(path=str(self.path), detail=error.strerror or str(error))

    def _too_small(self, nbytes: int, free: int) -> DiskTooSmall:
        needed_mib, free_mib = -(-nbytes // _MIB), free // _MIB
        return DiskTooSmall(path=str(self.path), needed_mib=needed_mib, free_mib=free_mib)


class GGUFWriter:
    """Appends to the part file, and syncs it and the journal every few seconds."""

    def __init__(
        self,
        file: BinaryIO,
        digest: hashlib._Hash,
        start: ConversionJournal,
        on_save: Callable[[ConversionJournal], None],
    ) -> None:
        self._file, self._start, self._on_save = file, start, on_save
        self._sound = (digest, start.nbytes)  # one assignment, because Ctrl-C may come anywhere
        self._saved_bytes, self._saved_at = start.nbytes, time.monotonic()

    @property
    def nbytes(self) -> int:
        """The number of bytes written."""
        return self._sound[1]

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes written."""
        return self._sound[0].hexdigest()

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append `piece`. A later run can continue at its end."""
        view = memoryview(piece).cast("B")
        done = 0
        while done < len(view):
            done += self._file.write(view[done:])
        digest = self._sound[0].copy()
        digest.update(view)
        self._sound = (digest, self.nbytes + len(view))
        if (
            self.nbytes - self._saved_bytes >= _SAVE_EVERY_BYTES
            or time.monotonic() - self._saved_at >= _SAVE_EVERY_S
        ):
            self.save()

    def pad(self, position: int) -> None:
        """Append zeros up to `position`."""
        if position > self.nbytes:
            self.write(bytes(position - self.nbytes))

    def save(self) -> None:
        """Sync the part file, then write the journal, which only ever covers synced bytes."""
        os.fsync(self._file.fileno())
        if hasattr(os, "posix_fadvise"):  # not read again soon: free the page cache
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        digest, nbytes = self._sound
        self._on_save(replace(self._start, nbytes=nbytes, sha256=digest.hexdigest()))
        self._saved_bytes, self._saved_at = nbytes, time.monotonic()
