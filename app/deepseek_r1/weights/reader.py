"""Reading a model file's bytes to where they are used, past the page cache where that works.

Direct I/O wants offsets, lengths and addresses in whole pages, and a GGUF file aligns its tensors
to 32 bytes. So a place for bytes of the file always has the same remainder as their offset, and
the pages around them are read with them. Tried at the start and compared with an ordinary read;
where it fails, reads go through the page cache and are dropped from it afterwards.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from deepseek_r1.core import log
from deepseek_r1.core.words import tr
from deepseek_r1.hardware.disk import READ_BYTES
from deepseek_r1.hardware.storage import RawFile, SystemFile
from deepseek_r1.weights.region import PAGE, Region, page_down


class WeightsUnreadableError(Exception):
    """The file's bytes do not come any more: it was cut, or its drive is gone."""


class WeightFile:
    """One open model file. `read` may be called by several threads at once."""

    def __init__(self, path: Path, *, direct: bool = True, chunk_bytes: int = READ_BYTES) -> None:
        """`direct` False goes without trying direct I/O. Raises WeightsUnreadableError.

        Streamed weights are read from and to multiples of `stride` in the file, but at the ends of
        what is wanted: whole chunks, of `chunk_bytes` in whole pages, neighbours together.
        """
        self.path = path
        try:
            self._file: RawFile = SystemFile(path, direct=False)
        except OSError as error:
            raise WeightsUnreadableError(_told(path, error)) from error
        self.nbytes = self._file.nbytes
        self.stride = max(READ_BYTES // chunk_bytes, 1) * chunk_bytes
        self._past_cache = self._probe() if direct else None

    @property
    def direct(self) -> bool:
        """True where reads pass by the page cache."""
        return self._past_cache is not None

    @property
    def descriptor(self) -> int:
        """What native code reads directly from; -1 where it cannot."""
        return self._past_cache.descriptor if self._past_cache is not None else -1

    def _probe(self) -> RawFile | None:
        """The file for direct I/O, if it was seen reading the same bytes."""
        try:
            file = SystemFile(self.path, direct=True)
        except OSError as error:
            log.engine.info("%s is read through the page cache: %s", self.path.name, error)
            return None
        last = page_down(max(self.nbytes - 1, 0))  # where the file's end is not a whole page
        try:
            same = all(_page_at(file, at) == _page_at(self._file, at) for at in {0, last})
        except OSError:
            same = False
        self._file.forget(0, PAGE)
        self._file.forget(last, PAGE)
        if same:
            return file
        log.engine.info("%s is read through the page cache: direct reads fail", self.path.name)
        file.close()
        return None

    def read(self, into: memoryview, start: int, end: int) -> None:
        """Fill `into` with the bytes from `start` to `end`, or to the end of the file.

        All three are in whole pages. Raises WeightsUnreadableError.
        """
        wanted = min(end, self.nbytes) - start
        done = 0
        while done < wanted:
            try:
                count = self._read_once(into[done:], start + done)
            except OSError as error:
                raise WeightsUnreadableError(_told(self.path, error)) from error
            if count <= 0:
                detail = tr("the file {name} is shorter than it was", name=self.path.name)
                raise WeightsUnreadableError(detail)
            done += count
        if self._past_cache is None:
            self._file.forget(start, end - start)

    def forget(self) -> None:
        """Leave nothing of the file in the page cache: others read its header through it."""
        self._file.forget(0, self.nbytes)

    def _read_once(self, into: memoryview, offset: int) -> int:
        if self._past_cache is not None and not offset % PAGE:
            try:
                return self._past_cache.read_into(into, offset)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        return self._file.read_into(into, offset)  # also after a read that ended inside a page

    def close(self) -> None:
        """Nobody may be reading any more."""
        self._file.close()
        if self._past_cache is not None:
            self._past_cache.close()


def open_files(
    paths: Sequence[Path], *, direct: bool, chunk_bytes: int = READ_BYTES
) -> list[WeightFile]:
    """All parts of a model, or none. Raises WeightsUnreadableError."""
    files: list[WeightFile] = []
    try:
        for path in paths:
            files.append(WeightFile(path, direct=direct, chunk_bytes=chunk_bytes))
    except WeightsUnreadableError:
        for file in files:
            file.close()
        raise
    return files


def _page_at(file: RawFile, offset: int) -> bytes:
    """Up to a page of the file. Raises OSError."""
    page = Region(PAGE, huge_pages=False)
    try:
        page.commit(0, PAGE)
        return bytes(page.bytes[: file.read_into(page.bytes, offset)])
    finally:
        page.close()


def _told(path: Path, error: OSError) -> str:
    return f"{path.name}: {error.strerror or error}"
