"""The embedding table on the disk: only the rows of the tokens at hand are read."""

from __future__ import annotations

import ctypes
import time

from deepseek_r1.weights.ggml import TYPE_I32, TensorFields, word_at
from deepseek_r1.weights.homes import Homes
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.region import PAGE, page_down, page_up


class EmbeddingRows:
    """Rows that were read stay until there are too many; then all are given back."""

    def __init__(
        self, matrix: Matrix, rows: int, homes: Homes, fields: TensorFields, most_bytes: int
    ) -> None:
        self.matrix = matrix
        self._row_bytes = matrix.nbytes // rows
        self._rows = rows
        self._homes, self._fields = homes, fields
        self._most = most_bytes // PAGE
        self._there: set[int] = set()  # pages of the file, by their offset
        self.read_bytes = 0
        self.wait_s = 0.0

    def fetch(self, node: int) -> None:
        """Read what a `get_rows` of the table is about to look at."""
        tokens = word_at(node + self._fields.sources + 8)
        if word_at(tokens) & 0xFFFFFFFF != TYPE_I32:
            raise TypeError("the embedding is used for something else than its rows")
        count = word_at(tokens + self._fields.extent)
        numbers = (ctypes.c_int32 * count).from_address(word_at(tokens + self._fields.data))
        wanted = {page for row in set(numbers) for page in self._pages(row)} - self._there
        if not wanted:
            return
        if len(wanted) + len(self._there) > self._most:
            self._homes.discard(*self.matrix.range)
            self._there.clear()
            wanted = {page for row in set(numbers) for page in self._pages(row)}
        began = time.perf_counter()
        start = -1
        for page in sorted(wanted):
            if start < 0:
                start = page
            if page + PAGE not in wanted:
                self._homes.read(self.matrix.part, start, page + PAGE)
                self.read_bytes += page + PAGE - start
                start = -1
        self.wait_s += time.perf_counter() - began
        self._there |= wanted

    def _pages(self, row: int) -> range:
        start = self.matrix.offset + min(max(row, 0), self._rows - 1) * self._row_bytes
        return range(page_down(start), page_up(start + self._row_bytes), PAGE)
