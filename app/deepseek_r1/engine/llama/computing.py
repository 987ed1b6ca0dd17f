"""The context of a loaded model, and what happens between two of its computations."""

import time

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.engine.llama.binding.context import AbortedError, LlamaContext
from deepseek_r1.engine.llama.binding.streaming_setup import KvReclaim
from deepseek_r1.engine.llama.speculative.drafting import DraftMemory
from deepseek_r1.engine.llama.threads import EngineThreads, ThreadGovernor
from deepseek_r1.memory.plan import DECODE_ROWS
from deepseek_r1.weights.direct_file import WeightsUnreadableError
from deepseek_r1.weights.streamed_weights import StreamedWeights


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
