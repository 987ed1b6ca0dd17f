"""Decides for each answer whether tokens are drafted, and whether a draft model has to go."""

from __future__ import annotations

from collections.abc import Sequence

from deepseek_r1.core.settings import DraftMode, SamplingSettings
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.speculative.draft_memory import DraftMemory
from deepseek_r1.engine.llama.speculative.pass_times import PassTimes
from deepseek_r1.engine.llama.speculative.prompt_lookup import PromptLookup
from deepseek_r1.engine.llama.speculative.proposer import Proposer
from deepseek_r1.engine.llama.speculative.verify import SpeculativeDecoder
from deepseek_r1.memory.estimate import UNHIDDEN_SHARE
from deepseek_r1.memory.plan import AUTOMATIC_ROWS
from deepseek_r1.weights.residency import Residency

_LEAST_TOKENS = 32  # of an answer that says something about a draft model
_LEAST_PLAIN = 8  # measured passes without drafts, in this answer and those before it
_SLOWER = 1.1  # than without: less may be an error of the estimate, and what is freed stays away


class Drafting:
    """The drafting of one loaded model. For the computing thread.

    A pass of several tokens adds up in another order than a pass of one, so its last bits differ.
    So an answer that has to be reproducible is drafted only where drafts were chosen by name; the
    lengths of its drafts then depend on its text alone, never on the clock.
    """

    def __init__(
        self,
        context: LlamaContext,
        mode: DraftMode,
        memory: DraftMemory,
        *,
        compute_s: float,
    ) -> None:
        """`memory` has the draft model, and the residency of a target that runs from the disk.

        `compute_s`: of a plain pass, what reading does not hide.
        """
        self._context, self._memory = context, memory
        self._compute_s = compute_s
        self._streams = memory.residencies[0] is not None
        self._automatic = mode is DraftMode.AUTO
        self._wanted = self._streams if self._automatic else mode is not DraftMode.OFF
        self._times = PassTimes(streams=self._streams)
        self._lookup = PromptLookup()
        self.was_slower = False
        """Whether the last answer was slower than without the draft model, which is freed then."""

    @property
    def proposers(self) -> Sequence[Proposer]:
        """The lookup, which costs nothing, and the draft model where there is one."""
        model = self._memory.model
        return (self._lookup,) if model is None else (self._lookup, model)

    def drafts(self, sampling: SamplingSettings) -> bool:
        """Return whether an answer with this sampling is drafted."""
        return self._wanted and not (self._automatic and sampling.reproducible)

    def prepare(self, prefix: Sequence[int]) -> None:
        """Let the draft model read the prefix of the next prompt before the answer to it begins.

        Raises AbortedError, EngineFailed.
        """
        if (model := self._memory.model) is not None and not self.was_slower:
            model.begin(prefix, reproducible=False)
            model.read_text()

    def free_slow_model(self) -> None:
        """Free a draft model with which the last answer was slower, before the next one."""
        if self.was_slower and self._memory.model is not None:
            self._memory.release()
            self._times = PassTimes(streams=self._streams)  # passes read less now

    def decoder(
        self, prompt: Sequence[int], sampling: SamplingSettings
    ) -> SpeculativeDecoder | None:
        """Return the speculative decoder of an answer to `prompt`; None for a plain answer."""
        if not self.drafts(sampling):
            return None
        most = self._context.params.draft_tokens
        assumed = None
        if sampling.reproducible:
            most = min(most, AUTOMATIC_ROWS - 1)  # what more rows take depends on the machine
            assumed = PassTimes(streams=self._streams)
        for proposer in self.proposers:
            proposer.begin(prompt, reproducible=sampling.reproducible)
        return SpeculativeDecoder(
            self._context,
            self.proposers,
            self._times,
            assumed,
            observed=len(prompt),
            most=most,
        )

    def end(self, decoder: SpeculativeDecoder) -> None:
        """End an answer, and note whether it was slower than without the draft model."""
        decoder.close()
        residency, without = self._memory.residencies
        if self._memory.model is None or residency is None or without is None:
            return
        if self._times.plain_passes < _LEAST_PLAIN:
            return  # what it is held against is not known well enough
        plain_s = undrafted_s(self._times.plain_s, self._compute_s, residency, without)
        self.was_slower = (
            decoder.tokens >= _LEAST_TOKENS and decoder.seconds > _SLOWER * decoder.tokens * plain_s
        )


def undrafted_s(
    plain_s: float, compute_s: float, residency: Residency, without: Residency
) -> float:
    """Return the seconds of a plain pass without the draft model, whose memory holds weights then.

    With it, a plain pass takes `plain_s`. Each reads what its residency streams, at the same rate,
    and takes `compute_s` beyond that; see `memory.estimate`.
    """
    share = without.streamed_mib / residency.streamed_mib if residency.streamed_mib else 1.0
    read_s = max(0.0, plain_s - compute_s)
    return min(plain_s, max(share * read_s + compute_s, compute_s / UNHIDDEN_SHARE))
