"""Where pinned weights live: memory that mirrors the model's files, byte for byte.

A weight's place has its offset in the file, so that its pages can be read directly; neighbours
share the pages at their ends, which hold the same bytes whoever reads them. What is not pinned
is never touched and costs nothing.
"""

from __future__ import annotations

import ctypes
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

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


class Filling:
    """Pinned weights on their way home.

    They are read while llama.cpp builds the vocabulary, and go on coming while the first prompt is
    computed: whoever needs one waits for that one only. Reads have threads of their own;
    everything else belongs to one thread.
    """

    def __init__(self, homes: Homes, *groups: Sequence[Matrix]) -> None:
        """Groups come one after the other, each in the order of the file.

        What is in several groups is read with each, and there with the first.
        """
        self._homes = homes
        self._pool = ThreadPoolExecutor(READERS, "weights-early")
        self._reads: list[Future[None]] = []
        self._sizes: list[int] = []  # of the reads, in bytes
        self._of: dict[Matrix, slice] = {}
        for group in groups:
            homes.expect_all(group)
            pieces = list(pieces_of(each.range for each in group))
            starts = [piece[:2] for piece in pieces]
            done = len(self._reads)
            self._of = {each: _overlapping(each.range, starts, done) for each in group} | self._of
            self._sizes += [end - start for _, start, end in pieces]
            self._reads += [self._pool.submit(homes.read, *piece) for piece in pieces]
        self._pool.shutdown(wait=False)  # its threads end when all is read
        self.matrices = frozenset(self._of)
        self.first = frozenset(groups[0]) if groups else frozenset()
        self.wait_s = 0.0

    @property
    def done(self) -> bool:
        """True when nothing is on its way any more, but for the last few pieces."""
        return not self._reads or self._reads[-1].done()

    @property
    def left_bytes(self) -> int:
        """What has no memory yet: a read that has begun has its pages. From any thread."""
        reads = zip(self._reads, self._sizes, strict=True)
        return sum(nbytes for read, nbytes in reads if not (read.running() or read.done()))

    def wait_for(self, matrix: Matrix) -> None:
        """Until the weight is at home. Raises WeightsUnreadableError."""
        began = time.perf_counter()
        for read in self._reads[self._of[matrix]]:
            read.result()
        self.wait_s += time.perf_counter() - began

    def wait_for_all(
        self, matrices: Iterable[Matrix], on_progress: Callable[[float], bool]
    ) -> None:
        """Until these weights are at home. Raises LoadStopped, WeightsUnreadableError."""
        wanted = {at for each in matrices for at in range(len(self._reads))[self._of[each]]}
        for count, at in enumerate(sorted(wanted)):
            while not wait([self._reads[at]], _LOOK_S).done:
                if not on_progress(count / len(wanted)):
                    raise LoadStopped
            self._reads[at].result()
        if not on_progress(1.0):
            raise LoadStopped

    def give_back(self, matrices: Iterable[Matrix]) -> None:
        """Weights that the model does not use. Raises WeightsUnreadableError."""
        for matrix in matrices:
            self.wait_for(matrix)
            self._homes.discard(*matrix.range)

    def stop(self) -> None:
        """Nothing is read any more."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _overlapping(wanted: Piece, starts: Sequence[tuple[int, int]], before: int) -> slice:
    """Which of the sorted pieces, given by where they start, hold a range of a file."""
    part, start, end = wanted
    first, last = bisect_right(starts, (part, start)) - 1, bisect_left(starts, (part, end))
    return slice(before + first, before + last)


class Loans:
    """Weights that are read to their homes for one computation only."""

    def __init__(self, homes: Homes) -> None:
        self._homes = homes
        self._lent: list[Matrix] = []
        self.read_bytes = 0
        self.wait_s = 0.0

    def read(self, matrix: Matrix) -> int:
        """Where the weight is until `end`. Raises WeightsUnreadableError."""
        began = time.perf_counter()
        self._homes.read(*matrix.range)
        self.wait_s += time.perf_counter() - began
        self._lent.append(matrix)
        self.read_bytes += matrix.nbytes
        return self._homes.address(matrix)

    def end(self, away: Container[int]) -> None:
        """Give back those whose tensors are `away`; the others stay."""
        for matrix in self._lent:
            if matrix.tensor in away:
                self._homes.discard(*matrix.range)
        self._lent.clear()


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
