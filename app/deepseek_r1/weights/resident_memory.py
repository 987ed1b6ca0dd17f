"""Memory for resident weights: address ranges that mirror the model's files, byte for byte.

A weight lies at its offset in the file, so its pages can be read directly. Neighbouring weights
share the pages at their ends, which hold the same bytes whoever reads them. Pages of weights that
are not resident are never touched and cost nothing.
"""

import ctypes
import time
from collections.abc import Container, Iterable, Iterator, Sequence

from deepseek_r1.hardware.read_speed import READ_BYTES
from deepseek_r1.hardware.storage import PAGE, SystemRegion, page_down, page_up
from deepseek_r1.weights.direct_file import WeightFile
from deepseek_r1.weights.ggml.tensor_layout import TYPE_I32, TensorFields, word_at
from deepseek_r1.weights.weight import Weight

FileRange = tuple[int, int, int]  # index of the file, start and end in it


class ResidentMemory:
    """A region for each file. One thread may change it, between or inside computations."""

    def __init__(self, files: Sequence[WeightFile]) -> None:
        self._files = files
        self._regions = [SystemRegion(file.nbytes, huge_pages=False) for file in files]

    def address(self, weight: Weight) -> int:
        """The address of the weight's first byte, resident or not."""
        return self._regions[weight.part].address + weight.offset

    def read(self, part: int, start: int, end: int) -> None:
        """Read the pages around a range of a file. Raises WeightsUnreadableError."""
        first, last = page_down(start), page_up(end)
        self._regions[part].commit(first, last)
        with self._regions[part].bytes[first:last] as into:
            self._files[part].read(into, first, last)

    def copy_from(self, weight: Weight, address: int) -> None:
        self._regions[weight.part].commit(weight.offset, weight.offset + weight.nbytes)
        ctypes.memmove(self.address(weight), address, weight.nbytes)

    def make_readable(self, weight: Weight) -> int:
        """Let all of a weight be read, whatever its bytes are; returns its address."""
        self._regions[weight.part].commit(weight.offset, weight.offset + weight.nbytes)
        return self.address(weight)

    def discard(self, part: int, start: int, end: int) -> None:
        """Release the whole pages inside a range of a file."""
        self._regions[part].discard(start, end)

    def replace(self, old: FileRange, new: FileRange) -> None:
        """Discard the pages inside a range; another of the same size takes them."""
        (part, start, end), (new_part, new_start, _) = old, new
        first, nbytes = page_up(start), page_down(end - start) - PAGE  # inside of both
        if nbytes > 0:
            into = self._regions[new_part]
            into.take_pages(page_up(new_start), nbytes, self._regions[part], first)

    def allow_huge_pages(self, weights: Iterable[Weight]) -> None:
        """Allow huge pages for weights that are read and released as a whole."""
        for weight in weights:
            part, start, end = weight.range
            self._regions[part].allow_huge_pages(start, end)

    def close(self) -> None:
        """Free all memory. Nothing may be computed with the weights any more."""
        for region in self._regions:
            region.close()


class TemporaryReads:
    """Weights that are made resident for one computation only."""

    def __init__(self, resident: ResidentMemory) -> None:
        self._resident = resident
        self.weights: list[Weight] = []
        self.read_bytes = 0
        self.wait_s = 0.0

    def read(self, weight: Weight) -> int:
        """Read a weight; returns its address until `release`. Raises WeightsUnreadableError."""
        started = time.perf_counter()
        self._resident.read(*weight.range)
        self.wait_s += time.perf_counter() - started
        self.weights.append(weight)
        self.read_bytes += weight.nbytes
        return self._resident.address(weight)

    def release(self, nonresident: Container[Weight]) -> None:
        """Release those that are still `nonresident`; the others have been admitted meanwhile."""
        for weight in self.weights:
            if weight in nonresident:
                self._resident.discard(*weight.range)
        self.weights.clear()


class EmbeddingRows:
    """Keeps the rows that were read until they exceed a limit; then it releases all of them."""

    def __init__(
        self,
        weight: Weight,
        rows: int,
        resident: ResidentMemory,
        fields: TensorFields,
        most_bytes: int,
    ) -> None:
        self.weight = weight
        self._row_bytes = weight.nbytes // rows
        self._rows = rows
        self._resident, self._fields = resident, fields
        self._most_pages = most_bytes // PAGE
        self._resident_pages: set[int] = set()  # by their offset in the file
        self.read_bytes = 0
        self.wait_s = 0.0

    def fetch(self, node: int) -> None:
        """Read the rows that a `get_rows` node needs. Raises TypeError for any other node."""
        tokens = word_at(node + self._fields.sources + 8)
        if word_at(tokens) & 0xFFFFFFFF != TYPE_I32:
            raise TypeError("the embedding is used for something else than its rows")
        count = word_at(tokens + self._fields.extent)
        numbers = (ctypes.c_int32 * count).from_address(word_at(tokens + self._fields.data))
        self._fetch_rows(set(numbers))

    def _fetch_rows(self, rows: Iterable[int]) -> None:
        """Read rows that are not in memory. Raises WeightsUnreadableError."""
        needed = {page for row in rows for page in self._pages(row)}
        missing = needed - self._resident_pages
        if not missing:
            return
        if len(missing) + len(self._resident_pages) > self._most_pages:
            self._resident.discard(*self.weight.range)
            self._resident_pages.clear()
            missing = needed
        started = time.perf_counter()
        for each in coalesced_reads((self.weight.part, page, page + PAGE) for page in missing):
            self._resident.read(*each)
            self.read_bytes += each[2] - each[1]
        self.wait_s += time.perf_counter() - started
        self._resident_pages |= missing

    def _pages(self, row: int) -> range:
        start = self.weight.offset + min(max(row, 0), self._rows - 1) * self._row_bytes
        return range(page_down(start), page_up(start + self._row_bytes), PAGE)


def coalesced_reads(ranges: Iterable[FileRange]) -> Iterator[FileRange]:
    """The reads that fetch the pages around all ranges; neighbours are read together."""
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
