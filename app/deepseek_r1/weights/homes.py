"""Where pinned weights live: memory that mirrors the model's files, byte for byte.

A weight's place has its offset in the file, so that its pages can be read directly; neighbours
share the pages at their ends, which hold the same bytes whoever reads them. What is not pinned
is never touched and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from deepseek_r1.core.errors import LoadStopped
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.reader import PIECE_BYTES, WeightFile
from deepseek_r1.weights.region import Region, page_down, page_up

_READERS = 3


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
        with self._regions[part].bytes[first:last] as into:
            self._files[part].read(into, first, last)

    def discard(self, matrix: Matrix) -> None:
        """Give the weight's own pages back."""
        region = self._regions[matrix.part]
        region.discard(matrix.offset, matrix.offset + matrix.nbytes)

    def fill(self, matrices: Sequence[Matrix], on_progress: Callable[[float], bool]) -> None:
        """Read many weights with several threads. Raises LoadStopped, WeightsUnreadableError."""
        pieces = list(_pieces(matrices))
        with ThreadPoolExecutor(_READERS, "weights-load") as pool:
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


def _pieces(matrices: Sequence[Matrix]) -> Iterator[tuple[int, int, int]]:
    """File, start and end of the reads that fetch them all, neighbours together."""
    runs: list[list[int]] = []
    for each in sorted(matrices, key=lambda matrix: (matrix.part, matrix.offset)):
        start, end = page_down(each.offset), page_up(each.offset + each.nbytes)
        if runs and runs[-1][0] == each.part and start <= runs[-1][2]:
            runs[-1][2] = max(end, runs[-1][2])
        else:
            runs.append([each.part, start, end])
    for part, first, last in runs:
        for start in range(first, last, PIECE_BYTES):
            yield part, start, min(start + PIECE_BYTES, last)
