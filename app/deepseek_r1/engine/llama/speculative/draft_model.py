"""Drafts tokens with a smaller model of the same vocabulary, which has a cache of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from deepseek_r1.engine.common_prefix import common_length
from deepseek_r1.engine.llama.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.llama.speculative.model_proposer import ModelProposer
from deepseek_r1.engine.llama.speculative.vocabulary_map import VocabularyMap
from deepseek_r1.memory.draft_costs import DRAFT_BATCH, DRAFT_KV_TYPE, draft_cells
from deepseek_r1.memory.plan import DRAFT_TOKENS

_KEPT_DIVISOR = 2  # a full cache keeps the newest half of its cells
_READ_MOST = 1024  # tokens of a prompt that the draft model reads before its first draft


class DraftModel(ModelProposer):
    """A llama.cpp model with a context of its own, for one sequence.

    Its cells are those of a window at the end of the target's text, translated token by token. They
    are brought in step with the text before each draft: what differs is dropped, what is missing is
    computed. So a rollback, an edited message and a restored prompt need nothing special.
    """

    def __init__(
        self,
        library: Library,
        model: LlamaModel,
        vocabulary: VocabularyMap,
        *,
        context_length: int,
        threads: tuple[int, int],
        token_s: float = 0.0,
    ) -> None:
        """`token_s`: the stored time of a drafted token. Raises ModelLoadFailed."""
        super().__init__(model, vocabulary, token_s)
        self._api = library.api
        params = ContextParams(
            context_length=draft_cells(context_length),
            micro_batch=DRAFT_BATCH,
            kv_type=DRAFT_KV_TYPE,
            sequences=1,
            threads=threads[0],
            threads_prefill=threads[1],
        )
        self._context = LlamaContext(library, model, params)
        self.measured_mib = sum(library.log.buffers_mib().values())
        self.abort = self._context.abort
        self._text: list[int] = []  # the target's text in the draft model's tokens
        self._first = 0  # the position in the text of the first cell
        self._known = 0  # leading cells that match the text

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Set the threads from the next token on."""
        self._context.set_threads(threads, threads_prefill)

    def close(self) -> None:
        """Free the context and the model."""
        self._context.close()
        self._model.close()

    # ---- the text ---------------------------------------------------------------------------

    def begin(self, prompt: Sequence[int], *, reproducible: bool) -> None:
        """Begin an answer. Nothing is computed before the first draft.

        For a `reproducible` answer the cache begins empty: cells computed one by one and in a batch
        differ in their last bits.
        """
        to_draft = self._vocabulary.to_draft
        self._text = [to_draft[token] for token in prompt]
        super().begin(prompt, reproducible=reproducible)
        if reproducible:
            self._context.clear()
        self._known = common_length(self._context.cells, self._text[self._first :])

    def observe(self, tokens: Sequence[int]) -> None:
        """Append tokens to the text."""
        self._text += [self._vocabulary.to_draft[token] for token in tokens]

    def read_text(self) -> None:
        """Compute the text before a draft is wanted. Raises AbortedError, EngineFailed."""
        if self._text:
            self._synchronise(DRAFT_TOKENS)

    def _synchronise(self, spare: int) -> bool:
        """Bring the cells in step with the text, and leave `spare` cells.

        The text's last token is always computed, since its logits are needed.
        """
        context, cells = self._context, self._context.cells
        space, end = context.params.context_length - spare, len(self._text)
        known, most = self._known, min(len(cells), end - 1 - self._first)
        while known < most and cells[known] == self._text[self._first + known]:
            known += 1
        if known < len(cells):
            context.truncate(max(0, min(known, most)))
        if cells and end - self._first > space:
            self._shift(end, space)
        if not cells:
            self._first = max(0, end - min(_READ_MOST, space))
        while (at := self._first + len(cells)) < end:
            context.compute(self._text[at : at + DRAFT_BATCH])
        self._known = len(cells)
        return True

    def _shift(self, end: int, space: int) -> None:
        """Move the window on, so that the text up to `end` fits into `space` cells."""
        context = self._context
        first = end - space // _KEPT_DIVISOR
        dropped = first - self._first
        memory = context.memory
        if dropped >= len(context.cells) or not self._api.llama_memory_can_shift(memory):
            context.clear()
        else:
            self._api.llama_memory_seq_rm(memory, 0, 0, dropped)
            self._api.llama_memory_seq_add(memory, 0, dropped, -1, -dropped)
            del context.cells[:dropped]
        self._first = first

    # ---- drafting ---------------------------------------------------------------------------

    def _logits(self) -> Any:
        return self._api.llama_get_logits_ith(self._context.pointer, -1)

    def _compute_drafted(self, token: int) -> None:
        self._context.compute_one(token)

    def measure_token_s(self, tokens: int) -> float:
        """Return the seconds of drafting a token, the least of `tokens`. Empties the cache."""
        context = self._context
        context.clear()
        self._first = self._known = 0
        seconds = []
        for token in range(tokens):
            began = time.perf_counter()
            context.compute_one(token % self._model.vocabulary)
            self._choose()
            seconds.append(time.perf_counter() - began)
        context.clear()
        return min(seconds)
