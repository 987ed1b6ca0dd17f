"""Drafts tokens with an EAGLE-3 head: one layer that reads the target's own hidden states."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.engine.llama.context import AbortedError, AbortFlag, LlamaContext
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.llama.prompt_pieces import PromptPieces
from deepseek_r1.engine.llama.speculative.head_context import HeadContext
from deepseek_r1.engine.llama.speculative.model_proposer import ModelProposer
from deepseek_r1.engine.llama.speculative.target_features import TargetFeatures
from deepseek_r1.engine.llama.speculative.vocabulary_map import VocabularyMap
from deepseek_r1.formats.eagle3 import HeadFacts
from deepseek_r1.memory.draft_costs import (
    FEATURE_ROWS,
    HEAD_BATCH,
    draft_cells,
    feature_mib,
    state_mib,
)
from deepseek_r1.memory.plan import DRAFT_TOKENS

_KEPT_DIVISOR = 2  # a full cache keeps the newest half of its cells


class EagleHead(ModelProposer):
    """A head with a KV cache of its own, which follows the cells of its target.

    A cell of the head belongs to a position P of the text: it is made of the features that the
    target computed at P, and of the token after it. The next computation of the target overwrites
    its features. So the head is the listener of the target's context: it copies them into a few
    slots, and makes its cells when a draft is wanted or the slots are full. It drops the cells of
    positions that the target drops.

    Positions that were not computed here have no cell: those that the target restored from the
    disk, and the position before a point to which it was cut back. The head's own positions count
    its cells, so that it does not see such gaps.
    """

    def __init__(
        self,
        library: Library,
        model: LlamaModel,
        vocabulary: VocabularyMap,
        facts: HeadFacts,
        *,
        threads: tuple[int, int],
        token_s: float = 0.0,
    ) -> None:
        """`attach` has to follow. `token_s`: the stored time of a drafted token."""
        super().__init__(model, vocabulary, token_s)
        self._library, self._facts, self._threads = library, facts, threads
        self.measured_mib = sum(library.log.buffers_mib().values())
        self.abort = AbortFlag()
        self._target: LlamaContext | None = None
        self._pending: list[int] = []  # positions whose features are in the slots
        self._cells: list[tuple[int, int]] = []  # the position of each cell, and the token after it
        self._chosen: int | None = None  # the token after the target's last cell
        self._first = 0  # the position that a reproducible answer begins with
        self._failure: EngineFailed | None = None

    def attach(self, target: LlamaContext) -> None:
        """Follow a context of the target. Raises ModelLoadFailed."""
        self._library.log.clear()
        self._context = HeadContext(
            self._library,
            self._model,
            target,
            self._facts,
            cells=draft_cells(target.params.context_length),
            threads=self._threads,
            abort=self.abort,
        )
        self._features = TargetFeatures(self._library, target, self._facts)
        self._target = target
        self._piece = PromptPieces(target).size
        target.listener = self
        self.measured_mib += sum(self._library.log.buffers_mib().values())
        self.measured_mib += feature_mib(self._facts, target.params.micro_batch)
        self.measured_mib += state_mib(self._model.width, self._model.vocabulary)

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Set the threads from the next token on."""
        self._context.set_threads(threads, threads_prefill)

    def close(self) -> None:
        """Free the context and the model; the target computes as without a head from now on."""
        if self._target is not None:
            self._target.listener = None
            self._features.close()
            self._context.close()
            self._target = None
        self._model.close()

    # ---- the target's cells -----------------------------------------------------------------

    def on_computed(self, first: int) -> None:
        """Copy the features of cells that were computed. A failure is raised by the next draft."""
        if self._failure is not None:
            return
        try:
            self._take_features(first)
        except AbortedError:  # cancelled: these positions stay without cells
            self._pending.clear()
        except EngineFailed as error:
            self._failure = error

    def on_truncated(self, length: int) -> None:
        """Drop what belongs to cells that are gone."""
        while self._pending and self._pending[-1] >= length:
            self._pending.pop()
        while self._cells and self._cells[-1][0] >= length:
            self._cells.pop()

    def _take_features(self, first: int) -> None:
        """Copy the features from position `first` on; make cells of them where slots are full."""
        assert self._target is not None  # noqa: S101 - the target is the caller
        computed, end = first, len(self._target.cells)
        self._drop_replaced()
        first = max(first, self._first)
        if first >= end:
            return
        self._first = 0  # positions ascend, until another text begins
        self._features.take()
        for position in range(first, end):
            if len(self._pending) == FEATURE_ROWS:
                self._read_pending()
            self._features.copy(position - computed, len(self._pending))
            self._pending.append(position)
        if end - first > 1 + DRAFT_TOKENS:
            self._read_pending()

    def _drop_replaced(self) -> None:
        """Drop the last cell if another token than its own came after its position."""
        assert self._target is not None  # noqa: S101 - the target is the caller
        tokens = self._target.cells
        if self._cells:
            position, token = self._cells[-1]
            if position + 1 < len(tokens) and tokens[position + 1] != token:
                self._cells.pop()

    def _read_pending(self) -> None:
        """Make cells of all features but those of the target's last cell: its next token is new.

        Raises AbortedError, EngineFailed.
        """
        assert self._target is not None  # noqa: S101 - the target is the caller
        tokens, pending = self._target.cells, self._pending
        known = sum(position + 1 < len(tokens) for position in pending)
        try:
            for at in range(0, known, HEAD_BATCH):
                some = pending[at : min(at + HEAD_BATCH, known)]
                self._append(at, [(position, tokens[position + 1]) for position in some])
        except (AbortedError, EngineFailed):
            pending.clear()
            raise
        for to, slot in enumerate(range(known, len(pending))):
            self._features.move(slot, to)
        del pending[:known]

    def _append(self, slot: int, cells: Sequence[tuple[int, int]], *, logits: bool = False) -> None:
        """Compute cells from the features in the slots from `slot` on."""
        context = self._context
        context.truncate(len(self._cells))  # drafted tokens are behind them
        space = context.capacity - DRAFT_TOKENS - 1
        if len(self._cells) + len(cells) > space:
            dropped = len(self._cells) - space // _KEPT_DIVISOR
            del self._cells[: dropped if context.shift(dropped) else len(self._cells)]
        context.encode(self._features.address(slot), len(cells))
        context.decode([token for _, token in cells], logits=logits)
        self._cells += cells

    # ---- the text ---------------------------------------------------------------------------

    def begin(self, prompt: Sequence[int], *, reproducible: bool) -> None:
        """Begin an answer.

        For a `reproducible` answer the cache begins with the prompt's last piece, which is computed
        for each answer: whatever came before may have been computed elsewhere or in another way.
        """
        super().begin(prompt, reproducible=reproducible)
        self._chosen, self._failure, self._first = None, None, 0
        if reproducible:
            self._pending.clear()
            self._cells.clear()
            self._first = max(0, len(prompt) - 1) // self._piece * self._piece

    def observe(self, tokens: Sequence[int]) -> None:
        """Note the token that was chosen last."""
        if tokens:
            self._chosen = tokens[-1]

    def read_text(self) -> None:
        """Do nothing: the head reads the text while the target computes it."""

    # ---- drafting ---------------------------------------------------------------------------

    def _synchronise(self, spare: int) -> bool:  # noqa: ARG002 - there is always space for a draft
        if self._failure is not None:
            raise self._failure
        if self._target is None or self._chosen is None:
            return False
        self._read_pending()
        last = len(self._target.cells) - 1
        if self._pending != [last]:  # not computed here
            return False
        self._drop_replaced()
        self._append(0, [(last, self._chosen)], logits=True)
        self._pending.clear()
        return True

    def _logits(self) -> Any:
        return self._context.logits()

    def _compute_drafted(self, token: int) -> None:
        self._context.take_state()
        self._context.decode([token], logits=True)

    def measure_token_s(self, tokens: int) -> float:
        """Return the seconds of drafting a token, the least of `tokens`. Empties the cache."""
        context = self._context
        self._pending.clear()
        self._cells.clear()
        context.truncate(0)
        context.encode(self._features.address(0), 1)
        seconds = []
        for token in range(tokens):
            began = time.perf_counter()
            context.decode([token % self._model.vocabulary], logits=True)
            self._choose()
            context.take_state()
            seconds.append(time.perf_counter() - began)
        context.truncate(0)
        return min(seconds)
