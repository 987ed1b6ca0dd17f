"""The base of proposers that compute: it drafts token by token and records what is kept."""

from __future__ import annotations

import ctypes
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from deepseek_r1.engine.llama.context import AbortFlag
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.llama.speculative.acceptance import AcceptanceTable
from deepseek_r1.engine.llama.speculative.draft_length import LengthRule
from deepseek_r1.engine.llama.speculative.proposer import Draft
from deepseek_r1.engine.llama.speculative.vocabulary_map import UNMAPPED, VocabularyMap
from deepseek_r1.native.native_library import native

_BUCKETS = 10  # of the draft's own probability for its token
_PRIORS = tuple(0.9 * (bucket + 0.5) / _BUCKETS + 0.05 for bucket in range(_BUCKETS))
_USUAL = 0.7  # the share of kept tokens that is assumed at first
_NEW_WEIGHT = 0.25  # of a new time in the moving average
_REPRODUCIBLE, _ANY = 0, 1


class ModelProposer(ABC):
    """A `Proposer` that computes its drafts token by token with weights of its own."""

    abort: AbortFlag
    measured_mib: float

    def __init__(self, model: LlamaModel, vocabulary: VocabularyMap, token_s: float) -> None:
        """`token_s`: the stored time of a drafted token."""
        self._model, self._vocabulary = model, vocabulary
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

    @abstractmethod
    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Set the threads from the next token on."""

    @abstractmethod
    def close(self) -> None:
        """Free all memory."""

    @abstractmethod
    def begin(self, prompt: Sequence[int], *, reproducible: bool) -> None:
        """Begin an answer. Nothing is computed before the first draft."""
        self._mode = _REPRODUCIBLE if reproducible else _ANY
        if reproducible:
            self._tables[self._mode].reset()
            self._usual_tables[self._mode].reset()

    @abstractmethod
    def observe(self, tokens: Sequence[int]) -> None:
        """Append tokens to the text."""

    @abstractmethod
    def read_text(self) -> None:
        """Compute the text before a draft is wanted. Raises AbortedError, EngineFailed."""

    @abstractmethod
    def measure_token_s(self, tokens: int) -> float:
        """Return the seconds of drafting a token, the least of `tokens`. Empties the cache."""

    # ---- drafting ---------------------------------------------------------------------------

    @abstractmethod
    def _synchronise(self, spare: int) -> bool:
        """Compute what is missing of the text, and leave `spare` cells for tokens behind it.

        Returns whether there are logits for the token after it. Raises AbortedError, EngineFailed.
        """

    @abstractmethod
    def _logits(self) -> Any:
        """Return the logits after the token computed last."""

    @abstractmethod
    def _compute_drafted(self, token: int) -> None:
        """Compute a drafted token, for the one after it. Raises AbortedError, EngineFailed."""

    def expected_s(self, rule: LengthRule, most: int) -> float:
        """Return the seconds that a draft of the usual quality saves."""
        usual = self._usual_tables[self._mode].chance(0)
        return rule.best([usual] * min(most, rule.most), self.token_s)[1]

    def propose(self, rule: LengthRule, most: int) -> Draft:
        """Draft the most likely tokens one by one, while `rule` finds it worthwhile.

        Raises AbortedError, EngineFailed.
        """
        if not self._synchronise(most):
            return Draft()
        table, usual = self._tables[self._mode], self._usual_tables[self._mode].chance(0)
        tokens: list[int] = []
        chances: list[float] = []
        buckets: list[int] = []
        computed = 1  # the text's last token
        began = time.perf_counter()
        while True:
            token, probability = self._choose()
            target = self._vocabulary.to_target[token]
            if target == UNMAPPED or not probability > 0:  # not a number where the logits are not
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
            self._compute_drafted(token)
            computed += 1
        if computed > 1:
            self._on_timed((time.perf_counter() - began) / (computed - 1))
        draft = Draft(tuple(tokens), tuple(chances), tuple(buckets), computed)
        return draft.shortened(rule.best(chances)[0])

    def _choose(self) -> tuple[int, float]:
        """Return the most likely token that the target has, and its probability."""
        probability = ctypes.c_float()
        vocabulary = self._vocabulary
        token: int = self._best_token(
            ctypes.cast(self._logits(), ctypes.c_void_p),
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
