"""Computes drafted tokens with the chosen one, and verifies them against the sampler."""

import time
from collections.abc import Sequence

from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.speculative.proposer import Draft, PassTimes, Proposer

_PROBE_PASSES = 64  # with drafts, before the time of a plain pass is measured again
_PLAIN_PASSES = 2  # at an answer's beginning; weights still arrive in the first, so it is not timed


class SpeculativeDecoder:
    """Computes tokens with drafts after them. For the computing thread.

    `row` is where the logits for the next choice are. Each choice is passed to `verify`; where that
    returns False, it has to be computed: by `compute` or, where nothing is drafted, by the caller,
    who passes the times of these plain passes to `observe`. `close` leaves nothing unverified in
    the context.
    """

    def __init__(
        self,
        context: LlamaContext,
        proposers: Sequence[Proposer],
        times: PassTimes,
        assumed: PassTimes | None = None,
        *,
        observed: int,
        most: int,
    ) -> None:
        """The proposers have begun the answer, with `observed` tokens; the first one drafts first.

        `times` follow the passes. Drafts of up to `most` tokens are weighed by them, or by
        `assumed` ones, so that they do not depend on the clock.
        """
        self.reproducible = assumed is not None
        self._context, self._proposers, self._most = context, proposers, most
        self._times, self._weighed_by = times, assumed or times
        self._observed = observed  # tokens of the text that the proposers have
        self._draft, self._proposer = Draft(), proposers[0]
        self._kept = 0  # tokens of the draft that were verified
        self._passes = self._since_plain = 0
        self.row = -1
        self.drafted = self.accepted = self.tokens = 0
        self.draft_s = self.seconds = 0.0
        """The seconds of drafting, and of the timed passes with their drafting: `tokens`' time."""

    @property
    def counts(self) -> dict[str, float]:
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
        """Append a chosen token with drafts after it; False where nothing is worth drafting.

        Raises AbortedError, EngineFailed.
        """
        self._observe_text(token)
        began = time.perf_counter()
        draft, proposer = self._propose()
        drafted = time.perf_counter()
        self.draft_s += drafted - began
        if not draft:
            self.seconds += drafted - began
            return False
        self._context.compute_with_drafts([token, *draft.tokens])
        ended = time.perf_counter()
        self.drafted += len(draft)
        self._passes += 1
        self._times.observe(1 + len(draft), ended - drafted)
        self.seconds += ended - began
        self.tokens += 1
        self._draft, self._proposer, self._kept, self.row = draft, proposer, 0, 0
        self._since_plain += 1
        return True

    def observe(self, times_s: Sequence[float]) -> None:
        """Record the seconds of plain passes, whose tokens are in the context."""
        self.row, self._since_plain = -1, 0
        for seconds in times_s:
            self._passes += 1
            if self._passes > 1:
                self._times.observe(1, seconds)
                self.seconds += seconds
                self.tokens += 1
            for each in self._proposers:
                each.table.fade()

    def _observe_text(self, *chosen: int) -> None:
        """Pass on all tokens that were computed since, and the chosen one."""
        cells = self._context.cells
        if self._observed > len(cells):
            return  # the chosen one again, after an abort
        tokens = [*cells[self._observed :], *chosen]
        self._observed += len(tokens)
        for proposer in self._proposers:
            proposer.observe(tokens)

    def _propose(self) -> tuple[Draft, Proposer]:
        """Return the draft with which a token is expected to take least, and its proposer."""
        context, times = self._context, self._weighed_by
        free_cells = context.params.context_length - len(context.cells) - 2
        most = min(self._most, free_cells, context.max_batch_tokens - 1)
        best, best_s = (Draft(), self._proposers[0]), times.plain_s
        if most < 1 or self._passes < _PLAIN_PASSES or self._since_plain >= _PROBE_PASSES:
            return best
        for proposer in self._proposers:
            if proposer.expected_s(times, most) >= best_s:
                continue
            draft = proposer.propose(times, most)
            _, token_s = times.best(draft.chances)
            if token_s < best_s:
                best, best_s = (draft, proposer), token_s
        return best

    def _end_pass(self) -> None:
        """Drop the drafts that were not verified, and record what the pass brought."""
        draft, kept = self._draft, self._kept
        self._draft, self._kept = Draft(), 0
        self.tokens += kept
        if kept < len(draft):
            self._context.take_back(len(draft) - kept)
        self._proposer.table.observe_draft(draft.buckets, kept)

    def close(self) -> None:
        if len(self._draft):
            self._end_pass()
        self._observe_text()
