"""One answer: its tokens, samplers and output, and when its thinking or all of it has to end."""

import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import FinishReason, GenerationEvent, GenerationFinished, ThinkingEnd
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import AnswerRequest, PartialAnswer
from deepseek_r1.engine.llama.answer.samplers import SamplerPair
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.computing import Computing
from deepseek_r1.engine.output.generation_output import GenerationOutput, ResultCollector
from deepseek_r1.engine.output.reasoning import THINK, ThinkingFormat
from deepseek_r1.engine.output.repetition import RepetitionDetector
from deepseek_r1.engine.prompt.prompt_builder import PromptBuilder
from deepseek_r1.engine.prompt.template_process import renderer_mib
from deepseek_r1.memory.meter import peak_mib

_REMEMBERED = 8  # answers, each with its prompt: 4 bytes a token


class RecentAnswers:
    """The tokens of the last answers and their prompts. For the computing thread."""

    def __init__(
        self, token_text: Callable[[int], bytes | None], form: ThinkingFormat = THINK
    ) -> None:
        """`token_text` returns a token's text, None for one that ends an answer."""
        self._token_text, self._form = token_text, form
        # Prompt and answer of each.
        self._answers: deque[tuple[array[int], array[int]]] = deque(maxlen=_REMEMBERED)

    def add(self, prompt: Sequence[int], answer: Sequence[int]) -> None:
        """Remember an answer. With no token of it there is nothing to continue."""
        if answer:
            self._answers.append((array("i", prompt), array("i", answer)))

    def find(
        self, prompt: Sequence[int], partial: PartialAnswer, *, thinking_open: bool, plain: bool
    ) -> list[int] | None:
        """Return the tokens of the last answer to `prompt` with exactly this text, or None.

        `thinking_open` and `plain` are those of the answer's `GenerationOutput`.
        """
        wanted = array("i", prompt)
        for answered, answer in reversed(self._answers):
            if answered == wanted:
                output = GenerationOutput(
                    thinking_open=thinking_open, started=0.0, plain=plain, form=self._form
                )
                if self._shown(answer, output) == partial:
                    return list(answer)
        return None

    def text_of(self, tokens: Sequence[int]) -> bytes:
        return b"".join(self._token_text(token) or b"" for token in tokens)

    def _shown(self, answer: Sequence[int], output: GenerationOutput) -> PartialAnswer:
        """Return what these tokens had in their events."""
        collector = ResultCollector()
        output.on_text(self.text_of(answer), len(answer))
        collector.add(*output.finish(cut=True))
        return PartialAnswer(
            thinking=collector.thinking, text=collector.text, inside_thinking=output.thinking
        )


_LEAST_TOKENS = 3  # of an answer that the user wants after a thought without one


class AnswerParts(NamedTuple):
    """The parts of an engine that answers share."""

    library: Library
    model: LlamaModel
    computing: Computing
    prompts: PromptBuilder
    reasons: bool  # the chat template has thinking tags
    recent: RecentAnswers


