"""Reads a model file's bytes to where they are used, bypassing the page cache where that works.

Direct I/O requires offsets, lengths and addresses in whole pages, but a GGUF file aligns its
tensors to 32 bytes only. So the memory for a range of the file has the same remainder as the
range's offset, and the pages around it are read with it. Direct reads are tried at the start and
compared with an ordinary read; where they fail, reads go through the page cache and are dropped
from it afterwards.
"""

import errno
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from deepseek_r1.core import log
from deepseek_r1.core.i18n import tr
from deepseek_r1.hardware.read_speed import READ_BYTES
from deepseek_r1.hardware.storage import PAGE, SystemFile, SystemRegion, page_down


class WeightsUnreadableError(Exception):
    """The model file cannot be read any more: it was cut, or its drive is gone."""


class WeightFile:
    """One open model file. `read` may be called by several threads at once."""

    def __init__(self, path: Path, *, direct: bool = True, chunk_bytes: int = READ_BYTES) -> None:
        """With `direct` False, direct I/O is not tried. Raises WeightsUnreadableError.

        Reads of streamed weights begin and end at multiples of `stride` in the file, except at the
        weight's own ends: whole chunks of `chunk_bytes`, neighbours together.
        """
        self.path = path
        try:
            self._file: SystemFile = SystemFile(path, direct=False)
        except OSError as error:
            raise WeightsUnreadableError(_error_text(path, error)) from error
        self.nbytes = self._file.nbytes
        self._opened_as = _file_state(path)
        self.stride = max(READ_BYTES // chunk_bytes, 1) * chunk_bytes
        self._direct_file = found = self._probe() if direct else None
        self.direct = found is not None  # reads bypass the page cache
        self.descriptor = found.descriptor if found else -1  # for direct reads by native code

    def _probe(self) -> SystemFile | None:
        """The file opened for direct I/O, if that reads the same bytes."""
        try:
            file = SystemFile(self.path, direct=True)
        except OSError as error:
            log.engine.info("%s is read through the page cache: %s", self.path.name, error)
            return None
        last = page_down(max(self.nbytes - 1, 0))  # the file's end need not be a whole page
        try:
            same = all(_page_at(file, at) == _page_at(self._file, at) for at in {0, last})
        except OSError:
            same = False
        self._file.drop_cache(0, PAGE)
        self._file.drop_cache(last, PAGE)
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
                raise WeightsUnreadableError(_error_text(self.path, error)) from error
            if count <= 0:
                detail = tr("the file {name} is shorter than it was", name=self.path.name)
                raise WeightsUnreadableError(detail)
            done += count
        if self._direct_file is None:
            self._file.drop_cache(start, end - start)

    def check_is(self, state: tuple[int, int]) -> None:
        """Check that the file has this size and time of the last change, as when its header was
        read. Raises WeightsUnreadableError.
        """
        for found in (self._opened_as, _file_state(self.path)):
            if found is not None and found[2:] != state:
                detail = tr(
                    "the file {name} was changed while the model was loaded", name=self.path.name
                )
                raise WeightsUnreadableError(detail)

    def check_unchanged(self) -> None:
        """Check that nobody wrote to the file since it was opened. Raises WeightsUnreadableError.

        A file that was deleted or replaced meanwhile is read as it was.
        """
        now, opened_as = _file_state(self.path), self._opened_as
        if now is None or opened_as is None or now == opened_as or now[:2] != opened_as[:2]:
            return
        if now[2] < self.nbytes:
            detail = tr("the file {name} is shorter than it was", name=self.path.name)
        else:
            detail = tr(
                "the file {name} was changed while the model was in use", name=self.path.name
            )
        raise WeightsUnreadableError(detail)

    def drop_cache(self) -> None:
        """Drop the whole file from the page cache, through which its header is read."""
        self._file.drop_cache(0, self.nbytes)

    def _read_once(self, into: memoryview, offset: int) -> int:
        if self._direct_file is not None and not offset % PAGE:
            try:
                return self._direct_file.read_into(into, offset)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        return self._file.read_into(into, offset)  # also after a read that ended inside a page

    def close(self) -> None:
        """Close the file. No thread may be reading any more."""
        self._file.close()
        if self._direct_file is not None:
            self._direct_file.close()


def open_files(
    paths: Sequence[Path], *, direct: bool, chunk_bytes: int = READ_BYTES
) -> list[WeightFile]:
    """Open all parts of a model, or none. Raises WeightsUnreadableError."""
    files: list[WeightFile] = []
    with ExitStack() as opened:
        for path in paths:
            files.append(WeightFile(path, direct=direct, chunk_bytes=chunk_bytes))
            opened.callback(files[-1].close)
        opened.pop_all()
    return files


def _page_at(file: SystemFile, offset: int) -> bytes:
    """Up to a page of the file. Raises OSError."""
    page = SystemRegion(PAGE, huge_pages=False)
    try:
        page.commit(0, PAGE)
        return bytes(page.bytes[: file.read_into(page.bytes, offset)])
    finally:
        page.close()


def _file_state(path: Path) -> tuple[int, int, int, int] | None:
    """Device, inode, size and time of the last change; None for a file that cannot be found."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _error_text(path: Path, error: OSError) -> str:
    return f"{path.name}: {error.strerror or error}"
