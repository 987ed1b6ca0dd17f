"""Answers that are computed together: made from prompts, stepped, cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from deepseek_r1.core.errors import PromptTooLong, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import AnswerRequest, PromptInput
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.answer.samplers import SamplerPair
from deepseek_r1.engine.llama.batching.batch_scheduler import BatchScheduler
from deepseek_r1.engine.llama.batching.batched_answer import BatchedAnswer
from deepseek_r1.engine.llama.batching.sequence_cells import SequenceCells
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.output.generation_output import GenerationOutput, ResultCollector
from deepseek_r1.engine.prompt.prompt_builder import PromptBuilder
from deepseek_r1.engine.protocol.base import GenerationResult


class BatchParts(NamedTuple):
    """The parts of an engine that a batch uses. `poll` and `cancelled` are the scheduler's."""

    library: Library
    model: LlamaModel
    context: LlamaContext
    prompts: PromptBuilder
    reasons: bool  # the chat template has thinking tags
    closing_tokens: Sequence[int]  # of a thinking block
    poll: Callable[[], None]
    cancelled: Callable[[], bool]


class SequenceBatch(BatchScheduler):
    """Implements `engine.protocol.base.AnswerBatch` with the sequences of one context."""

    def __init__(self, parts: BatchParts) -> None:
        self._parts, context = parts, parts.context
        cells = SequenceCells(context, context.params.sequences, reuses=parts.model.can_truncate)
        super().__init__(
            context,
            cells,
            poll=parts.poll,
            cancelled=parts.cancelled,
            attention_heads=parts.model.attention_heads,
        )

    def add(self, key: int, request: AnswerRequest, index: int = 0) -> None:
        """Take a request; its events have this key.

        `index` distinguishes several answers to one request.
        """
        parts, started = self._parts, time.perf_counter()
        length = parts.context.params.context_length
        prompt, thinking_open = parts.prompts.build(request.messages, most_tokens=length)
        if not prompt:
            raise WrongUsage(detail=tr("The question is empty."))
        if len(prompt) + 1 > length:
            raise PromptTooLong(tokens=len(prompt), context=length)
        output = GenerationOutput(
            thinking_open=thinking_open,
            started=started,
            text_every_s=request.text_every_s,
            sampling=request.sampling,
            plain=request.plain,
        )
        output.prompt_tokens = len(prompt)
        samplers = SamplerPair(
            parts.library,
            request.sampling,
            parts.model,
            parts.context.pointer,
            request.json_schema,
            thinking_open=thinking_open,
            reasons=parts.reasons and not request.plain,
            index=index,
        )
        answer = BatchedAnswer(
            key,
            prompt,
            model=parts.model,
            samplers=samplers,
            output=output,
            sampling=request.sampling,
            closing_tokens=parts.closing_tokens,
            context_length=length,
        )
        self.take(answer)

    def cancel(self, key: int) -> None:
        """End an answer, in the middle of a computation too. From any thread."""
        for answer in self.answers:
            if answer.key == key:
                answer.cancelled = True
                self._parts.context.abort.set()

    def end_thinking(self, key: int) -> None:
        """Close the thinking block of an answer at its next token. From any thread."""
        for answer in self.answers:
            if answer.key == key:
                answer.end_thinking()


def answer_all(
    batch: SequenceBatch, prompts: Sequence[PromptInput], sampling: SamplingSettings
) -> list[GenerationResult]:
    """Return an answer to each prompt, in their order.

    Raises PromptTooLong and WrongUsage before any work, EngineFailed.
    """
    collectors = [ResultCollector() for _ in prompts]
    try:
        for index, messages in enumerate(prompts):
            batch.add(index, AnswerRequest(messages, sampling), index=index)
        while batch.busy:
            for index, event in batch.step():
                collectors[index].add(event)
    except BaseException:
        batch.drop_all()
        raise
    return [collector.result() for collector in collectors]
