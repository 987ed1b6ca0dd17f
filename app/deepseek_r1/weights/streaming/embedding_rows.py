"""The embedding table on disk: only the rows of the tokens that are computed are read."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterable

from deepseek_r1.hardware.storage import PAGE, page_down, page_up
from deepseek_r1.weights.ggml.tensor_layout import TYPE_I32, TensorFields, word_at
from deepseek_r1.weights.streaming.resident_memory import ResidentMemory
from deepseek_r1.weights.weight import Weight


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
        start = -1
        for page in sorted(missing):
            if start < 0:
                start = page
            if page + PAGE not in missing:
                self._resident.read(self.weight.part, start, page + PAGE)
                self.read_bytes += page + PAGE - start
                start = -1
        self.wait_s += time.perf_counter() - started
        self._resident_pages |= missing

    def _pages(self, row: int) -> range:
        start = self.weight.offset + min(max(row, 0), self._rows - 1) * self._row_bytes
        return range(page_down(start), page_up(start + self._row_bytes), PAGE)