class Answer:
    """For the computing thread; `end_thinking` may come from any thread.

    `tokens` are the prompt's, then those of a continued answer that were there before. The limits
    of the context are watched by what decodes it.
    """

    def __init__(self, parts: AnswerParts, request: AnswerRequest, index: int = 0) -> None:
        """Read the prompt. `index` distinguishes several answers to one request.

        Raises PromptTooLong, TemplateUnusable, WrongUsage, EngineFailed.
        """
        started, sampling, context = time.perf_counter(), request.sampling, parts.computing.context
        length = context.params.context_length
        self.prompt, thinking_open = parts.prompts.build(request.messages, most_tokens=length)
        if not self.prompt:
            raise WrongUsage(detail=tr("The question is empty."))
        self.parts, self.sampling = parts, sampling
        self.output = GenerationOutput(
            thinking_open=thinking_open,
            started=started,
            text_every_s=request.text_every_s,
            sampling=sampling,
            plain=request.plain,
            form=parts.prompts.form,
        )
        self._begins = False  # a thought is continued after which nothing was written
        begun = self._begun_tokens(request, thinking_open=thinking_open)
        self.tokens = self.prompt + begun
        request.require_place(len(self.tokens), length)
        self.output.prompt_tokens = len(self.tokens)
        self.samplers = SamplerPair(
            parts.library,
            sampling,
            parts.model,
            context.pointer,
            request.json_schema,
            thinking_open=thinking_open,
            reasons=parts.reasons and not request.plain,
            index=index,
        )
        self.samplers.accept(begun)
        self._repetition, self._repeated = RepetitionDetector(), False
        self._in_thinking = self.output.thinking
        self._thinking_end_wanted = False

    def _begun_tokens(self, request: AnswerRequest, *, thinking_open: bool) -> list[int]:
        """Return the tokens of an answer that ended early: those sampled, or those of its text."""
        partial, parts = request.continues, self.parts
        if partial is None:
            return []
        closed = bool(partial.thinking) and not partial.inside_thinking
        self._begins = closed and not partial.text.strip()
        if request.json_schema:
            raise WrongUsage(detail=tr("An answer with a schema cannot be continued."))
        begun = parts.recent.find(
            self.prompt, partial, thinking_open=thinking_open, plain=request.plain
        )
        if begun is None or self._begins:  # then after the model's own empty line
            begun = parts.prompts.answer_tokens(partial, thinking_open=thinking_open)
        self.output.resume(parts.recent.text_of(begun), partial)
        return begun

    @property
    def has_to_go_on(self) -> bool:
        """Whether it may not end yet: the model would end at once again after its thought."""
        return self._begins and self.output.answer_tokens < _LEAST_TOKENS

    def end_thinking(self) -> None:
        """Close the thinking block at the next token. From any thread."""
        self._thinking_end_wanted = True

    def observe(self, tokens: Sequence[int], text: bytes) -> None:
        """Add tokens whose text the output has: notice a repetition, and the thinking's end."""
        output, samplers = self.output, self.samplers
        if samplers.until_answer:
            samplers.on_output(output)
        if output.thinking != self._in_thinking:  # an answer may repeat what the thinking has
            self._in_thinking, self._repetition = output.thinking, RepetitionDetector()
        if self._watches_for_repetition:
            self._repeated = self._repetition.observe(tokens, text)

    @property
    def _watches_for_repetition(self) -> bool:
        constrained = self.samplers.constrains and not self.output.thinking
        return self.sampling.end_repetition and not constrained

    @property
    def next_tokens(self) -> int:
        """The number of further tokens of which only the last one can complete a repetition."""
        return self._repetition.next_tokens if self._watches_for_repetition else sys.maxsize

    @property
    def thinking_end(self) -> ThinkingEnd | None:
        if not self.output.thinking:
            return None
        if self._thinking_end_wanted:
            return ThinkingEnd.REQUEST
        if self._repeated:
            return ThinkingEnd.REPETITION
        budget = self.sampling.thinking_budget
        return ThinkingEnd.BUDGET if budget is not None and self.output.tokens >= budget else None

    def close_thinking(self, end: ThinkingEnd) -> Iterator[GenerationEvent]:
        yield from self.output.close_thinking(end)
        self.samplers.accept(self.parts.prompts.closing_tokens())
        self._repeated = False
        self.observe((), b"")

    @property
    def finish_reason(self) -> FinishReason | None:
        if self.output.thinking:
            return None
        if self._repeated:
            return FinishReason.REPETITION
        over = self.output.answer_tokens >= self.sampling.max_tokens
        return FinishReason.LENGTH if over else None

    def finish(
        self, reason: FinishReason, context_used: int, **drafts: float
    ) -> Iterator[GenerationEvent]:
        """Yield the last events. `drafts` are counts for the stats."""
        yield from self.output.finish(cut=reason is not FinishReason.STOP)
        stats = self.output.stats(
            reason,
            context_used=context_used,
            seed=self.samplers.seed,
            peak_mib=peak_mib() + renderer_mib(),
        )
        yield GenerationFinished(stats=stats.model_copy(update=drafts))


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
