"""Computes drafted tokens with the chosen one, and verifies them against the sampler."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepseek_r1.engine.llama.context import LlamaContext
from deepseek_r1.engine.llama.speculative.draft_length import LengthRule, LossGuard
from deepseek_r1.engine.llama.speculative.draft_memory import MemoryGuard
from deepseek_r1.engine.llama.speculative.proposer import Draft, Proposer

_PROBE_PASSES = 64  # with drafts, before the time of a plain pass is measured again


@dataclass(frozen=True, slots=True)
class DraftModelPrice:
    """The price of a draft model's memory, and the way to free it.

    `plain_share` is the time of a plain pass without the draft model, as a share of one with it.
    `release` frees the model, restarts the answer's rule with the row curve that is in force then,
    and returns the proposers that are left.
    """

    guard: MemoryGuard
    plain_share: float
    release: Callable[[LengthRule], Sequence[Proposer]]


class SpeculativeDecoder:
    """Computes tokens with drafts after them. For the computing thread.

    `row` is where the logits for the next choice are. Each choice is passed to `verify`; where that
    returns False, it has to be computed. `close` leaves nothing unverified in the context.
    """

    def __init__(
        self,
        context: LlamaContext,
        proposers: Sequence[Proposer],
        rule: LengthRule,
        guard: LossGuard,
        *,
        observed: int,
        timed: bool,
        price: DraftModelPrice | None = None,
    ) -> None:
        """The proposers have begun the answer, with `observed` tokens; the first one drafts first.

        `timed`: the passes are timed, and a plain one is computed now and then for its time.
        Otherwise `rule` alone has the times, so that drafts do not depend on the clock. `price` is
        that of a draft model among the proposers; None where its memory costs no time.
        """
        self._context, self._proposers = context, proposers
        self._rule, self._guard, self._timed = rule, guard, timed
        self._price = price
        self._observed = observed  # tokens of the text that the proposers have
        self._draft, self._proposer = Draft(), proposers[0]
        self._kept = 0  # tokens of the draft that were verified
        self._pass_s = 0.0  # of the last pass, with its drafting
        self._usual_s = 0.0  # the same by the row curve, which one slow pass hardly changes
        self._since_plain = 0  # passes
        self.row = -1
        self.drafted = self.accepted = 0
        self.draft_s = 0.0  # spent on drafting

    @property
    def counts(self) -> dict[str, float]:
        """Counts for the stats of the answer."""
        return {"drafted": self.drafted, "accepted": self.accepted, "draft_s": self.draft_s}

    def verify(self, token: int) -> bool:
        """Return whether this choice was drafted: then it is computed, with its logits at `row`."""
        if self._kept == len(self._draft):
            return False
        if self._draft.tokens[self._kept] != token:
            self._end_pass()
            return False
        self._kept += 1
        self.row += 1
        self.accepted += 1
        if self._kept == len(self._draft):
            self._end_pass()
        return True

    def compute(self, token: int) -> bool:
        """Append a chosen token, and drafts if there are any. Returns whether there were.

        Raises AbortedError, EngineFailed.
        """
        self._observe_text(token)
        began = time.perf_counter()
        draft, proposer, draft_s = self._propose()
        drafted = time.perf_counter()
        self.draft_s += drafted - began
        if self._timed:
            draft_s = drafted - began
        if not draft:
            self._context.compute_one(token)
            self.row = -1
            self._on_plain(time.perf_counter() - drafted, draft_s)
            return False
        self._context.compute_with_drafts([token, *draft.tokens])
        self._draft, self._proposer, self._kept, self.row = draft, proposer, 0, 0
        self.drafted += len(draft)
        self._on_pass(len(draft), time.perf_counter() - drafted, draft_s)
        return True

    def _observe_text(self, *chosen: int) -> None:
        """Pass on all tokens that were computed since, and the chosen one."""
        cells = self._context.cells
        if self._observed > len(cells):
            return  # the chosen one again, after an abort
        tokens = [*cells[self._observed :], *chosen]
        self._observed += len(tokens)
        for proposer in self._proposers:
            proposer.observe(tokens)

    def _propose(self) -> tuple[Draft, Proposer, float]:
        """Return the draft that is expected to save most, its proposer, and the time of drafting.

        The time is computed from the proposers' `token_s`.
        """
        context, rule = self._context, self._rule
        free_cells = context.params.context_length - len(context.cells) - 2
        most = min(context.params.draft_tokens, rule.most, free_cells, context.max_batch_tokens - 1)
        first = self._proposers[0]
        due = self._timed and self._since_plain >= _PROBE_PASSES
        if most < 1 or due or self._guard.resting or not rule.curve.ready:
            return Draft(), first, 0.0
        best, best_s, draft_s = (Draft(), first), 0.0, 0.0
        for proposer in self._proposers:
            if proposer.expected_s(rule, most) <= best_s:
                continue
            draft = proposer.propose(rule, most)
            draft_s += draft.computed * proposer.token_s
            _, saved_s = rule.best(draft.chances)
            if saved_s > best_s:
                best, best_s = (draft, proposer), saved_s
        return *best, draft_s

    def _on_plain(self, pass_s: float, draft_s: float) -> None:
        curve = self._rule.curve
        curve.observe(1, pass_s)
        plain_s = curve.seconds(1)
        self._rule.observe(1, plain_s + draft_s)
        self._guard.observe_plain()
        if draft_s:
            self._guard.observe_drafted(1 + draft_s / plain_s, 1)
        self._since_plain = 0
        for proposer in self._proposers:
            proposer.on_plain()
        self._observe_price(1 + draft_s / plain_s, 1)

    def _on_pass(self, length: int, pass_s: float, draft_s: float) -> None:
        curve = self._rule.curve
        curve.observe(1 + length, pass_s)
        self._usual_s = draft_s + curve.seconds(1 + length)
        self._pass_s = draft_s + pass_s if self._timed else self._usual_s
        self._since_plain += 1

    def _end_pass(self) -> None:
        """Drop the drafts that were not verified, and record what the pass brought."""
        draft, kept = self._draft, self._kept
        self._draft, self._kept = Draft(), 0
        if kept < len(draft):
            self._context.truncate(len(self._context.cells) - (len(draft) - kept))
        self._proposer.on_verified(draft, kept)
        self._rule.observe(1 + kept, self._pass_s)
        plain_s = self._rule.curve.seconds(1)
        self._guard.observe_drafted(self._pass_s / plain_s, 1 + kept)
        self._observe_price(self._usual_s / plain_s, 1 + kept)

    def _observe_price(self, cost: float, tokens: int) -> None:
        """Record the cost of a pass, in plain ones; free a draft model that is not worth it.

        The cost is the usual one of such a pass, since a freed draft model does not come back.
        """
        price = self._price
        if price is None:
            return
        price.guard.observe(cost, tokens, price.plain_share)
        if price.guard.exceeded:
            self._price, self._proposers = None, price.release(self._rule)
            self._proposer = self._proposers[0]

    def close(self) -> None:
        """End the answer."""
        if len(self._draft):
            self._end_pass()
        self._observe_text()
