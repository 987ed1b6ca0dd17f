"""Answers a list of prompts together; see `engine.llama.batching`."""

from __future__ import annotations

from collections.abc import Sequence

from deepseek_r1.core.messages import PromptInput
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.base import GenerationResult
from deepseek_r1.engine.generation_output import ResultCollector
from deepseek_r1.engine.llama.batching.answer_batch import SequenceBatch


def answer_all(
    batch: SequenceBatch, prompts: Sequence[PromptInput], sampling: SamplingSettings
) -> list[GenerationResult]:
    """Return an answer to each prompt, in their order.

    Raises PromptTooLong and WrongUsage before any work, EngineFailed.
    """
    collectors = [ResultCollector() for _ in prompts]
    try:
        for index, messages in enumerate(prompts):
            batch.add(index, messages, sampling, index=index)
        while batch.busy:
            for index, event in batch.step():
                collectors[index].add(event)
    except BaseException:
        batch.drop_all()
        raise
    return [collector.result() for collector in collectors]
