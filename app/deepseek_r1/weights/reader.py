"""Reading a model file's bytes to where they are used, past the page cache where that works.

Direct I/O wants offsets, lengths and addresses in multiples of 4 KiB, and a GGUF file aligns its
tensors to 32 bytes. So a place for bytes of the file always has the same remainder as their
offset, and the pages around them are read with them. Tried at the start and compared with an
ordinary read; where it fails, reads go through the page cache and are dropped from it afterwards.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from deepseek_r1.core.words import tr
from deepseek_r1.weights.region import PAGE, page_down, page_up

PIECE_BYTES = 4 << 20  # of one read: measured, larger reads are not faster


class WeightsUnreadableError(Exception):
    """The file's bytes do not come any more: it was cut, or its drive is gone."""


class WeightFile:
    """One open model file. `read` may be called by several threads at once."""

    def __init__(self, path: Path, *, direct: bool = True) -> None:
        """Raises WeightsUnreadableError. `direct` False goes without trying direct I/O."""
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise WeightsUnreadableError(_told(path, error)) from error
        self.nbytes = os.fstat(self._fd).st_size
        self._direct_fd = self._probe() if direct else -1

    @property
    def direct(self) -> bool:
        """True where reads pass by the page cache."""
        return self._direct_fd >= 0

    def _probe(self) -> int:
        """A descriptor for direct I/O that was seen reading the same bytes, or -1."""
        flag = getattr(os, "O_DIRECT", 0)
        if not flag:
            return -1
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | flag)
        except OSError:
            return -1
        last = page_down(max(self.nbytes - 1, 0))  # where the file's end is not a whole page
        with mmap.mmap(-1, PAGE) as page:
            try:
                same = all(
                    os.preadv(fd, [page], at) == len(told := os.pread(self._fd, PAGE, at))
                    and page[: len(told)] == told
                    for at in {0, last}
                )
            except OSError:
                same = False
        self._forget(0, PAGE)
        self._forget(last, PAGE)
        if same:
            return fd
        os.close(fd)
        return -1

    def pieces(self, offset: int, nbytes: int) -> Iterator[tuple[int, int]]:
        """Start and end of the reads that fetch a range, whole pages each."""
        end = page_up(offset + nbytes)
        for start in range(page_down(offset), end, PIECE_BYTES):
            yield start, min(start + PIECE_BYTES, end)

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
        if self._direct_fd < 0:
            self._forget(start, end - start)

    def _read_once(self, into: memoryview, offset: int) -> int:
        if self._direct_fd >= 0 and not offset % PAGE:
            try:
                return os.preadv(self._direct_fd, [into], offset)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        return os.preadv(self._fd, [into], offset)  # also after a read that ended inside a page

    def _forget(self, offset: int, nbytes: int) -> None:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._fd, offset, nbytes, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Nobody may be reading any more."""
        os.close(self._fd)
        if self._direct_fd >= 0:
            os.close(self._direct_fd)


def open_files(paths: Sequence[Path], *, direct: bool) -> list[WeightFile]:
    """All parts of a model, or none. Raises WeightsUnreadableError."""
    files: list[WeightFile] = []
    try:
        for path in paths:
            files.append(WeightFile(path, direct=direct))
    except WeightsUnreadableError:
        for file in files:
            file.close()
        raise
    return files


def _told(path: Path, error: OSError) -> str:
    return f"{path.name}: {error.strerror or error}"
