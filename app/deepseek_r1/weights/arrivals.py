"""Pinned weights on their way from the disk, while llama.cpp loads and while it computes."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from deepseek_r1.core.errors import LoadStopped
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware.disk import READERS
from deepseek_r1.weights.homes import Homes, Piece, pieces_of
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.region import PAGE
from deepseek_r1.weights.residency import OUTPUT, streamable

_LOOK_S = 0.05  # a load that waits for its weights hears so soon that it was stopped
_SMALL_BYTES = 16 * PAGE


def by_need(header: ModelHeader, matrices: Iterable[Matrix]) -> list[list[Matrix]]:
    """What must be there before the first node, what the callback sees coming, the output.

    What is small and lies between large weights comes again with them: in longer reads.
    """
    seen = frozenset(streamable(header))
    groups: list[list[Matrix]] = [[], [], []]
    for each in matrices:
        groups[2 if each.name == OUTPUT else each.name in seen].append(each)
    groups[1] += [each for each in groups[0] if each.nbytes < _SMALL_BYTES]
    return groups


class Arrivals:
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
        self.pending: set[Matrix] = set()  # somebody will wait for each of these
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

    def attach(
        self,
        used: Collection[Matrix],
        viewed: Collection[Matrix],
        on_progress: Callable[[float], bool],
    ) -> set[Matrix]:
        """After the model's load: wait for what must be there before the first node.

        What the model does not use is given back, what others look into (`viewed`) is waited for;
        the rest is in `pending` until it was waited for. Raises LoadStopped,
        WeightsUnreadableError.
        """
        self.give_back(self.matrices.difference(used))
        pinned = self.matrices.intersection(used)
        self.pending = set(pinned - self.first.union(viewed))
        self.wait_for_all(pinned - self.pending, on_progress)
        return self.pending

    def wait_for(self, matrix: Matrix) -> None:
        """Until the weight is at home. Raises WeightsUnreadableError."""
        began = time.perf_counter()
        for read in self._reads[self._of[matrix]]:
            read.result()
        self.pending.discard(matrix)
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
