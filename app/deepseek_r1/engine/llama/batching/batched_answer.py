"""One answer of a batch: its tokens so far, and what each new row of logits does to it."""

from __future__ import annotations

from collections.abc import Sequence

from deepseek_r1.core.events import FinishReason, GenerationEvent, ThinkingEnd
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.answer.answer_end import AnswerEnd
from deepseek_r1.engine.llama.answer.samplers import SamplerPair
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.output.generation_output import GenerationOutput


class BatchedAnswer:
    """For the computing thread; `cancelled` may be set and `end_thinking` called from any thread.

    `tokens` are the prompt's and those chosen so far. Whoever computes them calls `on_logits` when
    all of them are in the cells.
    """

    def __init__(
        self,
        key: int,
        prompt: Sequence[int],
        *,
        model: LlamaModel,
        samplers: SamplerPair,
        output: GenerationOutput,
        sampling: SamplingSettings,
        closing_tokens: Sequence[int],
        context_length: int,
    ) -> None:
        self.key, self.output, self.samplers = key, output, samplers
        self.tokens = list(prompt)
        self.prompt_length = len(prompt)
        self.cancelled = False
        self.sequence: int | None = None  # while it is computed
        self.admitted = False  # it has had a sequence
        self._model = model
        self._closing_tokens, self._context_length = closing_tokens, context_length
        self._end = AnswerEnd(sampling, output, samplers)

    def end_thinking(self) -> None:
        """Close the thinking block at the next token. From any thread."""
        self._end.thinking_end_wanted = True

    @property
    def begun(self) -> bool:
        """Whether a token was chosen."""
        return self.output.tokens > 0

    def on_logits(self, row: int) -> tuple[list[GenerationEvent], FinishReason | None]:
        """Choose the next token from a row of logits. Returns events, and the reason of the end."""
        if (end := self._end.thinking_end) is not None:
            return self._close_thinking(end)
        token = self.samplers.sample(row)
        if self.samplers.first_token_decides and not self.samplers.on_first_token(token):
            token = self.samplers.sample(row)
        piece = self._model.token_text(token)
        events = list(self.output.on_token(piece, self.samplers.logprob(token, row)))
        if piece is None or self.output.stopped:
            return events, FinishReason.STOP
        self._end.observe([token], piece)
        if (reason := self._finish_reason()) is not None:
            return events, reason
        self.tokens.append(token)
        if (end := self._end.thinking_end) is not None:
            more, reason = self._close_thinking(end)
            return events + more, reason
        return events, None

    def _finish_reason(self) -> FinishReason | None:
        if (reason := self._end.finish_reason) is not None:
            return reason
        return FinishReason.CONTEXT if len(self.tokens) >= self._context_length else None

    def _close_thinking(
        self, end: ThinkingEnd
    ) -> tuple[list[GenerationEvent], FinishReason | None]:
        """Append the tokens that close the thinking block; the answer follows them."""
        if len(self.tokens) + len(self._closing_tokens) >= self._context_length:
            return [], FinishReason.CONTEXT
        events = list(self.output.close_thinking(end))
        self.samplers.accept(self._closing_tokens)
        self.tokens += self._closing_tokens
        self._end.on_thinking_closed()
        return events, None
