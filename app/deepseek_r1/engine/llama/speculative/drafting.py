"""Decides for each answer whether tokens are drafted, and by which proposers."""

from __future__ import annotations

from collections.abc import Sequence

from deepseek_r1.core.settings import DraftMode, SamplingSettings
from deepseek_r1.engine.draft_times import DraftTimes
from deepseek_r1.engine.llama.context import LlamaContext
from deepseek_r1.engine.llama.speculative.draft_length import LengthRule, LossGuard
from deepseek_r1.engine.llama.speculative.draft_memory import (
    DraftMemory,
    MemoryGuard,
    is_worth_loading,
)
from deepseek_r1.engine.llama.speculative.prompt_lookup import PromptLookup
from deepseek_r1.engine.llama.speculative.proposer import Proposer
from deepseek_r1.engine.llama.speculative.row_curve import GUESSED_CURVE, LiveRowCurve, RowCurve
from deepseek_r1.engine.llama.speculative.verify import DraftModelPrice, SpeculativeDecoder
from deepseek_r1.weights.placement.residency import Residency


class Drafting:
    """The drafting of one loaded model. For the computing thread.

    A pass of several tokens adds up in another order than a pass of one, so its last bits differ.
    So an answer that has to be reproducible is drafted only where drafts were chosen by name; the
    lengths of its drafts then depend on its text and on the stored curve alone.
    """

    def __init__(
        self,
        context: LlamaContext,
        mode: DraftMode,
        times: DraftTimes | None,
        memory: DraftMemory,
    ) -> None:
        """`memory` has the residency of a target that runs from the disk.

        Its draft model is freed at once where drafts could not make up for its memory.
        """
        self._context, self._memory, self.times = context, memory, times
        residency, _ = memory.residencies
        self._automatic = mode is DraftMode.AUTO
        streams = residency is not None
        self._wanted = streams if self._automatic else mode is not DraftMode.OFF
        self._live_guard, self._live_memory_guard = LossGuard(), MemoryGuard()
        self._live_rule = LengthRule(LiveRowCurve(_stored_curve(times, residency)))
        self._lookup = PromptLookup()
        if not self._draft_model_is_worth_loading():
            self._release_model(self._live_rule)

    @property
    def proposers(self) -> Sequence[Proposer]:
        """The lookup, which costs nothing, and the draft model where there is one."""
        model = self._memory.model
        return (self._lookup,) if model is None else (self._lookup, model)

    def _draft_model_is_worth_loading(self) -> bool:
        model, (residency, without) = self._memory.model, self._memory.residencies
        curve, plain = (_stored_curve(self.times, each) for each in (residency, without))
        if model is None or residency is None or without is None or curve is None or plain is None:
            return True
        read_mib_s = self.times.read_mib_s if self.times is not None else 0.0
        refill_mib = max(0.0, residency.streamed_mib - without.streamed_mib)
        refill_s = refill_mib / read_mib_s if read_mib_s else 0.0
        return is_worth_loading(curve, plain, model.token_s, refill_s)

    def drafts(self, sampling: SamplingSettings) -> bool:
        """Return whether an answer with this sampling is drafted."""
        return self._wanted and not (self._automatic and sampling.reproducible)

    def prepare(self, prefix: Sequence[int]) -> None:
        """Let the draft model read the prefix of the next prompt before the answer to it begins.

        Raises AbortedError, EngineFailed.
        """
        if (model := self._memory.model) is not None:
            model.begin(prefix, reproducible=False)
            model.read_text()

    def decoder(
        self, prompt: Sequence[int], sampling: SamplingSettings
    ) -> SpeculativeDecoder | None:
        """Return the speculative decoder of an answer to `prompt`; None for a plain answer."""
        if not self.drafts(sampling):
            return None
        for proposer in self.proposers:
            proposer.begin(prompt, reproducible=sampling.reproducible)
        # A new budget changes them; this answer keeps these.
        residency, without = self._memory.residencies
        curve = _stored_curve(self.times, residency)
        if sampling.reproducible:
            rule, guard, memory_guard = (
                LengthRule(curve or GUESSED_CURVE), LossGuard(), MemoryGuard()
            )  # fmt: skip
        else:
            rule, guard = self._live_rule, self._live_guard
            memory_guard = self._live_memory_guard
        return SpeculativeDecoder(
            self._context,
            self.proposers,
            rule,
            guard,
            observed=len(prompt),
            timed=not sampling.reproducible,
            price=self._price(curve, without, memory_guard),
        )

    def _price(
        self, curve: RowCurve | None, without: Residency | None, guard: MemoryGuard
    ) -> DraftModelPrice | None:
        """Return the price of the draft model's memory; None where there is none to pay."""
        plain = _stored_curve(self.times, without) if without is not None else None
        if self._memory.model is None or curve is None or plain is None:
            return None
        return DraftModelPrice(guard, plain.seconds(1) / curve.seconds(1), self._release_model)

    def _release_model(self, rule: LengthRule) -> Sequence[Proposer]:
        self._memory.release()
        curve = _stored_curve(self.times, self._memory.residencies[0])
        for each in {rule, self._live_rule}:
            live = each is self._live_rule
            each.restart(LiveRowCurve(curve) if live else curve or GUESSED_CURVE)
        return self.proposers


def _stored_curve(times: DraftTimes | None, residency: Residency | None) -> RowCurve | None:
    """The row curve of stored times for a residency; None without times."""
    if times is None:
        return None
    streamed_mib = residency.streamed_mib if residency is not None else 0.0
    read_s = streamed_mib / times.read_mib_s if times.read_mib_s else 0.0
    return RowCurve(times.rows_s, read_s, times.unhidden)
