"""Frees a draft model that is not worth its memory, so that the target's weights get it.

A draft model that is loaded within the budget displaces weights of the target, which are then read
in every pass. So it has to bring more than drafting alone costs: where it takes half of the memory
for weights, every pass may take twice as long before the first token is drafted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from deepseek_r1.core import log
from deepseek_r1.core.heap import trim_heap
from deepseek_r1.engine.llama.speculative.draft_length import LengthRule
from deepseek_r1.engine.llama.speculative.model_proposer import ModelProposer
from deepseek_r1.engine.llama.speculative.row_curve import RowCurve
from deepseek_r1.memory.meter import unshared_mib
from deepseek_r1.weights.placement.residency import Residency

# The share of drafted tokens that is kept: a 0.5B for a 1.5B in step-by-step arithmetic, in chat.
BEST_ACCEPTANCE = 0.9
USUAL_ACCEPTANCE = 0.67


class DraftMemory:
    """Owns a draft model, and the target's residencies: the one in force and that without it.

    `set_residency`, `residencies` and `released` are for any thread, the rest for the computing
    one. A new budget may come while the draft model is freed: both residencies change together.
    """

    def __init__(
        self,
        model: ModelProposer | None,
        residency: Residency | None,
        without: Residency | None,
        set_residency: Callable[[Residency], None],
        plan: Callable[[float], Residency],
    ) -> None:
        """`residency` is the target's, `without` the one for the time without the draft model.

        Both are None where the target is not streamed. `set_residency` puts a residency in force
        with the next computation; `plan` returns that of as many MiB.
        """
        self.model = model
        self._residency, self._without, self._set_residency = residency, without, set_residency
        self._plan = plan
        self._lock = threading.Lock()
        self.released = False
        self._kept_mib = 0.0  # of the freed draft model's memory, by the process

    @property
    def residencies(self) -> tuple[Residency | None, Residency | None]:
        """The target's residency in force and that without the draft model, both of one budget."""
        with self._lock:
            return self._residency, self._without

    def set_residency(self, residency: Residency, without: Residency | None) -> None:
        """Put the residency of a new budget in force: `without` once the draft model is freed."""
        with self._lock:
            if self.released:
                residency = self._less(residency if without is None else without, self._kept_mib)
            self._without = residency if self.released else without
            self._put_in_force(residency)

    def release(self) -> None:
        """Free the draft model. The next computation uses its memory for the target's weights.

        They get what the process gave back: an allocator may keep some of what was freed.
        """
        log.engine.info("the draft model is freed: it does not make up for its memory")
        before_mib = unshared_mib(os.getpid())
        self.close()
        trim_heap()  # a vocabulary is many small blocks, which the heap would keep
        returned_mib = before_mib - unshared_mib(os.getpid())
        with self._lock:
            self.released = True
            if self._residency is not None and self._without is not None:
                planned_mib = self._without.total_mib - self._residency.total_mib
                self._kept_mib = max(0.0, planned_mib - returned_mib)
                self._without = self._less(self._without, self._kept_mib)
                self._put_in_force(self._without)

    def _less(self, residency: Residency, mib: float) -> Residency:
        """Return the residency that needs so much less memory."""
        return self._plan(residency.total_mib - mib) if mib else residency

    def _put_in_force(self, residency: Residency) -> None:
        self._residency = residency
        self._set_residency(residency)

    def close(self) -> None:
        """Free the draft model."""
        model, self.model = self.model, None
        if model is not None:
            model.close()


def is_worth_loading(
    with_draft: RowCurve, without: RowCurve, token_s: float, refill_s: float = 0.0
) -> bool:
    """Return whether drafts that are nearly always right make up for the memory of their model.

    `with_draft` and `without` are the row curves under both residencies; `token_s` is the time of
    one drafted token, `refill_s` that of reading weights into the draft model's memory once it is
    freed. Where that and a single wrong draft would cost more than `MemoryGuard` may lose, it is
    not worth a trial either.
    """
    rule, plain_s = LengthRule(with_draft), without.seconds(1)
    length, _ = rule.best([USUAL_ACCEPTANCE] * rule.most, token_s)
    wrong_s = with_draft.seconds(1 + length) + length * token_s - plain_s
    if wrong_s + refill_s > MemoryGuard.LIMIT_TOKENS * plain_s:
        return False
    length, _ = rule.best([BEST_ACCEPTANCE] * rule.most, token_s)
    tokens = sum(BEST_ACCEPTANCE**depth for depth in range(length + 1))
    return with_draft.seconds(1 + length) + length * token_s < tokens * plain_s


class MemoryGuard:
    """Decides while tokens are decoded whether a draft model is worth the memory that it takes.

    It counts, in tokens' time, how much longer they took than they would have taken without the
    draft model, with more weights in memory. Gains are saved up to the same limit. So any number of
    tokens takes at most six tokens' time longer: 200 tokens at most 1/0.97 of their time without.
    """

    LIMIT_TOKENS = 3.0

    def __init__(self) -> None:
        self._loss = 0.0

    @property
    def exceeded(self) -> bool:
        """Whether the draft model lost more than it may."""
        return self._loss > self.LIMIT_TOKENS

    def observe(self, cost: float, tokens: int, plain_share: float) -> None:
        """Record `tokens` that took the time of `cost` plain passes with the draft model loaded.

        `plain_share` is the time of a pass without the draft model, as a share of such a pass.
        """
        self._loss = max(-self.LIMIT_TOKENS, self._loss + cost / plain_share - tokens)
