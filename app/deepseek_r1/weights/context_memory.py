"""The memory of a context: what no token needs at present costs nothing.

llama.cpp gives a context all its cells at once and fills them with zeros, so that they are in
memory whether a conversation is long or short; and what it computes in stays as large as the
largest piece of a prompt made it. Here both are memory of our own. Cells come page by page as
tokens are computed, and go again; what was computed in is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deepseek_r1.weights.ggml import Ggml
from deepseek_r1.weights.ggml_buffer import Catch, CaughtBuffer
from deepseek_r1.weights.region import page_up

_USED_FOR_ANYTHING, _USED_FOR_COMPUTING = 0, 2  # ggml_backend_buffer_usage: ggml-backend.h


class ContextMemory:
    """Of one context, whose cells are filled from the first one on. For the computing thread."""

    def __init__(self, ggml: Ggml, nbytes: int, cells: int) -> None:
        """`nbytes` is what llama.cpp will ask for, for so many cells."""
        self._catch, self.cells = Catch(ggml, nbytes), cells
        self._kept: CaughtBuffer | None = None  # the cells
        self._rows: dict[int, int] = {}  # bytes of a cell, by the offset of the first one

    @contextmanager
    def catching(self) -> Iterator[None]:
        """While the context is made. Raises StreamingUnavailable."""
        with self._catch.catching():
            yield

    def lay_out(self) -> None:
        """Cells lie side by side in each of the buffer's tensors: from now on they can be told."""
        for buffer in self._catch.those(_USED_FOR_ANYTHING):
            sizes = buffer.tensors
            if sizes and all(nbytes % self.cells == 0 for nbytes in sizes.values()):
                self._kept = buffer
                self._rows = {offset: nbytes // self.cells for offset, nbytes in sizes.items()}

    def bytes_behind(self, first: int) -> int:
        """What all cells from this one on take, in whole pages."""
        all_bytes = (page_up(self.cells * row) for row in self._rows.values())
        return sum(all_bytes) - sum(page_up(first * row) for row in self._rows.values())

    def forget(self, first: int) -> None:
        """Give back the memory of all cells from this one on."""
        if self._kept is not None:
            for start, row in self._rows.items():
                self._kept.give_back(start + first * row, start + self.cells * row)

    @property
    def scratch_bytes(self) -> int:
        """What a computation of the largest size needs for itself."""
        return sum(each.region.nbytes for each in self._catch.those(_USED_FOR_COMPUTING))

    def drop_scratch(self) -> None:
        """Between two computations: what the last one left behind is not needed."""
        for each in self._catch.those(_USED_FOR_COMPUTING):
            each.give_back(0, each.region.nbytes)
