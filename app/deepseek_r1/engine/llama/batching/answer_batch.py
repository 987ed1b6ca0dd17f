"""Answers that are computed together: made from prompts, stepped, cancelled."""

from collections.abc import Sequence

from deepseek_r1.core.messages import AnswerRequest, PromptInput
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.answer.answer import AnswerParts
from deepseek_r1.engine.llama.batching.batch_scheduler import BatchScheduler
from deepseek_r1.engine.llama.batching.batched_answer import BatchedAnswer
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.engine.protocol.base import GenerationResult


class SequenceBatch(BatchScheduler):
    """Implements `engine.protocol.base.AnswerBatch` with the sequences of one context."""

    def __init__(self, parts: AnswerParts) -> None:
        super().__init__(parts.computing, parts.model)
        self._parts = parts

    def add(self, key: int, request: AnswerRequest, index: int = 0) -> None:
        """Take a request; its events have this key.

        `index` distinguishes several answers to one request.
        """
        self._waiting.append(BatchedAnswer(self._parts, key, request, index))

    def cancel(self, key: int) -> None:
        """End an answer, in the middle of a computation too. From any thread."""
        for answer in self.answers:
            if answer.key == key:
                answer.cancelled = True
                self._context.abort.set()

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
