"""Where pinned weights live: memory that mirrors the model's files, byte for byte.

A weight's place has its offset in the file, so that its pages can be read directly; neighbours
share the pages at their ends, which hold the same bytes whoever reads them. What is not pinned
is never touched and costs nothing.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from deepseek_r1.core.errors import LoadStopped
from deepseek_r1.hardware.disk import READ_BYTES, READERS
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.reader import WeightFile
from deepseek_r1.weights.region import Region, page_down, page_up

_LOOK_S = 0.05  # a load that waits for its weights hears so soon that it was stopped

Piece = tuple[int, int, int]  # index of the file, start and end in it


class Homes:
    """A region for each file. For one thread, between or inside computations."""

    def __init__(self, files: Sequence[WeightFile]) -> None:
        self._files = files
        self._regions = [Region(file.nbytes, huge_pages=False) for file in files]

    def address(self, matrix: Matrix) -> int:
        """Where the weight's first byte belongs."""
        return self._regions[matrix.part].address + matrix.offset

    def read(self, part: int, start: int, end: int) -> None:
        """Fetch the pages around a range of a file. Raises WeightsUnreadableError."""
        first, last = page_down(start), page_up(end)
        self._regions[part].commit(first, last)
        with self._regions[part].bytes[first:last] as into:
            self._files[part].read(into, first, last)

    def keep(self, matrix: Matrix, address: int) -> None:
        """Copy a weight home from where it is now."""
        self._regions[matrix.part].commit(matrix.offset, matrix.offset + matrix.nbytes)
        ctypes.memmove(self.address(matrix), address, matrix.nbytes)

    def discard(self, part: int, start: int, end: int) -> None:
        """Give the whole pages inside a range of a file back."""
        self._regions[part].discard(start, end)

    def expect_all(self, matrices: Iterable[Matrix]) -> None:
        """All of these will be used, and each given back as a whole."""
        for matrix in matrices:
            part, start, end = matrix.range
            self._regions[part].expect_all(start, end)

    def fill(self, matrices: Sequence[Matrix], on_progress: Callable[[float], bool]) -> None:
        """Read many weights with several threads. Raises LoadStopped, WeightsUnreadableError."""
        self.expect_all(matrices)
        pieces = list(pieces_of(each.range for each in matrices))
        with ThreadPoolExecutor(READERS, "weights-load") as pool:
            reads = [pool.submit(self.read, *piece) for piece in pieces]
            try:
                for count, each in enumerate(reads):
                    each.result()
                    if not on_progress((count + 1) / len(pieces)):
                        raise LoadStopped
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Nothing may be computed with the weights any more."""
        for region in self._regions:
            region.close()


class Loans:
    """Weights that are read to their homes for one computation only."""

    def __init__(self, homes: Homes) -> None:
        self._homes = homes
        self.lent: list[Matrix] = []
        self.read_bytes = 0
        self.wait_s = 0.0

    def read(self, matrix: Matrix) -> int:
        """Where the weight is until `end`. Raises WeightsUnreadableError."""
        began = time.perf_counter()
        self._homes.read(*matrix.range)
        self.wait_s += time.perf_counter() - began
        self.lent.append(matrix)
        self.read_bytes += matrix.nbytes
        return self._homes.address(matrix)

    def end(self, away: Container[Matrix]) -> None:
        """Give back those that are still `away`; the others stay."""
        for matrix in self.lent:
            if matrix in away:
                self._homes.discard(*matrix.range)
        self.lent.clear()


def pieces_of(ranges: Iterable[Piece]) -> Iterator[Piece]:
    """The reads that fetch the pages around all ranges, neighbours together."""
    runs: list[list[int]] = []
    for part, start, end in sorted(ranges):
        first, last = page_down(start), page_up(end)
        if runs and runs[-1][0] == part and first <= runs[-1][2]:
            runs[-1][2] = max(last, runs[-1][2])
        else:
            runs.append([part, first, last])
    for part, first, last in runs:
        for start in range(first, last, READ_BYTES):
            yield part, start, min(start + READ_BYTES, last)
