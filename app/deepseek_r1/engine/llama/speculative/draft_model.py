"""Drafts tokens with a smaller model of the same vocabulary, which has a cache of its own."""

import ctypes
import time
from collections.abc import Mapping, Sequence

from deepseek_r1.core.settings import KVType
from deepseek_r1.engine.interface import UNMAPPED, VocabularyMap
from deepseek_r1.engine.llama.binding.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.speculative.proposer import AcceptanceTable, Draft, PassTimes
from deepseek_r1.engine.prompt.prompt_builder import common_length
from deepseek_r1.memory.load_plan import DRAFT_BATCH, draft_cells
from deepseek_r1.native.native_library import native

_KEPT_DIVISOR = 2  # a full cache keeps the newest half of its cells
_READ_MOST = 1024  # tokens of a prompt that the draft model reads before its first draft
_BUCKETS = 10  # of the draft model's own probability for its token
_PRIORS = tuple(0.9 * (bucket + 0.5) / _BUCKETS + 0.05 for bucket in range(_BUCKETS))
_NEW_WEIGHT = 0.25  # of a new time in the moving average
_ASSUMED_TOKEN_S = 0.1  # of drafting a token in a reproducible answer, in plain passes


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
        kv_type: KVType = KVType.Q8_0,
        context_length: int,
        threads: tuple[int, int],
        kernel_rows: Mapping[str, tuple[int, int]],
    ) -> None:
        """Raises ModelLoadFailed."""
        self._api, self._model, self._vocabulary = library.api, model, vocabulary
        params = ContextParams(
            context_length=draft_cells(context_length),
            micro_batch=DRAFT_BATCH,
            kv_type=kv_type,
            sequences=1,
            threads=threads[0],
            threads_prefill=threads[1],
            kernel_rows=kernel_rows,
        )
        self.context = LlamaContext(library, model, params)
        self.measured_mib = sum(library.log.buffers_mib().values())
        self._best_token = native().best_token
        self.table = AcceptanceTable(_PRIORS)
        self._reproducible = False
        self._token_s = 0.0  # of drafting, a moving average
        self._text: list[int] = []  # the target's text in the draft model's tokens
        self._first = 0  # the position in the text of the first cell
        self._known = 0  # leading cells that match the text

    def close(self) -> None:
        self.context.close()
        self._model.close()

    # ---- the text ---------------------------------------------------------------------------

    def begin(self, prompt: Sequence[int], *, reproducible: bool) -> None:
        """Begin an answer. Nothing is computed before the first draft.

        For a `reproducible` answer the cache begins empty: cells computed one by one and in a batch
        differ in their last bits.
        """
        self._text = []
        self.observe(prompt)
        self._reproducible = reproducible
        if reproducible:
            self.table = AcceptanceTable(_PRIORS)
            self.context.clear()
        self._known = common_length(self.context.cells, self._text[self._first :])

    def observe(self, tokens: Sequence[int]) -> None:
        to_draft = self._vocabulary.to_draft
        self._text += [to_draft[token] for token in tokens]

    def _synchronise(self, spare: int) -> None:
        """Bring the cells in step with the text, and leave `spare` cells.

        The text's last token is always computed, since its logits are needed. Raises AbortedError,
        EngineFailed.
        """
        context, cells = self.context, self.context.cells
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
        context = self.context
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

    @property
    def _draft_token_s(self) -> float:
        return _ASSUMED_TOKEN_S if self._reproducible else self._token_s

    def expected_s(self, times: PassTimes, most: int) -> float:
        """Return the seconds of a token with a draft of the usual quality."""
        return times.best([self.table.usual] * most, self._draft_token_s)[1]

    def propose(self, times: PassTimes, most: int) -> Draft:
        """Draft the most likely tokens one by one, while further ones are worth it.

        Raises AbortedError, EngineFailed.
        """
        self._synchronise(most)
        tokens: list[int] = []
        chances: list[float] = []
        buckets: list[int] = []
        began = time.perf_counter()
        while True:
            token, probability = self._choose()
            target = self._vocabulary.to_target[token]
            if target == UNMAPPED or not probability > 0:  # not a number where the logits are not
                break
            bucket = min(_BUCKETS - 1, int(probability * _BUCKETS))
            tokens.append(target)
            buckets.append(bucket)
            chances.append(self.table.chance(bucket))
            further = [*chances, *[self.table.usual] * (most - len(chances))]
            length, _ = times.best(further, self._draft_token_s)
            if length <= len(tokens) or self._model.is_end(token):
                break
            self.context.compute([token])
        if len(tokens) > 1:
            token_s, before = (time.perf_counter() - began) / (len(tokens) - 1), self._token_s
            self._token_s = before + _NEW_WEIGHT * (token_s - before) if before else token_s
        draft = Draft(tuple(tokens), tuple(chances), tuple(buckets))
        return draft.shortened(times.best(chances)[0])

    def _choose(self) -> tuple[int, float]:
        """Return the most likely token that the target has, and its probability."""
        probability, vocabulary = ctypes.c_float(), self._vocabulary
        token: int = self._best_token(
            ctypes.cast(self._api.llama_get_logits_ith(self.context.pointer, -1), ctypes.c_void_p),
            vocabulary.to_target.buffer_info()[0],
            len(vocabulary.to_target),
            ctypes.byref(probability),
        )
        return token, probability.value
