"""One answer of a batch: its tokens so far, and what each new row of logits does to it."""

from deepseek_r1.core.events import FinishReason, GenerationEvent, ThinkingEnd
from deepseek_r1.core.messages import AnswerRequest
from deepseek_r1.engine.llama.answer.answer import Answer, AnswerParts


class BatchedAnswer(Answer):
    """For the computing thread; `cancelled` may be set and `end_thinking` called from any thread.

    `tokens` are the prompt's and those chosen so far. Whoever computes them calls `on_logits` when
    all of them are in the cells.
    """

    def __init__(self, parts: AnswerParts, key: int, request: AnswerRequest, index: int) -> None:
        super().__init__(parts, request, index)
        self.key, self.prompt_length = key, len(self.tokens)
        self.cancelled = False
        self.sequence = -1  # while it waits
        self.admitted = False  # it has had a sequence
        self._context_length = parts.computing.context.params.context_length

    @property
    def begun(self) -> bool:
        """Whether a token was chosen."""
        return self.output.tokens > 0

    def on_logits(self, row: int) -> tuple[list[GenerationEvent], FinishReason | None]:
        """Choose the next token from a row of logits. Returns events, and the reason of the end."""
        if (end := self.thinking_end) is not None:
            return self._close_thinking(end)
        token = self.samplers.sample(row)
        piece = self.parts.model.token_text(token)
        events = list(self.output.on_token(piece, self.samplers.logprob(token, row)))
        if piece is None or self.output.stopped:
            return events, FinishReason.STOP
        self.observe([token], piece)
        if (reason := self.finish_reason) is not None:
            return events, reason
        if len(self.tokens) >= self._context_length:
            return events, FinishReason.CONTEXT
        self.tokens.append(token)
        if (end := self.thinking_end) is not None:
            more, reason = self._close_thinking(end)
            return events + more, reason
        return events, None

    def _close_thinking(
        self, end: ThinkingEnd
    ) -> tuple[list[GenerationEvent], FinishReason | None]:
        """Append the tokens that close the thinking block; the answer follows them."""
        closing = self.parts.prompts.closing_tokens()
        if len(self.tokens) + len(closing) >= self._context_length:
            return [], FinishReason.CONTEXT
        self.tokens += closing
        return list(self.close_thinking(end)), None
