"""The file that is written: beside its place until it is whole, and continued where it was.

`NAME.part` holds what is written, `NAME.part.json` says how far it is sound: so many bytes with
this digest, made from these sources with this header. A run that finds both reads those bytes
again, and goes on behind them if the digest agrees; otherwise it begins anew.
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
from deepseek_r1.convert.layout import Layout
from deepseek_r1.core.files import sync_folder

_MIB: Final = 1 << 20
_READ_BYTES: Final = 4 << 20
_SAVE_EVERY_S: Final = 5.0
_SAVE_EVERY_BYTES: Final = 256 << 20

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Journal:
    """How far a conversion is: the first `nbytes` bytes are sound and have this `sha256`.

    `sources` identifies the files and the wish without reading them, `source_sha256` their
    contents, `header_sha256` the header of the output.
    """

    sources: str
    source_sha256: str
    header_sha256: str
    nbytes: int
    sha256: str


def check_output(path: Path, sources: tuple[Path, ...], *, force: bool) -> None:
    """Refuse what cannot be the output. Raises OutputIsInput, OutputInTheWay, OutputUnwritable."""
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
    """One output in the making. Use `locked` around everything else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self._journal_path = path.with_name(path.name + ".part.json")
        self._lock = FileLock(str(path.with_name(path.name + ".part.lock")))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other conversion writes here meanwhile; the system's errors become ours."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputBusy(path=str(self.path)) from error
        except OSError as error:
            raise self._failed(error) from error
        try:
            yield
        finally:
            if os.name == "posix":  # while it is held: whoever has it open finds it nameless
                Path(self._lock.lock_file).unlink(missing_ok=True)  # (Windows: filelock does it)
            self._lock.release()

    def journal(self) -> Journal | None:
        """What an earlier run left, or None."""
        try:
            values = json.loads(self._journal_path.read_bytes())
            return Journal(**values) if self.part.is_file() else None
        except (OSError, ValueError, TypeError):  # none, or torn: then there is nothing to go on
            return None

    def discard(self) -> None:
        """Remove what an earlier run left."""
        self._journal_path.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def reserve(self, layout: Layout) -> None:
        """Have the part file in its full length, the header in it. Raises DiskTooSmall."""
        try:
            there = self.part.stat().st_blocks * 512 if self.part.exists() else 0
        except AttributeError:  # Windows does not say
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
        """The digest of the first `nbytes` bytes, to be continued; None if it is not `sha256`."""
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
    def writer(self, layout: Layout, start: Journal, digest: hashlib._Hash) -> Iterator[Writer]:
        """A writer behind the bytes that `start` tells of. What is written is saved at the end,
        also where an error or the user ends it."""
        try:
            with self.part.open("r+b", buffering=0) as file:
                file.seek(start.nbytes)
                writer = Writer(file, digest, start, self._save)
                try:
                    yield writer
                finally:
                    writer.save()
        except OSError as error:
            raise self._failed(error, layout.nbytes) from error

    def publish(self) -> None:
        """Make the whole part the output: at once or not at all, and for good."""
        try:
            self.part.replace(self.path)
            self._journal_path.unlink(missing_ok=True)
            sync_folder(self.path.parent)
        except OSError as error:
            raise self._failed(error) from error

    def _save(self, journal: Journal) -> None:
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


class Writer:
    """Appends to the part file; every few seconds what is there is made safe and noted."""

    def __init__(
        self,
        file: BinaryIO,
        digest: hashlib._Hash,
        start: Journal,
        on_save: Callable[[Journal], None],
    ) -> None:
        self._file, self._start, self._on_save = file, start, on_save
        self._sound = (digest, start.nbytes)  # changed in one step: Ctrl-C may come anywhere
        self._saved_bytes, self._saved_at = start.nbytes, time.monotonic()

    @property
    def nbytes(self) -> int:
        """How much is written."""
        return self._sound[1]

    @property
    def sha256(self) -> str:
        """Of everything written so far."""
        return self._sound[0].hexdigest()

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append `piece`, which ends where a later run could go on."""
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
        """Have everything on the disk, then note it. Only sound bytes are ever noted."""
        os.fsync(self._file.fileno())
        if hasattr(os, "posix_fadvise"):  # not read again soon: leave the memory to others
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        digest, nbytes = self._sound
        self._on_save(replace(self._start, nbytes=nbytes, sha256=digest.hexdigest()))
        self._saved_bytes, self._saved_at = nbytes, time.monotonic()
