"""Drafts tokens with a smaller model of the same vocabulary, which has a cache of its own."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence

from deepseek_r1.engine.common_prefix import common_length
from deepseek_r1.engine.llama.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.llama.speculative.acceptance import AcceptanceTable
from deepseek_r1.engine.llama.speculative.draft_length import LengthRule
from deepseek_r1.engine.llama.speculative.proposer import Draft
from deepseek_r1.engine.llama.speculative.vocabulary_map import UNMAPPED, VocabularyMap
from deepseek_r1.memory.draft_costs import DRAFT_BATCH, DRAFT_KV_TYPE, draft_cells
from deepseek_r1.memory.plan import DRAFT_TOKENS
from deepseek_r1.native.native_library import native

_BUCKETS = 10  # of the draft's own probability for its token
_PRIORS = tuple(0.9 * (bucket + 0.5) / _BUCKETS + 0.05 for bucket in range(_BUCKETS))
_USUAL = 0.7  # the share of kept tokens that is assumed at first
_NEW_WEIGHT = 0.25  # of one time against what is remembered
_REPRODUCIBLE, _ANY = 0, 1
_KEPT_SHARE = 2  # a full cache keeps the newest half of its tokens
_READ_MOST = 1024  # tokens of a prompt that the draft model reads before its first draft


class DraftModel:
    """A `Proposer`: a llama.cpp model with a context of its own, for one sequence.

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
        self._api, self._model, self._vocabulary = library.api, model, vocabulary
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
        self._text: list[int] = []  # of the target, as the draft model's tokens
        self._first = 0  # the position in the text of the first cell
        self._known = 0  # cells that are known to be the text's
        self._tables = AcceptanceTable(_PRIORS), AcceptanceTable(_PRIORS)
        self._usual_tables = AcceptanceTable([_USUAL]), AcceptanceTable([_USUAL])
        self._mode = _ANY
        self._stored_token_s, self._live_token_s = token_s, token_s
        self._best_token = native().best_token

    @property
    def token_s(self) -> float:
        """The seconds that drafting one token takes."""
        return self._live_token_s if self._mode is _ANY else self._stored_token_s

    @token_s.setter
    def token_s(self, seconds: float) -> None:
        self._stored_token_s = self._live_token_s = seconds

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
        self._mode = _REPRODUCIBLE if reproducible else _ANY
        if reproducible:
            self._context.clear()
            self._tables[self._mode].reset()
            self._usual_tables[self._mode].reset()
        same = common_length(self._context.cells, self._text[self._first :])
        self._known = same

    def observe(self, tokens: Sequence[int]) -> None:
        """Append tokens to the text."""
        self._text += [self._vocabulary.to_draft[token] for token in tokens]

    def read_text(self) -> None:
        """Compute the text before a draft is wanted. Raises AbortedError, EngineFailed."""
        if self._text:
            self._synchronise(DRAFT_TOKENS)

    def _synchronise(self, spare: int) -> None:
        """Bring the cells in step with the text, with `spare` cells left behind them.

        The last token is always computed, since its logits are needed. Raises AbortedError,
        EngineFailed.
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

    def _shift(self, end: int, space: int) -> None:
        """Move the window on, so that the text up to `end` fits into `space` cells."""
        context = self._context
        first = end - space // _KEPT_SHARE
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

    def expected_s(self, rule: LengthRule, most: int) -> float:
        """Return the seconds that a draft of the usual quality saves."""
        usual = self._usual_tables[self._mode].chance(0)
        return rule.best([usual] * min(most, rule.most), self.token_s)[1]

    def propose(self, rule: LengthRule, most: int) -> Draft:
        """Draft the most likely tokens one by one, while `rule` finds it worthwhile.

        Raises AbortedError, EngineFailed.
        """
        self._synchronise(most)
        table, usual = self._tables[self._mode], self._usual_tables[self._mode].chance(0)
        tokens: list[int] = []
        chances: list[float] = []
        buckets: list[int] = []
        computed = 1  # the text's last token
        began = time.perf_counter()
        while True:
            token, probability = self._choose()
            target = self._vocabulary.to_target[token]
            if target == UNMAPPED:
                break
            bucket = min(_BUCKETS - 1, int(probability * _BUCKETS))
            tokens.append(target)
            buckets.append(bucket)
            chances.append(table.chance(bucket))
            if (
                len(tokens) >= most
                or self._model.is_end(token)
                or not rule.goes_on(chances, usual, self.token_s, most)
            ):
                break
            self._context.compute_one(token)
            computed += 1
        if computed > 1:
            self._on_timed((time.perf_counter() - began) / (computed - 1))
        draft = Draft(tuple(tokens), tuple(chances), tuple(buckets), computed)
        return draft.shortened(rule.best(chances)[0])

    def _choose(self) -> tuple[int, float]:
        """Return the most likely token that the target has, and its probability."""
        logits = self._api.llama_get_logits_ith(self._context.pointer, -1)
        probability = ctypes.c_float()
        vocabulary = self._vocabulary
        token: int = self._best_token(
            ctypes.cast(logits, ctypes.c_void_p),
            vocabulary.address,
            len(vocabulary.to_target),
            ctypes.byref(probability),
        )
        return token, probability.value

    def _on_timed(self, seconds: float) -> None:
        before = self._live_token_s
        change = _NEW_WEIGHT * (seconds - before)
        self._live_token_s = before + change if before else seconds

    def on_verified(self, draft: Draft, kept: int) -> None:
        """Record how many tokens of a draft were kept."""
        self._tables[self._mode].observe_draft(draft.buckets, kept)
        self._usual_tables[self._mode].observe_draft([0] * len(draft), kept)

    def on_plain(self) -> None:
        """Let old failures fade."""
        self._tables[self._mode].fade()
        self._usual_tables[self._mode].fade()

    def measure_token_s(self, tokens: int) -> float:
        """Return the seconds of a drafted token: the least of a few. The cache is empty after."""
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
