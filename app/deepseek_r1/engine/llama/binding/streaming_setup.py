"""Sets up weight streaming for a model that does not fit."""

from deepseek_r1.core import log as _log
from deepseek_r1.core.errors import ModelLoadFailed, StreamingUnavailable
from deepseek_r1.engine.llama.binding.library import Library, LibraryLog
from deepseek_r1.engine.protocol.base import OpenRequest
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

    def __init__(self, memory: KVMemory, weights: StreamedWeights, request: OpenRequest) -> None:
        """All of the memory belongs to tokens at first."""
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
        """Ensure at least `cells` cells during decode."""
        if cells > self.cells:
            self.cells = self._padded(cells)
            self._offer_spare()

    def _padded(self, cells: int) -> int:
        return min(padded(cells), self._memory.cells)

    def _offer_spare(self) -> None:
        self._weights.set_reclaimable_memory(
            (self._memory.bytes_from(self.cells) + self._spare_scratch_bytes) / MIB
        )


def make_kv_reclaim(
    memory: KVMemory | None,
    weights: StreamedWeights | None,
    request: OpenRequest,
    log: LibraryLog,
) -> KvReclaim | None:
    """Return the `KvReclaim` of a new context; None where there is nothing to reclaim."""
    if memory is None or weights is None:
        return None
    if log.flash_attention():  # else the values of all cells are interleaved
        memory.find_cells()
    if not memory.bytes_from(0):
        _log.engine.info("the memory of unused KV cells cannot be reclaimed")
    return KvReclaim(memory, weights, request)
