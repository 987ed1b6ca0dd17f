"""Reads pinned weights in the background, while llama.cpp loads and while it computes."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from deepseek_r1.core.errors import LoadStopped
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware.read_speed import READERS
from deepseek_r1.hardware.storage import PAGE
from deepseek_r1.weights.residency import OUTPUT, streamable
from deepseek_r1.weights.resident_memory import FileRange, ResidentMemory, coalesced_reads
from deepseek_r1.weights.weight import Weight

_POLL_S = 0.05  # how soon a waiting load notices that it was stopped
_SMALL_BYTES = 16 * PAGE


def load_groups(header: ModelHeader, weights: Iterable[Weight]) -> list[list[Weight]]:
    """Three groups: needed before the first node, needed by nodes of the callback, the output.

    Small weights of the first group lie between large ones of the second: they are read again with
    those, which makes the reads longer.
    """
    awaited_by_callback = frozenset(streamable(header))
    groups: list[list[Weight]] = [[], [], []]
    for each in weights:
        groups[2 if each.name == OUTPUT else each.name in awaited_by_callback].append(each)
    groups[1] += [each for each in groups[0] if each.nbytes < _SMALL_BYTES]
    return groups


class BackgroundLoad:
    """Pinned weights that are being read.

    Reading starts while llama.cpp builds the vocabulary and continues while the first prompt is
    computed; a node that needs a weight waits for that weight only. Reads have threads of their
    own; everything else belongs to one thread.
    """

    def __init__(self, resident: ResidentMemory, *groups: Sequence[Weight]) -> None:
        """Groups are read one after the other, each in the order of the file.

        A weight of several groups is read with each of them and ready with the first.
        """
        self._resident = resident
        self._pool = ThreadPoolExecutor(READERS, "weights-early")
        self._reads: list[Future[None]] = []
        self._sizes: list[int] = []  # of the reads, in bytes
        self._reads_of: dict[Weight, slice] = {}
        for group in groups:
            resident.allow_huge_pages(group)
            ranges = list(coalesced_reads(each.range for each in group))
            starts = [each[:2] for each in ranges]
            count = len(self._reads)
            added = {each: _overlapping(each.range, starts, count) for each in group}
            self._reads_of = added | self._reads_of
            self._sizes += [end - start for _, start, end in ranges]
            self._reads += [self._pool.submit(resident.read, *each) for each in ranges]
        self._pool.shutdown(wait=False)  # its threads end after the last read
        self.weights = frozenset(self._reads_of)
        self.first = frozenset(groups[0]) if groups else frozenset()
        self.pending: set[Weight] = set()  # the computation will wait for each of these
        self.wait_s = 0.0

    @property
    def done(self) -> bool:
        """True when the last read has ended; a few others may still be running."""
        return not self._reads or self._reads[-1].done()

    @property
    def unread_bytes(self) -> int:
        """Bytes of the reads that have not begun, so that their pages are not resident.

        From any thread.
        """
        reads = zip(self._reads, self._sizes, strict=True)
        return sum(nbytes for read, nbytes in reads if not (read.running() or read.done()))

    def finish(
        self,
        used: Collection[Weight],
        viewed: Collection[Weight],
        on_progress: Callable[[float], bool],
    ) -> set[Weight]:
        """After llama.cpp's load, wait for the weights that are needed before the first node.

        Weights that the model does not use are released; `viewed` ones are waited for as well. The
        others are returned and stay in `pending` until they are waited for. Raises LoadStopped,
        WeightsUnreadableError.
        """
        self.release(self.weights.difference(used))
        pinned = self.weights.intersection(used)
        self.pending = set(pinned - self.first.union(viewed))
        self.wait_for_all(pinned - self.pending, on_progress)
        return self.pending

    def wait_for(self, weight: Weight) -> None:
        """Wait until the weight is resident. Raises WeightsUnreadableError."""
        started = time.perf_counter()
        reads = self._reads[self._reads_of[weight]]
        wait(reads)
        if any(read.exception() for read in reads):  # the drive may have been gone for a while
            self._resident.read(*weight.range)
        self.pending.discard(weight)
        self.wait_s += time.perf_counter() - started

    def wait_for_all(self, weights: Iterable[Weight], on_progress: Callable[[float], bool]) -> None:
        """Wait until these weights are resident. Raises LoadStopped, WeightsUnreadableError."""
        indices = range(len(self._reads))
        wanted = {index for each in weights for index in indices[self._reads_of[each]]}
        for count, index in enumerate(sorted(wanted)):
            while not wait([self._reads[index]], _POLL_S).done:
                if not on_progress(count / len(wanted)):
                    raise LoadStopped
            self._reads[index].result()
        if not on_progress(1.0):
            raise LoadStopped

    def release(self, weights: Iterable[Weight]) -> None:
        """Release weights that the model does not use. Raises WeightsUnreadableError."""
        for weight in weights:
            self.wait_for(weight)
            self._resident.discard(*weight.range)

    def stop(self) -> None:
        """Stop reading; returns when no read is running."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _overlapping(wanted: FileRange, starts: Sequence[tuple[int, int]], before: int) -> slice:
    """Indices of the sorted reads, given by their starts, that overlap a range of a file."""
    part, start, end = wanted
    first, last = bisect_right(starts, (part, start)) - 1, bisect_left(starts, (part, end))
    return slice(before + first, before + last)
