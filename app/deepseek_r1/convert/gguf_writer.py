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
from contextlib import contextmanager, suppress
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
from deepseek_r1.core.atomic_write import sync_folder, write_atomically

_PART, _JOURNAL, _LOCK = ".part", ".part.json", ".part.lock"
_MIB: Final = 1 << 20
_READ_BYTES: Final = 4 << 20
_SAVE_EVERY_S: Final = 5.0
_SAVE_EVERY_BYTES: Final = 256 << 20

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ConversionJournal:
    """The journal of a conversion: the first `nbytes` bytes are valid and have this `sha256`.

    `sources` identifies the files and the request without reading them, `source_sha256` their
    contents.
    """

    sources: str
    source_sha256: str
    nbytes: int
    sha256: str


def check_output(path: Path, sources: tuple[Path, ...], *, force: bool) -> None:
    """Raise OutputIsInput, OutputInTheWay or OutputUnwritable for an unusable output path."""
    if path.is_dir():
        raise OutputUnwritable(path=str(path), detail=os.strerror(errno.EISDIR))
    if not path.parent.is_dir():
        raise OutputUnwritable(path=str(path), detail=os.strerror(errno.ENOENT))
    ours = [path.with_name(path.name + end) for end in ("", _PART, _JOURNAL, _LOCK)]
    there = [each for each in ours if each.exists()]
    for each in there:
        if any(source.exists() and each.samefile(source) for source in sources):
            raise OutputIsInput(path=str(each))
    if not force and (path in there or there == [ours[1]]):  # a lone part is not of a run of ours
        raise OutputInTheWay(path=str(there[0]))
    if not os.access(path.parent, os.W_OK):
        raise OutputUnwritable(path=str(path), detail=os.strerror(errno.EACCES))


def hashed(path: Path, on_bytes: OnBytes, most: int | None = None) -> hashlib._Hash:
    """Returns the SHA-256 of a file, or of its first `most` bytes."""
    digest, left = hashlib.sha256(), path.stat().st_size if most is None else most
    with path.open("rb", buffering=0) as file:
        while piece := file.read(min(_READ_BYTES, left)):
            digest.update(piece)
            left -= len(piece)
            on_bytes(len(piece))
    return digest


class Output:
    """The output file of one conversion. Call all other methods inside `locked`."""

    _file: BinaryIO
    _start: ConversionJournal
    _sound: tuple[hashlib._Hash, int]  # one assignment, because Ctrl-C may come anywhere
    _saved: tuple[int, float]  # bytes, and when

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + _PART)
        self._journal_path = path.with_name(path.name + _JOURNAL)
        self._lock = FileLock(str(path.with_name(path.name + _LOCK)))

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

    def journal(self, sources: str) -> ConversionJournal | None:
        """Returns the journal of an earlier run with these sources. Discards any other run."""
        with suppress(OSError, ValueError, TypeError):  # missing or damaged
            found = ConversionJournal(**json.loads(self._journal_path.read_bytes()))
            if found.sources == sources and self.part.is_file():
                return found
        self.discard()
        return None

    def discard(self) -> None:
        self._journal_path.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def reserve(self, layout: FileLayout) -> None:
        """Allocate the part file in its full length and write the header. Raises DiskTooSmall."""
        exists = self.part.exists()
        there = getattr(self.part.stat(), "st_blocks", 0) * 512 if exists else 0  # not on Windows
        free = shutil.disk_usage(self.path.parent).free + there
        if free < layout.nbytes:
            raise self._too_small(layout.nbytes, free)
        try:
            with self.part.open("r+b" if exists else "w+b") as file:
                file.write(layout.header)
                file.truncate(layout.nbytes)
        except OSError as error:
            raise self._failed(error, layout.nbytes) from error

    @contextmanager
    def writing(
        self, layout: FileLayout, start: ConversionJournal, on_bytes: OnBytes
    ) -> Iterator[int]:
        """Continue after the bytes of `start` if they are sound, else after the header.

        Yields the number of these bytes, 0 if there are none. The journal is saved at the end,
        also after an error or an interrupt.
        """
        try:
            digest = hashed(self.part, on_bytes, start.nbytes)
            resumed = start.nbytes if digest.hexdigest() == start.sha256 else 0
            self._start = start
            self._sound = digest, resumed
            if not resumed:
                self._sound = hashlib.sha256(layout.header), len(layout.header)
            with self.part.open("r+b", buffering=0) as self._file:
                self._file.seek(self.nbytes)
                self._save()  # from now on the part is known to be ours
                try:
                    yield resumed
                finally:
                    self._save()
        except OSError as error:
            raise self._failed(error, layout.nbytes) from error

    @property
    def nbytes(self) -> int:
        return self._sound[1]

    @property
    def sha256(self) -> str:
        return self._sound[0].hexdigest()

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append `piece`; sync it every few seconds. A later run can continue at its end."""
        view = memoryview(piece).cast("B")
        done = 0
        while done < len(view):
            done += self._file.write(view[done:])
        digest = self._sound[0].copy()
        digest.update(view)
        self._sound = digest, self.nbytes + len(view)
        saved_bytes, saved_at = self._saved
        if (
            self.nbytes - saved_bytes >= _SAVE_EVERY_BYTES
            or time.monotonic() - saved_at >= _SAVE_EVERY_S
        ):
            self._save()

    def publish(self) -> None:
        """Rename the complete part file to the output, atomically and durably."""
        try:
            self.part.replace(self.path)
            self._journal_path.unlink(missing_ok=True)
            sync_folder(self.path.parent)
        except OSError as error:
            raise self._failed(error) from error

    def _save(self) -> None:
        """Sync the part file, then write the journal, which only ever covers synced bytes."""
        os.fsync(self._file.fileno())
        if hasattr(os, "posix_fadvise"):  # not read again soon: free the page cache
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        digest, nbytes = self._sound
        journal = replace(self._start, nbytes=nbytes, sha256=digest.hexdigest())
        write_atomically(self._journal_path, json.dumps(asdict(journal)).encode())
        self._saved = nbytes, time.monotonic()

    def _failed(self, error: OSError, nbytes: int = 0) -> DiskTooSmall | OutputUnwritable:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return self._too_small(nbytes, shutil.disk_usage(self.path.parent).free)
        return OutputUnwritable(path=str(self.path), detail=error.strerror or str(error))

    def _too_small(self, nbytes: int, free: int) -> DiskTooSmall:
        needed_mib, free_mib = -(-nbytes // _MIB), free // _MIB
        return DiskTooSmall(path=str(self.path), needed_mib=needed_mib, free_mib=free_mib)
