"""The context of a loaded model, and what happens between two of its computations."""

import time

from deepseek_r1.core import log as _log
from deepseek_r1.core.errors import EngineFailed, ModelLoadFailed, StreamingUnavailable
from deepseek_r1.engine.interface import OpenRequest
from deepseek_r1.engine.llama.binding.context import AbortedError, LlamaContext
from deepseek_r1.engine.llama.binding.library import Library, LibraryLog
from deepseek_r1.engine.llama.speculative.drafting import DraftMemory
from deepseek_r1.engine.llama.threads import EngineThreads, ThreadGovernor
from deepseek_r1.hardware.linux import drop_own_page_cache
from deepseek_r1.memory.cost_model import chunk_bytes, decode_compute_bytes, kv_cache_bytes, padded
from deepseek_r1.memory.plan import DECODE_ROWS
from deepseek_r1.weights.direct_file import WeightsUnreadableError
from deepseek_r1.weights.ggml.buffer_type import KVMemory
from deepseek_r1.weights.ggml.tensor_layout import Ggml
from deepseek_r1.weights.residency import MIB
from deepseek_r1.weights.streamed_weights import StreamedWeights


def make_streamed_weights(library: Library, request: OpenRequest) -> StreamedWeights | None:
    """The weights of a model that is streamed; None for one that is in memory whole.

    Raises ModelLoadFailed, StreamingUnavailable.
    """
    if request.residency is None:
        return None
    try:
        return StreamedWeights(
            library.functions,
            request.header,
            request.residency,
            strategy=request.settings.cache_strategy,
            chunk_bytes=chunk_bytes(request.settings),
        )
    except WeightsUnreadableError as error:
        raise ModelLoadFailed(path=str(request.header.path), detail=str(error)) from error


def make_kv_memory(
    library: Library, weights: StreamedWeights | None, request: OpenRequest
) -> KVMemory | None:
    """Return the memory for the KV cache, in which cells without tokens take none.

    None where llama.cpp's structures are not the expected ones and no weights are streamed: the
    cache is then in memory as a whole from the start, as the bill says.
    """
    header, settings = request.header, request.settings
    nbytes, cells = kv_cache_bytes(header, settings), padded(settings.context_length)
    try:
        ggml = Ggml(library.functions) if weights is None else weights.ggml
        return KVMemory(ggml, nbytes, cells)
    except StreamingUnavailable as error:
        if weights is not None:
            raise
        _log.engine.warning("the KV cache is in memory as a whole: %s", error)
        return None


class KvReclaim:
    """Tracks which cells of a context are in use; weights may use the memory of the others.

    For the computing thread. Memory that tokens need is taken back before it is used; the weights
    apply that with their next `apply`.
    """

    def __init__(
        self, memory: KVMemory, weights: StreamedWeights, request: OpenRequest, log: LibraryLog
    ) -> None:
        """All of the memory belongs to tokens at first. `log` has the new context's lines."""
        if log.flash_attention():  # else the values of all cells are interleaved
            memory.find_cells()
        if not memory.bytes_from(0):
            _log.engine.info("the memory of unused KV cells cannot be reclaimed")
        self._memory, self._weights = memory, weights
        self.cells = memory.cells  # that tokens may use
        self._decode_bytes = decode_compute_bytes(request.header, request.settings, DECODE_ROWS)
        self._spare_scratch_bytes = 0
        self._reclaimed = False

    def before_prefill(self, cells: int) -> None:
        """Ensure at least `cells` cells, and the scratch memory of the largest batch."""
        self._spare_scratch_bytes = 0
        self.cells = max(self.cells, self._padded(cells))
        self._offer_spare()

    def before_decode(self, cells: int) -> None:
        """Keep `cells` cells, rounded up, and scratch memory for a few tokens at once."""
        if not self._reclaimed:  # until now there was memory for pages that nobody counts
            drop_own_page_cache()
            self._reclaimed = True
        wanted = self._padded(cells)
        if wanted < self.cells:
            self._memory.release_cells(wanted)
        self.cells = wanted
        self._memory.release_scratch()
        self._spare_scratch_bytes = max(0, self._memory.scratch_bytes - self._decode_bytes)
        self._offer_spare()

    def ensure_cells(self, cells: int) -> None:
        if cells > self.cells:
            self.cells = self._padded(cells)
            self._offer_spare()

    def _padded(self, cells: int) -> int:
        return min(padded(cells), self._memory.cells)

    def _offer_spare(self) -> None:
        self._weights.set_reclaimable_memory(
            (self._memory.bytes_from(self.cells) + self._spare_scratch_bytes) / MIB
        )


class Computing:
    """For the computing thread; `cancel` may come from any, which may also read the attributes."""

    def __init__(
        self,
        context: LlamaContext,
        threads: EngineThreads,
        drafts: DraftMemory,
        weights: StreamedWeights | None,
        kv_reclaim: KvReclaim | None,
    ) -> None:
        self.context, self.threads = context, threads
        self._drafts, self._weights, self.kv_reclaim = drafts, weights, kv_reclaim
        self.cancelled = False
        self.in_background = False  # the user is doing something else
        self.last_progress = time.monotonic()

    def cancel(self) -> None:
        """Raise the flag that every computation checks. From any thread."""
        self.cancelled = True
        for context in self._contexts:
            context.abort.set()

    def reset_cancel(self) -> None:
        """Lower the flag. Not while something is computed."""
        self.cancelled = False
        for context in self._contexts:
            context.abort.clear()

    @property
    def _contexts(self) -> list[LlamaContext]:
        draft = self._drafts.model
        return [self.context] if draft is None else [self.context, draft.context]

    def begin_prefill(self, cells: int) -> None:
        """Take memory back from the weights before so many cells are filled."""
        if self.kv_reclaim is not None:
            self.kv_reclaim.before_prefill(cells)

    def begin_decode(self) -> None:
        """Give memory to the weights. After prefill, which would have to wait for it."""
        if self.kv_reclaim is not None:
            self.kv_reclaim.before_decode(len(self.context.cells) + DECODE_ROWS)

    def reserve(self, cells: int) -> None:
        """Take memory back from the weights before a computation, and `poll`."""
        if self.kv_reclaim is not None:
            self.kv_reclaim.ensure_cells(cells + DECODE_ROWS)
        self.poll()

    @property
    def cells_end(self) -> int:
        """The cells that can be filled before the next `poll`."""
        length = self.context.params.context_length
        return length if self.kv_reclaim is None else min(length, self.kv_reclaim.cells)

    def poll(self, governor: ThreadGovernor | None = None) -> None:
        """Report progress, and apply a new budget or new threads.

        Raises AbortedError, EngineFailed.
        """
        self.last_progress = time.monotonic()
        if self.context.abort.raised:
            raise AbortedError
        if self.kv_reclaim is not None:
            self.kv_reclaim.ensure_cells(self.context.used + DECODE_ROWS)
        if self._weights is not None:
            try:
                self._weights.apply_residency()
            except WeightsUnreadableError as error:
                raise EngineFailed(detail=str(error)) from error
        counts = self.threads.changed(governor, in_background=self.in_background)
        if counts is not None:
            for context in self._contexts:
                context.set_threads(*counts)
