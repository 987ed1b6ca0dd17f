"""Decides when the thinking of an answer has to be closed, and when the answer has to end."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from deepseek_r1.core.events import FinishReason, ThinkingEnd
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.answer.samplers import SamplerPair
from deepseek_r1.engine.output.generation_output import GenerationOutput
from deepseek_r1.engine.output.repetition import RepetitionDetector


class AnswerEnd:
    """Observes one answer. The limits of the context are the decoder's.

    For the computing thread; `thinking_end_wanted` may be set from any thread.
    """

    def __init__(
        self, sampling: SamplingSettings, output: GenerationOutput, samplers: SamplerPair
    ) -> None:
        self._sampling, self._output, self._samplers = sampling, output, samplers
        self._repetition, self._repeated = RepetitionDetector(), False
        self._in_thinking = output.thinking
        self.thinking_end_wanted = False

    def observe(self, tokens: Sequence[int], text: bytes) -> None:
        """Add tokens whose text the output has: notice a repetition, and the thinking's end."""
        output, samplers = self._output, self._samplers
        if samplers.until_answer:
            samplers.on_output(output)
        if output.thinking != self._in_thinking:  # an answer may repeat what the thinking has
            self._in_thinking, self._repetition = output.thinking, RepetitionDetector()
        if self._watches_for_repetition:
            self._repeated = self._repetition.observe(tokens, text)

    @property
    def _watches_for_repetition(self) -> bool:
        constrained = self._samplers.constrains and not self._output.thinking
        return self._sampling.end_repetition and not constrained

    @property
    def next_tokens(self) -> int:
        """The number of further tokens of which only the last one can complete a repetition."""
        return self._repetition.next_tokens if self._watches_for_repetition else sys.maxsize

    def on_thinking_closed(self) -> None:
        """Begin with the answer: the thinking block was closed without a token of the model's."""
        self._repeated = False
        self.observe((), b"")

    @property
    def thinking_end(self) -> ThinkingEnd | None:
        """The reason why the thinking block has to be closed now."""
        if not self._output.thinking:
            return None
        if self.thinking_end_wanted:
            return ThinkingEnd.REQUEST
        if self._repeated:
            return ThinkingEnd.REPETITION
        budget = self._sampling.thinking_budget
        return ThinkingEnd.BUDGET if budget is not None and self._output.tokens >= budget else None

    @property
    def finish_reason(self) -> FinishReason | None:
        """The reason why the answer has to end now."""
        if self._output.thinking:
            return None
        if self._repeated:
            return FinishReason.REPETITION
        over = self._output.answer_tokens >= self._sampling.max_tokens
        return FinishReason.LENGTH if over else None
