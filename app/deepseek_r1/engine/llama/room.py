"""How much of a context's memory is for tokens at present: the rest is lent to weights."""

from __future__ import annotations

from deepseek_r1.core import log as _log
from deepseek_r1.engine.base import OpenRequest
from deepseek_r1.engine.llama.library import LibraryLog
from deepseek_r1.hardware.own_files import forget_read_ahead
from deepseek_r1.memory.costs import kv_cache_bytes, padded, writing_bytes
from deepseek_r1.memory.plan import WRITTEN_ROWS
from deepseek_r1.weights.context_memory import ContextMemory
from deepseek_r1.weights.residency import MIB
from deepseek_r1.weights.streamed import StreamedWeights


def context_memory(weights: StreamedWeights | None, request: OpenRequest) -> ContextMemory | None:
    """What a context is made in where weights are streamed; None where they are not."""
    if weights is None:
        return None
    header, settings = request.header, request.settings
    cells = padded(settings.context_length)
    return ContextMemory(weights.ggml, kv_cache_bytes(header, settings), cells)


class ContextRoom:
    """Of a context whose model runs from the disk. For the computing thread.

    What tokens need is taken back before it is used. The weights learn of it with their next
    `apply`.
    """

    def __init__(
        self, memory: ContextMemory, weights: StreamedWeights, request: OpenRequest
    ) -> None:
        """All of it is for tokens at first."""
        self._memory, self._weights = memory, weights
        self.cells = memory.cells  # that are for tokens
        self._writing_bytes = writing_bytes(request.header, request.settings, WRITTEN_ROWS)
        self._scratch_lent = 0
        self._lent_before = False

    def for_prompt(self, cells: int) -> None:
        """Before a prompt: at least so many cells, and room for the largest batch."""
        self._scratch_lent = 0
        self.cells = max(self.cells, self._rounded(cells))
        self._lend()

    def for_writing(self, cells: int) -> None:
        """Behind a prompt: so many cells, rounded up, and room for a few tokens at once."""
        if not self._lent_before:  # until now there was room for what nobody counts
            forget_read_ahead()
            self._lent_before = True
        wanted = self._rounded(cells)
        if wanted < self.cells:
            self._memory.forget(wanted)
        self.cells = wanted
        self._memory.drop_scratch()
        self._scratch_lent = max(0, self._memory.scratch_bytes - self._writing_bytes)
        self._lend()

    def reach(self, cells: int) -> None:
        """While an answer is written: at least so many cells."""
        if cells > self.cells:
            self.cells = self._rounded(cells)
            self._lend()

    def _rounded(self, cells: int) -> int:
        return min(padded(cells), self._memory.cells)

    def _lend(self) -> None:
        self._weights.lend((self._memory.bytes_behind(self.cells) + self._scratch_lent) / MIB)


def context_room(
    memory: ContextMemory | None,
    weights: StreamedWeights | None,
    request: OpenRequest,
    log: LibraryLog,
) -> ContextRoom | None:
    """What is lent of a context that was just made; None where nothing is."""
    if memory is None or weights is None:
        return None
    if log.flash_attention():  # else the values of all cells lie between each other
        memory.lay_out()
    if not memory.bytes_behind(0):
        _log.engine.info("nothing of the context's cells can be lent: they stay in memory")
    return ContextRoom(memory, weights, request)
